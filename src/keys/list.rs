//! `key list`, `key show`, `key public`: the inventory is read.

use super::{
    KeyError, KeyRecord, Keys,
    api::{CopyView, PageQuery},
    db, scope,
};
use crate::base::{
    ids::{KeyId, KeySelector},
    principal::Caller,
};

/// The key of this label or id.
///
/// # Errors
/// [`KeyError::Unknown`] if there is none.
pub async fn find(keys: &Keys, selector: &KeySelector) -> Result<KeyRecord, KeyError> {
    db::find(&keys.db, selector).await?.ok_or_else(|| KeyError::Unknown { selector: selector.to_string() })
}

/// One page of the keys that the caller may see, in the order of their labels; keyward's own are among them.
///
/// # Errors
/// The limit is not 1 to 1,000.
pub async fn page(
    keys: &Keys,
    caller: &Caller,
    query: &PageQuery,
) -> Result<(Vec<KeyRecord>, Option<String>), KeyError> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        return Err(KeyError::LimitMalformed { given: limit });
    }
    let from = (query.after.as_deref().unwrap_or(""), limit + 1);
    let mut records = scope::after(keys, &caller.identity.keys, from).await?;
    let more = records.len() > limit as usize;
    records.truncate(limit as usize);
    let next = records.last().filter(|_| more).map(|last| last.label.to_string());
    Ok((records, next))
}

/// Every key, in the order of the labels.
///
/// # Errors
/// The inventory cannot be read.
pub async fn all(keys: &Keys) -> Result<Vec<KeyRecord>, KeyError> {
    Ok(db::all(&keys.db).await?)
}

/// Where copies of a key are.
///
/// # Errors
/// The inventory cannot be read.
pub async fn copies(keys: &Keys, key: KeyId) -> Result<Vec<CopyView>, KeyError> {
    Ok(db::copies(&keys.db, key).await?)
}
