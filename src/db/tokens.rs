//! What was seen of tokens: their capabilities by probe.

use super::{Database, DbError, Transaction};
use crate::base::time::Timestamp;
use sqlx::Row as _;

/// Capabilities of the token with this label, as JSON; none if it was never probed.
///
/// # Errors
/// The database cannot be read.
pub async fn capabilities(db: &Database, label: &str) -> Result<Option<String>, DbError> {
    let row =
        sqlx::query("SELECT capabilities FROM tokens WHERE label = $1").bind(label).fetch_optional(db.reader()).await?;
    row.map(|row| Ok(row.try_get("capabilities")?)).transpose()
}

/// Stores the outcome of a probe.
///
/// # Errors
/// The database cannot be written.
pub async fn remember(
    transaction: &mut Transaction,
    label: &str,
    capabilities: &str,
    at: Timestamp,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO tokens (label, capabilities, probed_at) VALUES ($1, $2, $3) \
         ON CONFLICT (label) DO UPDATE SET capabilities = excluded.capabilities, probed_at = excluded.probed_at",
    )
    .bind(label)
    .bind(capabilities)
    .bind(at.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
