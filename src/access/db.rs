//! SQL of credentials.

use super::credential::{Credential, identity, keys_of};
use crate::base::{
    ids::{CredentialId, KeyId, hex},
    principal::{KeyScope, Role},
    time::Timestamp,
};
use crate::db::{Database, DbError, Transaction};
use serde::de::DeserializeOwned;
use sqlx::{Row as _, sqlite::SqliteRow};
use std::{collections::BTreeSet, fmt::Display};

pub(super) async fn insert(transaction: &mut Transaction, credential: &Credential) -> Result<(), DbError> {
    let roles = serde_json::to_string(&credential.identity.roles).map_err(|error| corrupt(&error))?;
    let keys = keys_of(&credential.identity).map(serde_json::to_string).transpose().map_err(|error| corrupt(&error))?;
    sqlx::query(
        "INSERT INTO credentials (id, kind, name, roles, keys, sha256, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(credential.id.to_string())
    .bind(credential.kind.as_str())
    .bind(credential.name())
    .bind(roles)
    .bind(keys)
    .bind(hex(&credential.sha256))
    .bind(credential.created_at.as_millis())
    .bind(credential.expires_at.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(super) async fn revoke(transaction: &mut Transaction, id: CredentialId, at: Timestamp) -> Result<(), DbError> {
    sqlx::query("UPDATE credentials SET revoked_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.as_millis())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

pub(super) async fn all(db: &Database) -> Result<Vec<Credential>, DbError> {
    let rows = sqlx::query("SELECT * FROM credentials").fetch_all(db.reader()).await?;
    rows.iter().map(credential).collect()
}

fn credential(row: &SqliteRow) -> Result<Credential, DbError> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let id: CredentialId = text("id")?.parse().map_err(|error| corrupt(&error))?;
    let roles: Vec<Role> = json(&text("roles")?)?;
    let keys: Option<BTreeSet<KeyId>> = row.try_get::<Option<String>, _>("keys")?.as_deref().map(json).transpose()?;
    let revoked_at: Option<i64> = row.try_get("revoked_at")?;
    Ok(Credential {
        id,
        kind: text("kind")?.parse().map_err(|error| corrupt(&error))?,
        identity: identity(id, text("name")?, roles, keys.map_or(KeyScope::Every, KeyScope::Only)),
        sha256: bytes(&text("sha256")?).ok_or_else(|| corrupt(&"not 64 hex digits"))?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        expires_at: Timestamp::from_millis(row.try_get("expires_at")?),
        revoked_at: revoked_at.map(Timestamp::from_millis),
    })
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|error| corrupt(&error))
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let bytes = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
    bytes.collect::<Option<Vec<_>>>()?.try_into().ok()
}

fn corrupt(error: &dyn Display) -> DbError {
    DbError::Corrupt { what: "credentials", cause: error.to_string() }
}
