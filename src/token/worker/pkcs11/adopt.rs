//! Adopted keys: objects of other programs that are keys of the inventory. Only the worker's index knows of it; the
//! objects stay as they are.

use super::{
    Backend,
    fault::Failure,
    index::{Entry, Index},
    objects::{self, Beside},
};
use crate::base::ids::KeyId;
use crate::pki::public_key::PublicKey;
use crate::token::message::{AdoptedKey, TokenKey, TokenObject};
use cryptoki::{object::ObjectHandle, session::Session};
use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

impl Backend {
    /// Takes these for adopted, and answers what was found of them; before the login nothing is searched for.
    pub(super) fn adopt(&self, session: &Session, keys: &[AdoptedKey]) -> Result<Vec<TokenKey>, Failure> {
        self.adopted().extend(keys.iter().map(|key| (key.key, key.clone())));
        if !self.is_logged_in() {
            return Ok(Vec::new());
        }
        self.refresh(session)?;
        let index = self.index();
        Ok(keys.iter().filter_map(|key| index.key(key.key)).map(|entry| entry.key.clone()).collect())
    }

    /// Puts the adopted keys into an index that was just read.
    pub(super) fn resolve_adopted(&self, session: &Session, index: &mut Index) -> Result<(), Failure> {
        let adopted = self.adopted();
        if adopted.is_empty() {
            return Ok(());
        }
        let beside = Beside::read(&self.token, session)?;
        let mut objects = Vec::new();
        for handle in index.foreign().to_vec() {
            let object = self.token.read(handle, |handle| objects::object(session, handle, &beside))?;
            objects.extend(object.map(|object| (handle, object)));
        }
        // A copy that came back from a backup has the id of its key. An adoption that failed may still be known here:
        // several may be of one object.
        let wanted = adopted.values().filter(|key| index.key(key.key).is_none());
        let found: Vec<Found> = wanted.filter_map(|key| find_entry(key, index, &objects)).collect();
        for Found { entry, former } in found {
            if let Some(id) = former {
                index.remove(id);
            }
            index.insert(entry);
        }
        Ok(())
    }

    /// The CKA_ID of a key's objects.
    pub(super) fn cka_id(&self, key: KeyId) -> Vec<u8> {
        self.adopted().get(&key).map_or_else(|| key.as_bytes().to_vec(), |adopted| adopted.cka_id.clone())
    }

    /// Whether the key is an object of another program.
    pub(super) fn is_adopted(&self, key: KeyId) -> bool {
        self.adopted().contains_key(&key)
    }

    fn adopted(&self) -> MutexGuard<'_, BTreeMap<KeyId, AdoptedKey>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of an adopted key, and the id by which the index has had its object.
struct Found {
    entry: Entry,
    former: Option<KeyId>,
}

/// An object that the index has by an id like ours, or a foreign one.
fn find_entry(key: &AdoptedKey, index: &Index, objects: &[(ObjectHandle, TokenObject)]) -> Option<Found> {
    let public = PublicKey::from_der(&key.public_key_der).ok()?;
    if let Ok(id) = <[u8; 16]>::try_from(key.cka_id.as_slice()).map(KeyId::from_bytes)
        && let Some(entry) = index.key(id).filter(|entry| entry.public_key.as_ref().is_none_or(|told| *told == public))
    {
        let facts = TokenKey { id: key.key, ..entry.key.clone() };
        return Some(Found { entry: Entry::new(entry.handle, facts, Some(public)), former: Some(id) });
    }
    let (handle, object) = find(key, objects)?;
    Some(Found { entry: Entry::new(*handle, facts(key.key, object), Some(public)), former: None })
}

/// The object with this public key; else the only one with these names that tells none.
fn find<'a>(key: &AdoptedKey, objects: &'a [(ObjectHandle, TokenObject)]) -> Option<&'a (ObjectHandle, TokenObject)> {
    let same_key = objects.iter().find(|(_, object)| object.public_key_der == key.public_key_der);
    let silent = |object: &TokenObject| {
        object.public_key_der.is_empty() && object.cka_id == key.cka_id && object.label == key.label
    };
    let mut of_names = objects.iter().filter(|(_, object)| silent(object));
    same_key.or_else(|| of_names.next().filter(|_| of_names.next().is_none()))
}

fn facts(id: KeyId, object: &TokenObject) -> TokenKey {
    TokenKey {
        id,
        label: super::facts::label(&object.label),
        algorithm: object.algorithm,
        public_key_der: object.public_key_der.clone(),
        sensitive: object.attributes.sensitive,
        extractable: object.attributes.extractable,
        wrap_with_trusted: object.attributes.wrap_with_trusted,
        local: object.attributes.local,
        never_extractable: object.attributes.never_extractable,
        always_authenticate: object.attributes.always_authenticate,
    }
}
