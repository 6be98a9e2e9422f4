//! Taking keys in that came back from a backup.

use super::{KeyError, KeyRecord, Keys, db};
use crate::base::ids::{KeyId, KeySelector};
use crate::db::Transaction;

pub use super::db::Tombstone;

/// Takes a key into the inventory; its objects are in the token already.
///
/// # Errors
/// Its label is in use, or the inventory cannot be written.
pub async fn take_in(transaction: &mut Transaction, key: &KeyRecord) -> Result<(), KeyError> {
    Ok(db::insert(transaction, key).await?)
}

/// Takes a tombstone in.
///
/// # Errors
/// The inventory cannot be written.
pub async fn take_in_tombstone(transaction: &mut Transaction, stone: &Tombstone) -> Result<(), KeyError> {
    Ok(db::add_tombstone(transaction, stone).await?)
}

/// Every tombstone.
///
/// # Errors
/// The inventory cannot be read.
pub async fn tombstones(keys: &Keys) -> Result<Vec<Tombstone>, KeyError> {
    Ok(db::tombstones(&keys.db).await?)
}

/// What the token was seen to hold now, of a key that the inventory knows.
///
/// # Errors
/// The inventory cannot be written.
pub async fn refresh(transaction: &mut Transaction, key: &KeyRecord) -> Result<(), KeyError> {
    Ok(db::refresh(transaction, key).await?)
}

/// Forgets a key of keyward's own that another takes the place of; its objects are the caller's to destroy.
///
/// # Errors
/// The inventory cannot be written.
pub async fn forget(transaction: &mut Transaction, id: KeyId) -> Result<(), KeyError> {
    Ok(db::forget(transaction, id).await?)
}

/// The key of this id, if there is one.
///
/// # Errors
/// The inventory cannot be read.
pub async fn known(keys: &Keys, id: KeyId) -> Result<Option<KeyRecord>, KeyError> {
    Ok(db::find(&keys.db, &KeySelector::Id(id)).await?)
}
