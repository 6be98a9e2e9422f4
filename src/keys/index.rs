//! Keys for use, in memory: what a signature asks of a row, so that no database stands on its way.
//!
//! A key comes in with its first use, and goes after every change of its row. A reader that raced with a change may
//! still use what it read, as if it had come before the change, but leaves nothing of it behind for others.

use super::{KeyError, KeyRecord, Keys, db};
use crate::audit::ObjectRef;
use crate::base::{
    algorithm::KeyAlgorithm,
    custody::{KeyState, Purpose},
    ids::{KeyId, KeyLabel, KeySelector},
    principal::Caller,
};
use crate::pki::PkiError;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// What using a key asks of its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyForUse {
    /// Id, also CKA_ID.
    pub id: KeyId,
    /// Unique name.
    pub label: KeyLabel,
    /// Type and size.
    pub algorithm: KeyAlgorithm,
    /// What it is for.
    pub purpose: Purpose,
    /// SP 800-57 state.
    pub state: KeyState,
    /// SHA-256 of the DER SubjectPublicKeyInfo: the one key in the token that may sign for it.
    pub public_key_sha256: [u8; 32],
    /// Label of the token that it is in.
    pub token: Arc<str>,
    /// The key as audit records name it.
    pub object: Arc<ObjectRef>,
}

/// The keys that were used since their rows changed last; cheap to clone.
#[derive(Clone, Default)]
pub struct KeyIndex(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    by_id: HashMap<KeyId, Arc<KeyForUse>>,
    by_label: HashMap<String, Arc<KeyForUse>>,
    /// Counts changes, so that a row that was read before one is not put in after it.
    changes: u64,
}

/// A change of a key's row that is under way. Dropped, after the commit or without one, the key is read anew.
#[must_use]
pub struct Change<'a> {
    index: &'a KeyIndex,
    id: KeyId,
}

/// The key of this label or id, for a caller whose credential is good for it.
///
/// # Errors
/// [`KeyError::Unknown`] if there is none, and just so if the caller is not to know that there is.
pub async fn find_for_use(keys: &Keys, caller: &Caller, selector: &KeySelector) -> Result<Arc<KeyForUse>, KeyError> {
    let key = match keys.index.known(selector) {
        Ok(key) => Some(key),
        Err(changes) => {
            let row = db::find(&keys.db, selector).await?;
            row.map(|row| Ok::<_, PkiError>(keys.index.put_in(changes, KeyForUse::of(&row)?))).transpose()?
        }
    };
    key.filter(|key| caller.identity.keys.includes(key.id))
        .ok_or_else(|| KeyError::Unknown { selector: selector.to_string() })
}

impl KeyForUse {
    /// What is asked of this row.
    ///
    /// # Errors
    /// The row's public key is unreadable.
    pub fn of(row: &KeyRecord) -> Result<Self, PkiError> {
        Ok(Self {
            id: row.id,
            label: row.label.clone(),
            algorithm: row.algorithm,
            purpose: row.purpose,
            state: row.state,
            public_key_sha256: row.public_key()?.sha256(),
            token: row.token.as_str().into(),
            object: row.object().into(),
        })
    }
}

impl KeyIndex {
    /// Announces a change of a key's row; hold it until the change is committed.
    pub const fn change(&self, id: KeyId) -> Change<'_> {
        Change { index: self, id }
    }

    /// The key, or how many changes there were before its row is read.
    fn known(&self, selector: &KeySelector) -> Result<Arc<KeyForUse>, u64> {
        let known = self.read();
        let key = match selector {
            KeySelector::Id(id) => known.by_id.get(id),
            KeySelector::Label(label) => known.by_label.get(label),
        };
        key.cloned().ok_or(known.changes)
    }

    /// Keeps a key whose row was read after so many changes, unless there was another since.
    fn put_in(&self, changes: u64, key: KeyForUse) -> Arc<KeyForUse> {
        let key = Arc::new(key);
        let mut known = self.write();
        if known.changes == changes {
            known.by_id.insert(key.id, Arc::clone(&key));
            known.by_label.insert(key.label.to_string(), Arc::clone(&key));
        }
        key
    }

    fn forget(&self, id: KeyId) {
        let mut known = self.write();
        known.changes += 1;
        if let Some(key) = known.by_id.remove(&id) {
            known.by_label.remove(key.label.as_str());
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        // The maps are consistent after every statement that can panic, so a panic elsewhere does not spoil them.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.index.forget(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8, label: &str) -> KeyForUse {
        let id = KeyId::from_bytes([id; 16]);
        KeyForUse {
            id,
            label: label.parse().unwrap(),
            algorithm: KeyAlgorithm::P256,
            purpose: Purpose::Signing,
            state: KeyState::Active,
            public_key_sha256: [7; 32],
            token: "rig".into(),
            object: ObjectRef::new("key", id, label).into(),
        }
    }

    fn web() -> KeySelector {
        KeySelector::from("web")
    }

    #[test]
    fn a_key_that_was_used_is_found_by_label_and_id_until_its_row_changes() {
        let index = KeyIndex::default();
        let before = index.known(&web()).unwrap_err();
        let used = index.put_in(before, key(1, "web"));

        assert_eq!(index.known(&web()), Ok(Arc::clone(&used)));
        assert_eq!(index.known(&KeySelector::Id(used.id)), Ok(Arc::clone(&used)));
        drop(index.change(used.id));

        assert!(index.known(&web()).is_err());
        assert!(index.known(&KeySelector::Id(used.id)).is_err());
    }

    #[test]
    fn the_change_of_one_key_leaves_the_others() {
        let index = KeyIndex::default();
        index.put_in(0, key(1, "web"));
        let other = index.put_in(0, key(2, "mail"));

        drop(index.change(KeyId::from_bytes([1; 16])));

        assert_eq!(index.known(&KeySelector::from("mail")), Ok(other));
    }

    #[test]
    fn a_row_that_was_read_before_a_change_is_not_kept_after_it() {
        let index = KeyIndex::default();
        let before = index.known(&web()).unwrap_err();

        drop(index.change(KeyId::from_bytes([1; 16])));
        index.put_in(before, key(1, "web"));

        assert!(index.known(&web()).is_err());
    }
}
