//! SQL of backups, drills and proofs.

use super::{
    BackupError,
    api::{BackupView, DrillAnswer, LastProof, Light},
};
use crate::base::{ids::KeyId, time::Timestamp};
use crate::db::{Database, DbError, Transaction};
use sqlx::{Row as _, sqlite::SqliteRow};
use std::collections::HashMap;

pub(super) async fn insert(transaction: &mut Transaction, backup: &BackupView) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO backups (sequence, id, state, name, sha256, size_bytes, keys_wrapped, keks, not_covered, \
         destinations, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (sequence) DO NOTHING",
    )
    .bind(i64::try_from(backup.sequence).unwrap_or(i64::MAX))
    .bind(backup.id.to_string())
    .bind(backup.state.as_str())
    .bind(&backup.name)
    .bind(&backup.sha256)
    .bind(i64::try_from(backup.size_bytes).unwrap_or(i64::MAX))
    .bind(i64::try_from(backup.keys_wrapped).unwrap_or(i64::MAX))
    .bind(to_json(&backup.keks)?)
    .bind(to_json(&backup.not_covered)?)
    .bind(to_json(&backup.destinations)?)
    .bind(backup.created_at.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Forgets every backup.
pub(super) async fn forget_all(transaction: &mut Transaction) -> Result<(), DbError> {
    sqlx::query("DELETE FROM backups").execute(&mut **transaction).await?;
    Ok(())
}

/// Every backup, the newest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(db: &Database) -> Result<Vec<BackupView>, BackupError> {
    let rows = sqlx::query("SELECT * FROM backups ORDER BY sequence DESC")
        .fetch_all(db.reader())
        .await
        .map_err(DbError::from)?;
    Ok(rows.iter().map(view).collect::<Result<_, _>>()?)
}

/// One backup, by its number or its id.
///
/// # Errors
/// There is none.
pub async fn find(db: &Database, selector: &str) -> Result<BackupView, BackupError> {
    let all = list(db).await?;
    let found =
        all.into_iter().find(|backup| backup.id.to_string() == selector || backup.sequence.to_string() == selector);
    found.ok_or_else(|| BackupError::Unknown { selector: selector.to_owned() })
}

/// The newest backup.
pub(super) async fn newest(db: &Database) -> Result<Option<BackupView>, DbError> {
    let row = sqlx::query("SELECT * FROM backups ORDER BY sequence DESC LIMIT 1").fetch_optional(db.reader()).await?;
    row.as_ref().map(view).transpose()
}

pub(super) async fn insert_drill(transaction: &mut Transaction, drill: &DrillAnswer) -> Result<(), DbError> {
    sqlx::query("INSERT INTO drills (id, report, finished_at) VALUES ($1, $2, $3)")
        .bind(drill.id.to_string())
        .bind(to_json(drill)?)
        .bind(drill.finished_at.as_millis())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

pub(super) async fn note_proof(transaction: &mut Transaction, key: KeyId, proof: &LastProof) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO proofs (key_id, drill_id, proved_at) VALUES ($1, $2, $3) \
         ON CONFLICT (key_id) DO UPDATE SET drill_id = excluded.drill_id, proved_at = excluded.proved_at",
    )
    .bind(key.to_string())
    .bind(proof.drill.to_string())
    .bind(proof.at.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The newest proof of each key.
pub(super) async fn proofs(db: &Database) -> Result<HashMap<String, LastProof>, DbError> {
    let rows = sqlx::query("SELECT * FROM proofs").fetch_all(db.reader()).await?;
    let proof = |row: &SqliteRow| {
        let at = Timestamp::from_millis(row.try_get("proved_at")?);
        Ok((row.try_get("key_id")?, LastProof { at, drill: crate::keys::db::column(row, "drill_id")? }))
    };
    rows.iter().map(proof).collect()
}

fn view(row: &SqliteRow) -> Result<BackupView, DbError> {
    let number = |name| row.try_get::<i64, _>(name);
    let state: String = row.try_get("state")?;
    Ok(BackupView {
        id: crate::keys::db::column(row, "id")?,
        sequence: u64::try_from(number("sequence")?).unwrap_or(0),
        state: state.parse::<Light>().map_err(|error| corrupt(&error))?,
        created_at: Timestamp::from_millis(number("created_at")?),
        name: row.try_get("name")?,
        sha256: row.try_get("sha256")?,
        size_bytes: u64::try_from(number("size_bytes")?).unwrap_or(0),
        keks: from_json(row, "keks")?,
        keys_wrapped: usize::try_from(number("keys_wrapped")?).unwrap_or(0),
        not_covered: from_json(row, "not_covered")?,
        destinations: from_json(row, "destinations")?,
    })
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| corrupt(&error))
}

fn from_json<T: serde::de::DeserializeOwned>(row: &SqliteRow, name: &str) -> Result<T, DbError> {
    let text: String = row.try_get(name)?;
    serde_json::from_str(&text).map_err(|error| corrupt(&error))
}

fn corrupt(error: &dyn std::fmt::Display) -> DbError {
    DbError::Corrupt { what: "backups", cause: error.to_string() }
}
