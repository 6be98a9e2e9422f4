//! SQL of keys in slots and their attestations.

use super::Attested;
use crate::base::{
    ids::KeyId,
    piv::{SlotPlan, TouchPolicy},
};
use crate::db::{Database, DbError, Transaction};
use crate::keys::db::column;
use sqlx::{Row as _, sqlite::SqliteRow};

/// Notes where a key is, unless that is known.
pub(in crate::keys) async fn place(transaction: &mut Transaction, key: KeyId, plan: &SlotPlan) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO slots (key_id, slot, pin_policy, touch_policy) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (key_id) DO NOTHING",
    )
    .bind(key.to_string())
    .bind(plan.slot.to_string())
    .bind(plan.pin_policy.as_str())
    .bind(plan.touch_policy.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Where a key is, and what it wants of people; none for a key that is in no slot.
pub(super) async fn find(db: &Database, key: KeyId) -> Result<Option<SlotPlan>, DbError> {
    let row = sqlx::query("SELECT * FROM slots WHERE key_id = $1").bind(key.to_string()).fetch_optional(db.reader());
    row.await?.as_ref().map(plan).transpose()
}

fn plan(row: &SqliteRow) -> Result<SlotPlan, DbError> {
    Ok(SlotPlan {
        slot: column(row, "slot")?,
        pin_policy: column(row, "pin_policy")?,
        touch_policy: column::<TouchPolicy>(row, "touch_policy")?,
    })
}

/// What the device attested of a key; none if it has not.
pub(super) async fn attested(db: &Database, key: KeyId) -> Result<Option<Attested>, DbError> {
    let query = "SELECT attestation_pem, device_pem FROM slots WHERE key_id = $1 AND attestation_pem IS NOT NULL";
    let row = sqlx::query(query).bind(key.to_string()).fetch_optional(db.reader()).await?;
    row.map(|row| Ok(Attested { certificate: row.try_get("attestation_pem")?, device: row.try_get("device_pem")? }))
        .transpose()
}

pub(super) async fn keep(transaction: &mut Transaction, key: KeyId, attested: &Attested) -> Result<(), DbError> {
    sqlx::query("UPDATE slots SET attestation_pem = $2, device_pem = $3 WHERE key_id = $1")
        .bind(key.to_string())
        .bind(&attested.certificate)
        .bind(&attested.device)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
