//! The one row that says which instance this is.

use super::{Database, DbError, Transaction};
use crate::base::{custody::Posture, ids::InstanceId, time::Timestamp};
use sqlx::Row as _;

/// Which instance this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id; changes once, when an empty instance takes another's archive over.
    pub id: InstanceId,
    /// What tells its audit logs from those of an earlier life of the same instance; empty in the first.
    pub writer: String,
    /// How strict it is.
    pub posture: Posture,
    /// Uid of who ran `init`.
    pub owner_uid: u32,
    /// When that was.
    pub created_at: Timestamp,
}

/// The instance of this database; none before `init`.
///
/// # Errors
/// The database cannot be read.
pub async fn read(db: &Database) -> Result<Option<Instance>, DbError> {
    let row = sqlx::query("SELECT * FROM instance").fetch_optional(db.reader()).await?;
    let Some(row) = row else { return Ok(None) };
    let corrupt = |cause: String| DbError::Corrupt { what: "instance", cause };
    let (id, posture): (String, String) = (row.try_get("id")?, row.try_get("posture")?);
    Ok(Some(Instance {
        id: id.parse().map_err(|error| corrupt(format!("{error}")))?,
        writer: row.try_get("writer")?,
        posture: posture.parse().map_err(|error| corrupt(format!("{error}")))?,
        owner_uid: u32::try_from(row.try_get::<i64, _>("owner_uid")?).map_err(|error| corrupt(error.to_string()))?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
    }))
}

/// Writes the row of a new instance.
///
/// # Errors
/// There is one already, or the database cannot be written.
pub async fn create(transaction: &mut Transaction, instance: &Instance) -> Result<(), DbError> {
    sqlx::query("INSERT INTO instance (id, writer, posture, owner_uid, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(instance.id.to_string())
        .bind(&instance.writer)
        .bind(instance.posture.as_str())
        .bind(i64::from(instance.owner_uid))
        .bind(instance.created_at.as_millis())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Takes another instance's id over; the writer keeps the audit logs apart.
///
/// # Errors
/// The database cannot be written.
pub async fn rename(transaction: &mut Transaction, id: InstanceId, writer: &str) -> Result<(), DbError> {
    sqlx::query("UPDATE instance SET id = $1, writer = $2")
        .bind(id.to_string())
        .bind(writer)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
