//! SQL of certificates.

use super::api::{CertificateView, KeyRef};
use crate::base::ids::KeyId;
use crate::db::{Database, DbError, Transaction};
use crate::keys::db::{column, time};
use sqlx::{Row as _, sqlite::SqliteRow};

pub(super) async fn insert(transaction: &mut Transaction, certificate: &CertificateView) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO certificates (id, key_id, subject, issuer, serial, not_before, not_after, pem, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET pem = excluded.pem",
    )
    .bind(&certificate.id)
    .bind(certificate.key.id.to_string())
    .bind(&certificate.subject)
    .bind(&certificate.issuer)
    .bind(&certificate.serial)
    .bind(certificate.not_before.as_millis())
    .bind(certificate.not_after.as_millis())
    .bind(&certificate.pem)
    .bind(certificate.created_at.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Certificates of all keys or of one, the newest first.
pub(super) async fn list(db: &Database, key: Option<KeyId>) -> Result<Vec<CertificateView>, DbError> {
    let rows = match key {
        Some(key) => {
            sqlx::query(concat!(
                "SELECT c.*, k.label FROM certificates c JOIN keys k ON k.id = c.key_id WHERE c.key_id = $1 ",
                "ORDER BY c.created_at DESC, c.not_before DESC, c.id"
            ))
            .bind(key.to_string())
            .fetch_all(db.reader())
            .await?
        }
        None => {
            sqlx::query(concat!(
                "SELECT c.*, k.label FROM certificates c JOIN keys k ON k.id = c.key_id ",
                "ORDER BY c.not_after, c.id"
            ))
            .fetch_all(db.reader())
            .await?
        }
    };
    rows.iter().map(view).collect()
}

pub(super) async fn find(db: &Database, id: &str) -> Result<Option<CertificateView>, DbError> {
    let row = sqlx::query("SELECT c.*, k.label FROM certificates c JOIN keys k ON k.id = c.key_id WHERE c.id = $1")
        .bind(id)
        .fetch_optional(db.reader())
        .await?;
    row.as_ref().map(view).transpose()
}

fn view(row: &SqliteRow) -> Result<CertificateView, DbError> {
    let label: String = row.try_get("label")?;
    let label = label.try_into().map_err(|error| DbError::Corrupt { what: "keys.label", cause: format!("{error}") })?;
    Ok(CertificateView {
        id: row.try_get("id")?,
        key: KeyRef { id: column(row, "key_id")?, label },
        subject: row.try_get("subject")?,
        issuer: row.try_get("issuer")?,
        serial: row.try_get("serial")?,
        not_before: time(row, "not_before")?,
        not_after: time(row, "not_after")?,
        pem: row.try_get("pem")?,
        created_at: time(row, "created_at")?,
    })
}
