//! Where copies of keys are, so that `key destroy` can name them.

use super::{KeyError, api::CopyView, db};
use crate::base::ids::KeyId;
use crate::db::Transaction;

/// Notes that a copy of the key is in this holder.
///
/// # Errors
/// The inventory cannot be written.
pub async fn note(transaction: &mut Transaction, key: KeyId, copy: &CopyView) -> Result<(), KeyError> {
    Ok(db::add_copy(transaction, key, copy).await?)
}
