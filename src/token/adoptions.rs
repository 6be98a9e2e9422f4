//! Which objects of a token are adopted keys: what every new worker is told before it reads the token.

use super::message::{AdoptedKey, Operation};
use crate::base::ids::KeyId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The adopted keys of one token; cheap to clone, and shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct Adoptions(Arc<Mutex<BTreeMap<KeyId, AdoptedKey>>>);

impl Adoptions {
    /// Takes these for adopted.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = AdoptedKey>) -> Self {
        Self(Arc::new(Mutex::new(keys.into_iter().map(|key| (key.key, key)).collect())))
    }

    pub(super) fn add(&self, key: AdoptedKey) {
        self.keys().insert(key.key, key);
    }

    pub(super) fn remove(&self, key: KeyId) {
        self.keys().remove(&key);
    }

    /// All of them, in requests that each fit into a frame.
    pub(super) fn requests(&self) -> Vec<Operation> {
        let keys: Vec<AdoptedKey> = self.keys().values().cloned().collect();
        keys.chunks(A_REQUEST).map(|some| Operation::Adopt(some.to_vec())).collect()
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<KeyId, AdoptedKey>> {
        // The map is consistent after every statement, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An RSA-4096 key has about 550 bytes, id and label at most as much again in any token that is known.
const A_REQUEST: usize = 500;
