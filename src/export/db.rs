//! SQL of exports.

use super::{ExportError, api::ExportView};
use crate::db::{Database, DbError, Transaction};
use sqlx::Row as _;

pub(super) async fn insert(transaction: &mut Transaction, export: &ExportView) -> Result<(), DbError> {
    let record = serde_json::to_string(export)
        .map_err(|error| DbError::Corrupt { what: "exports.record", cause: error.to_string() })?;
    sqlx::query("INSERT INTO exports (id, key_id, label, record, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(export.id.to_string())
        .bind(export.key.id.to_string())
        .bind(export.key.label.as_str())
        .bind(record)
        .bind(export.created_at.as_millis())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Every export, the newest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(db: &Database) -> Result<Vec<ExportView>, ExportError> {
    let rows = sqlx::query("SELECT record FROM exports ORDER BY created_at DESC, id DESC")
        .fetch_all(db.reader())
        .await
        .map_err(DbError::from)?;
    rows.iter().map(|row| parse(&row.try_get::<String, _>("record").map_err(DbError::from)?)).collect()
}

/// One export.
///
/// # Errors
/// There is none with this id.
pub async fn find(db: &Database, id: &str) -> Result<ExportView, ExportError> {
    let row = sqlx::query("SELECT record FROM exports WHERE id = $1")
        .bind(id)
        .fetch_optional(db.reader())
        .await
        .map_err(DbError::from)?
        .ok_or_else(|| ExportError::Unknown { id: id.to_owned() })?;
    parse(&row.try_get::<String, _>("record").map_err(DbError::from)?)
}

fn parse(record: &str) -> Result<ExportView, ExportError> {
    let parsed = serde_json::from_str(record);
    Ok(parsed.map_err(|error| DbError::Corrupt { what: "exports.record", cause: error.to_string() })?)
}
