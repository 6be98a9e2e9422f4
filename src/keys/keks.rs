//! The KEKs of this instance: which there are, and which new copies are wrapped under.

use super::{KeyError, Keys, api::KekView, db};
use crate::base::{custody::KekPurpose, ids::KekId, time::Timestamp};
use crate::db::Transaction;

/// One KEK as the inventory has it; its value is in the token alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KekRecord {
    /// Id, also CKA_ID and CMS KEKIdentifier.
    pub id: KekId,
    /// What it wraps.
    pub purpose: KekPurpose,
    /// Six hex digits.
    pub kcv: String,
    /// Whether the token has it as TRUSTED.
    pub trusted: bool,
    /// Made by `init` of a rig.
    pub provisional: bool,
    /// Whether new copies are wrapped under it.
    pub current: bool,
    /// When it came into this token.
    pub created_at: Timestamp,
}

/// The KEK that new copies are wrapped under.
///
/// # Errors
/// [`KeyError::KekMissing`] before the first ceremony.
pub async fn current(keys: &Keys, purpose: KekPurpose) -> Result<KekRecord, KeyError> {
    let all = db::keks(&keys.db).await?;
    all.into_iter().find(|kek| kek.current && kek.purpose == purpose).ok_or(KeyError::KekMissing { purpose })
}

/// Every KEK, the oldest first.
///
/// # Errors
/// The inventory cannot be read.
pub async fn all(keys: &Keys) -> Result<Vec<KekRecord>, KeyError> {
    Ok(db::keks(&keys.db).await?)
}

/// Takes a KEK into the inventory; a current one takes the place of the one before.
///
/// # Errors
/// The inventory cannot be written.
pub async fn add(transaction: &mut Transaction, kek: &KekRecord) -> Result<(), KeyError> {
    Ok(db::insert_kek(transaction, kek).await?)
}

impl KekRecord {
    /// What a caller sees.
    #[must_use]
    pub fn view(self) -> KekView {
        KekView {
            id: self.id,
            purpose: self.purpose,
            kcv: self.kcv,
            trusted: self.trusted,
            provisional: self.provisional,
            current: self.current,
            created_at: self.created_at,
        }
    }
}
