//! What an archive says about its keys beyond their bytes: labels, states, certificates, tombstones.
//!
//! Sealed, since it tells who has which certificate: CMS `AuthEnvelopedData` under the inventory KEK.

use super::BackupError;
use crate::base::{
    algorithm::KeyAlgorithm,
    custody::{KeyPolicy, KeyState, Origin, Purpose},
    ids::{KeyId, KeyLabel},
    time::Timestamp,
};
use crate::certificates;
use crate::keys::{
    KeyRecord, Keys,
    restored::{Tombstone, tombstones},
};
use serde::{Deserialize, Serialize};

/// The inventory of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Every key of the instance, those that the archive does not hold too.
    pub keys: Vec<InventoryKey>,
    /// Every key that was destroyed.
    pub tombstones: Vec<Tombstone>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryKey {
    /// Its id.
    pub id: KeyId,
    /// Its label.
    pub label: KeyLabel,
    /// Type and size.
    pub algorithm: KeyAlgorithm,
    /// What may leave.
    pub policy: KeyPolicy,
    /// What it is for.
    pub purpose: Purpose,
    /// Approvals that an export needs.
    pub approvals: u32,
    /// Where it came from at first.
    pub origin: Origin,
    /// SP 800-57 state.
    pub state: KeyState,
    /// Free text.
    pub comment: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// PEM certificates, the newest first.
    pub certificates: Vec<String>,
}

impl Inventory {
    /// The inventory as it is now.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn collect(keys: &Keys, records: &[KeyRecord]) -> Result<Self, BackupError> {
        let mut entries = Vec::with_capacity(records.len());
        for key in records {
            let certificates = certificates::pems_of(keys, key.id).await?;
            entries.push(InventoryKey::new(key, certificates));
        }
        Ok(Self { keys: entries, tombstones: tombstones(keys).await? })
    }

    /// As it is sealed.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BackupError> {
        serde_json::to_vec(self).map_err(|error| unreadable(&error))
    }

    /// As it was sealed.
    ///
    /// # Errors
    /// Not an inventory.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BackupError> {
        serde_json::from_slice(bytes).map_err(|error| unreadable(&error))
    }

    /// The key with this id.
    ///
    /// # Errors
    /// Manifest and inventory are not of one backup.
    pub fn key(&self, id: KeyId) -> Result<&InventoryKey, BackupError> {
        self.keys.iter().find(|key| key.id == id).ok_or_else(|| BackupError::ArchiveInvalid {
            cause: format!("inventory.cms does not know key {id} of manifest.json"),
        })
    }

    /// Whether the key had been destroyed.
    #[must_use]
    pub fn is_destroyed(&self, id: KeyId) -> bool {
        let id = id.to_string();
        self.tombstones.iter().any(|stone| stone.key_id == id)
    }
}

impl InventoryKey {
    fn new(key: &KeyRecord, certificates: Vec<String>) -> Self {
        Self {
            id: key.id,
            label: key.label.clone(),
            algorithm: key.algorithm,
            policy: key.policy,
            purpose: key.purpose,
            approvals: key.approvals,
            origin: key.origin,
            state: key.state,
            comment: key.comment.clone(),
            created_at: key.created_at,
            certificates,
        }
    }
}

fn unreadable(error: &serde_json::Error) -> BackupError {
    BackupError::ArchiveInvalid { cause: format!("inventory.cms: {error}") }
}
