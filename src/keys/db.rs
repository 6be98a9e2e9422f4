//! SQL of keys, tombstones, KEKs and copies.

use super::{KeyRecord, adopt::Adoption, api::CopyView, keks::KekRecord};
use crate::base::{
    custody::Presence,
    ids::{KeyId, KeySelector},
    time::Timestamp,
};
use crate::db::{Database, DbError, Transaction};
use crate::pki::public_key::PublicKey;
use crate::token::message::AdoptedKey;
use base64ct::{Base64, Encoding as _};
use sqlx::{FromRow, Row as _, sqlite::SqliteRow};
use std::{fmt::Display, str::FromStr};

/// Parses a column that keyward wrote; anything else in it is corruption.
pub(crate) fn column<T>(row: &SqliteRow, name: &'static str) -> Result<T, DbError>
where
    T: FromStr,
    T::Err: Display,
{
    let text: String = row.try_get(name)?;
    text.parse().map_err(|error: T::Err| DbError::Corrupt { what: name, cause: error.to_string() })
}

/// Reads a time column.
pub(crate) fn time(row: &SqliteRow, name: &'static str) -> Result<Timestamp, DbError> {
    Ok(Timestamp::from_millis(row.try_get(name)?))
}

pub(super) async fn insert(transaction: &mut Transaction, key: &KeyRecord) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO keys (id, label, algorithm, policy, enforcement, purpose, approvals, origin, state, presence, \
         token, public_key_pem, comment, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(key.id.to_string())
    .bind(key.label.as_str())
    .bind(key.algorithm.as_str())
    .bind(key.policy.as_str())
    .bind(key.enforcement.as_str())
    .bind(key.purpose.as_str())
    .bind(i64::from(key.approvals))
    .bind(key.origin.as_str())
    .bind(key.state.as_str())
    .bind(key.presence.as_str())
    .bind(&key.token)
    .bind(&key.public_key_pem)
    .bind(&key.comment)
    .bind(key.created_at.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(super) async fn find(db: &Database, selector: &KeySelector) -> Result<Option<KeyRecord>, DbError> {
    let query = match selector {
        KeySelector::Id(id) => sqlx::query("SELECT * FROM keys WHERE id = $1").bind(id.to_string()),
        KeySelector::Label(label) => sqlx::query("SELECT * FROM keys WHERE label = $1").bind(label.clone()),
    };
    query.fetch_optional(db.reader()).await?.as_ref().map(record).transpose()
}

/// Keys in the order of their labels, after the given one.
pub(super) async fn page(db: &Database, after: &str, limit: u32) -> Result<Vec<KeyRecord>, DbError> {
    let rows = sqlx::query("SELECT * FROM keys WHERE label > $1 ORDER BY label LIMIT $2")
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(record).collect()
}

pub(super) async fn all(db: &Database) -> Result<Vec<KeyRecord>, DbError> {
    let rows = sqlx::query("SELECT * FROM keys ORDER BY label").fetch_all(db.reader()).await?;
    rows.iter().map(record).collect()
}

/// The keys of one token.
pub(super) async fn in_token(db: &Database, token: &str) -> Result<Vec<KeyRecord>, DbError> {
    let rows =
        sqlx::query("SELECT * FROM keys WHERE token = $1 ORDER BY label").bind(token).fetch_all(db.reader()).await?;
    rows.iter().map(record).collect()
}

/// Every key of a token that is away.
pub(super) async fn mark_absent(transaction: &mut Transaction, token: &str) -> Result<(), DbError> {
    sqlx::query("UPDATE keys SET presence = $2 WHERE token = $1 AND presence <> $2")
        .bind(token)
        .bind(Presence::Absent.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

pub(super) async fn refresh(transaction: &mut Transaction, key: &KeyRecord) -> Result<(), DbError> {
    sqlx::query("UPDATE keys SET presence = $2, enforcement = $3, token = $4, origin = $5 WHERE id = $1")
        .bind(key.id.to_string())
        .bind(key.presence.as_str())
        .bind(key.enforcement.as_str())
        .bind(&key.token)
        .bind(key.origin.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

pub(super) async fn set_presence(transaction: &mut Transaction, id: KeyId, presence: &str) -> Result<(), DbError> {
    sqlx::query("UPDATE keys SET presence = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(presence)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Removes a row, and its certificates with it.
pub(super) async fn forget(transaction: &mut Transaction, id: KeyId) -> Result<(), DbError> {
    sqlx::query("DELETE FROM keys WHERE id = $1").bind(id.to_string()).execute(&mut **transaction).await?;
    Ok(())
}

/// Removes a row and leaves a tombstone.
pub(super) async fn bury(transaction: &mut Transaction, key: &KeyRecord, at: Timestamp) -> Result<(), DbError> {
    forget(transaction, key.id).await?;
    add_tombstone(transaction, &Tombstone::of(key, at)).await
}

/// What is left of a destroyed key.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, serde::Deserialize)]
pub struct Tombstone {
    /// The key that was.
    pub key_id: String,
    /// Its label then.
    pub label: String,
    /// What it was.
    pub algorithm: String,
    /// Its policy.
    pub policy: String,
    /// Its public key.
    pub public_key_pem: String,
    /// When it was destroyed, in milliseconds since 1970.
    pub destroyed_at: i64,
}

impl Tombstone {
    fn of(key: &KeyRecord, at: Timestamp) -> Self {
        Self {
            key_id: key.id.to_string(),
            label: key.label.to_string(),
            algorithm: key.algorithm.to_string(),
            policy: key.policy.to_string(),
            public_key_pem: key.public_key_pem.clone(),
            destroyed_at: at.as_millis(),
        }
    }
}

pub(super) async fn add_tombstone(transaction: &mut Transaction, stone: &Tombstone) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO tombstones (key_id, label, algorithm, policy, public_key_pem, destroyed_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key_id) DO NOTHING",
    )
    .bind(&stone.key_id)
    .bind(&stone.label)
    .bind(&stone.algorithm)
    .bind(&stone.policy)
    .bind(&stone.public_key_pem)
    .bind(stone.destroyed_at)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(super) async fn tombstones(db: &Database) -> Result<Vec<Tombstone>, DbError> {
    Ok(sqlx::query_as("SELECT * FROM tombstones ORDER BY key_id").fetch_all(db.reader()).await?)
}

pub(super) async fn insert_kek(transaction: &mut Transaction, kek: &KekRecord) -> Result<(), DbError> {
    if kek.current {
        sqlx::query("UPDATE keks SET is_current = 0 WHERE purpose = $1")
            .bind(kek.purpose.as_str())
            .execute(&mut **transaction)
            .await?;
    }
    sqlx::query(
        "INSERT INTO keks (id, purpose, kcv, trusted, provisional, is_current, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (id) DO UPDATE SET trusted = excluded.trusted, is_current = excluded.is_current",
    )
    .bind(kek.id.to_string())
    .bind(kek.purpose.as_str())
    .bind(&kek.kcv)
    .bind(i64::from(kek.trusted))
    .bind(i64::from(kek.provisional))
    .bind(i64::from(kek.current))
    .bind(kek.created_at.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(super) async fn keks(db: &Database) -> Result<Vec<KekRecord>, DbError> {
    let rows = sqlx::query("SELECT * FROM keks ORDER BY created_at, purpose").fetch_all(db.reader()).await?;
    rows.iter().map(kek_record).collect()
}

pub(super) async fn add_copy(transaction: &mut Transaction, key: KeyId, copy: &CopyView) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO copies (key_id, kind, holder, made_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (key_id, kind, holder) DO NOTHING",
    )
    .bind(key.to_string())
    .bind(&copy.kind)
    .bind(&copy.holder)
    .bind(copy.made_at.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(super) async fn copies(db: &Database, key: KeyId) -> Result<Vec<CopyView>, DbError> {
    let rows = sqlx::query("SELECT * FROM copies WHERE key_id = $1 ORDER BY made_at, holder")
        .bind(key.to_string())
        .fetch_all(db.reader())
        .await?;
    let copy = |row: &SqliteRow| {
        Ok(CopyView { kind: row.try_get("kind")?, holder: row.try_get("holder")?, made_at: time(row, "made_at")? })
    };
    rows.iter().map(copy).collect()
}

/// Keeps which object a key is.
pub(super) async fn insert_adoption(transaction: &mut Transaction, adoption: &Adoption) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO adoptions (key_id, cka_id, cka_label, attributes, adopted_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(adoption.key.key.to_string())
    .bind(Base64::encode_string(&adoption.key.cka_id))
    .bind(Base64::encode_string(&adoption.key.label))
    .bind(serde_json::to_string(&adoption.attributes).unwrap_or_default())
    .bind(adoption.adopted_at.as_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Which objects of this token are keys of the inventory.
pub(super) async fn adoptions(db: &Database, token: &str) -> Result<Vec<AdoptedKey>, DbError> {
    let rows = sqlx::query(ADOPTIONS).bind(token).fetch_all(db.reader()).await?;
    rows.iter().map(|row| adoption_record(row).map(|adoption| adoption.key)).collect()
}

/// Which object this key is, if it was adopted.
pub(super) async fn adoption(db: &Database, key: KeyId) -> Result<Option<Adoption>, DbError> {
    let row = sqlx::query(ADOPTION).bind(key.to_string()).fetch_optional(db.reader()).await?;
    row.as_ref().map(adoption_record).transpose()
}

fn adoption_record(row: &SqliteRow) -> Result<Adoption, DbError> {
    let corrupt = |what, cause: String| DbError::Corrupt { what, cause };
    let bytes = |what| {
        let text: String = row.try_get(what)?;
        Base64::decode_vec(&text).map_err(|error| corrupt(what, error.to_string()))
    };
    let pem: String = row.try_get("public_key_pem")?;
    let public_key = PublicKey::from_pem(&pem).map_err(|error| corrupt("public_key_pem", error.to_string()))?;
    let attributes: String = row.try_get("attributes")?;
    Ok(Adoption {
        key: AdoptedKey {
            key: column(row, "key_id")?,
            cka_id: bytes("cka_id")?,
            label: bytes("cka_label")?,
            public_key_der: public_key.der().to_vec(),
        },
        attributes: serde_json::from_str(&attributes).map_err(|error| corrupt("attributes", error.to_string()))?,
        adopted_at: time(row, "adopted_at")?,
    })
}

fn record(row: &SqliteRow) -> Result<KeyRecord, DbError> {
    let label: String = row.try_get("label")?;
    let approvals: i64 = row.try_get("approvals")?;
    Ok(KeyRecord {
        id: column(row, "id")?,
        label: label.try_into().map_err(|error| DbError::Corrupt { what: "keys.label", cause: format!("{error}") })?,
        algorithm: column(row, "algorithm")?,
        policy: column(row, "policy")?,
        enforcement: column(row, "enforcement")?,
        purpose: column(row, "purpose")?,
        approvals: u32::try_from(approvals).unwrap_or(u32::MAX),
        origin: column(row, "origin")?,
        state: column(row, "state")?,
        presence: column(row, "presence")?,
        token: row.try_get("token")?,
        public_key_pem: row.try_get("public_key_pem")?,
        comment: row.try_get("comment")?,
        created_at: time(row, "created_at")?,
    })
}

fn kek_record(row: &SqliteRow) -> Result<KekRecord, DbError> {
    let flag = |name| row.try_get::<i64, _>(name).map(|value| value != 0);
    Ok(KekRecord {
        id: column(row, "id")?,
        purpose: column(row, "purpose")?,
        kcv: row.try_get("kcv")?,
        trusted: flag("trusted")?,
        provisional: flag("provisional")?,
        current: flag("is_current")?,
        created_at: time(row, "created_at")?,
    })
}

const ADOPTIONS: &str = "SELECT adoptions.*, keys.public_key_pem FROM adoptions JOIN keys ON keys.id = adoptions.key_id \
     WHERE keys.token = $1 ORDER BY adoptions.key_id";
const ADOPTION: &str = "SELECT adoptions.*, keys.public_key_pem FROM adoptions JOIN keys ON keys.id = adoptions.key_id \
     WHERE adoptions.key_id = $1";
