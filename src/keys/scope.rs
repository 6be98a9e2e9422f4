//! Which keys a caller may use and see: of others it cannot even learn that they exist.

use super::{KeyError, KeyRecord, Keys, db, list};
use crate::base::{
    ids::KeySelector,
    principal::{Caller, KeyScope},
};
use std::collections::BTreeSet;

/// The keys that a new credential is to be good for: those named, or every key if there is no list.
///
/// # Errors
/// There is no such key, or it is keyward's own.
pub async fn resolve(keys: &Keys, selectors: Option<&[String]>) -> Result<KeyScope, KeyError> {
    let Some(selectors) = selectors else { return Ok(KeyScope::Every) };
    let mut scope = BTreeSet::new();
    for selector in selectors {
        let key = list::find(keys, &KeySelector::from(selector.as_str())).await?;
        if key.purpose.is_internal() {
            return Err(KeyError::Internal { key: key.label, purpose: key.purpose });
        }
        scope.insert(key.id);
    }
    Ok(KeyScope::Only(scope))
}

/// The key of this label or id, if the caller may see it.
///
/// # Errors
/// [`KeyError::Unknown`] if there is none, and in the same words if it is not in the caller's scope.
pub async fn find(keys: &Keys, caller: &Caller, selector: &KeySelector) -> Result<KeyRecord, KeyError> {
    let key = list::find(keys, selector).await?;
    if caller.identity.keys.includes(key.id) {
        return Ok(key);
    }
    Err(KeyError::Unknown { selector: selector.to_string() })
}

/// The keys of a scope that are after this label, in the order of their labels, so many at most.
pub(super) async fn after(
    keys: &Keys,
    scope: &KeyScope,
    (label, limit): (&str, u32),
) -> Result<Vec<KeyRecord>, KeyError> {
    let KeyScope::Only(ids) = scope else { return Ok(db::page(&keys.db, label, limit).await?) };
    let mut found = Vec::new();
    for id in ids {
        let key = db::find(&keys.db, &KeySelector::Id(*id)).await?;
        // One that was destroyed stays in the scope and is no longer there.
        found.extend(key.filter(|key| key.label.as_str() > label));
    }
    found.sort_by(|one, other| one.label.cmp(&other.label));
    found.truncate(limit as usize);
    Ok(found)
}
