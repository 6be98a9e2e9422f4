//! The index of keys and KEKs: filled by one search for each class, so that no signature has to search.
//!
//! `C_FindObjects` is a linear scan in SoftHSM (16 µs an object): a search for each signature would be slower than
//! the signature.

use super::{
    facts,
    fault::{Failure, NO_MECHANISM},
    token::Token,
};
use crate::base::ids::{KekId, KeyId};
use crate::pki::public_key::PublicKey;
use crate::token::{
    error::TokenError,
    frame,
    message::{TokenKek, TokenKey},
};
use cryptoki::{
    error::{Error, RvError},
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

/// What is in the token, of one generation of sessions.
#[derive(Default)]
pub(super) struct Index {
    keys: BTreeMap<KeyId, Arc<Entry>>,
    keks: BTreeMap<KekId, Kek>,
    /// Public keys without their private one: what an interrupted restore leaves behind.
    strays: BTreeMap<KeyId, PublicKey>,
    /// Private keys whose CKA_ID is none of ours, or another key's too.
    foreign: Vec<ObjectHandle>,
}

/// One private key.
pub(super) struct Entry {
    pub(super) handle: ObjectHandle,
    pub(super) key: TokenKey,
    pub(super) public_key: Option<PublicKey>,
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) proofs: Proofs,
}

/// Which signatures of a handle were verified before they were released.
#[derive(Default)]
pub(super) struct Proofs {
    proved: AtomicBool,
    signatures: AtomicU32,
}

/// One KEK.
#[derive(Clone)]
pub(super) struct Kek {
    pub(super) handle: ObjectHandle,
    pub(super) kek: TokenKek,
}

impl Index {
    /// Searches for private keys, public keys and KEKs.
    pub(super) fn read(token: &Token, session: &Session) -> Result<Self, Failure> {
        let mut publics = read_public_keys(token, session)?;
        let (mut keys, mut foreign) = (BTreeMap::new(), Vec::new());
        for handle in find(token, session, ObjectClass::PRIVATE_KEY)? {
            match token.read(handle, |handle| facts::key_facts(session, handle))? {
                Some(mut facts) if !keys.contains_key(&facts.id) => {
                    let public = publics.remove(&facts.id);
                    if public.is_none() {
                        facts.algorithm = facts::algorithm_of(session, handle);
                    }
                    keys.insert(facts.id, Arc::new(Entry::new(handle, facts, public)));
                }
                _ => foreign.push(handle),
            }
        }
        Ok(Self { keys, keks: read_keks(token, session)?, strays: publics, foreign })
    }

    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn key(&self, id: KeyId) -> Option<Arc<Entry>> {
        self.keys.get(&id).cloned()
    }

    pub(super) fn stray(&self, id: KeyId) -> Option<PublicKey> {
        self.strays.get(&id).cloned()
    }

    /// Private keys that are in the index by no id.
    pub(super) fn foreign(&self) -> &[ObjectHandle] {
        &self.foreign
    }

    pub(super) fn kek(&self, id: KekId) -> Option<Kek> {
        self.keks.get(&id).cloned()
    }

    /// Keys in the order of their ids: one, and as many more as stay within `limit_bytes` when they are sent.
    pub(super) fn page(&self, offset: usize, limit_bytes: usize) -> Vec<TokenKey> {
        let mut page = Page::new(limit_bytes);
        // Ends with the first that has no room.
        let _ = self.keys.values().skip(offset).all(|entry| page.take(entry.key.clone()));
        page.into_items()
    }

    pub(super) fn keks(&self) -> Vec<TokenKek> {
        self.keks.values().map(|kek| kek.kek.clone()).collect()
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        self.strays.remove(&entry.key.id);
        self.keys.insert(entry.key.id, Arc::new(entry));
    }

    pub(super) fn remove(&mut self, id: KeyId) {
        self.keys.remove(&id);
        self.strays.remove(&id);
    }
}

impl Entry {
    /// Joins what was read of the private key object and its public key.
    pub(super) fn new(handle: ObjectHandle, mut key: TokenKey, public_key: Option<PublicKey>) -> Self {
        let sha256 = public_key.as_ref().map(PublicKey::sha256);
        if let Some(public_key) = &public_key {
            key.algorithm = Some(public_key.algorithm());
            key.public_key_der = public_key.der().to_vec();
        }
        Self { handle, key, public_key, sha256, proofs: Proofs::default() }
    }
}

impl Proofs {
    /// Whether the next signature must be verified before it is released: the first of a handle, and a sample.
    pub(super) fn wanted(&self, sample: Option<u32>) -> bool {
        let number = self.signatures.fetch_add(1, Ordering::Relaxed);
        !self.proved.load(Ordering::Acquire) || sample.is_some_and(|every| number.is_multiple_of(every))
    }

    /// A signature of this handle was verified.
    pub(super) fn set_proved(&self) {
        self.proved.store(true, Ordering::Release);
    }
}

/// Items of an answer that has room for so many bytes, but for one at least.
pub(super) struct Page<T> {
    items: Vec<T>,
    bytes: usize,
    limit_bytes: usize,
}

impl<T: Serialize> Page<T> {
    pub(super) const fn new(limit_bytes: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, limit_bytes }
    }

    /// Takes one more, if there is room; whether it was taken.
    pub(super) fn take(&mut self, item: T) -> bool {
        self.bytes = self.bytes.saturating_add(frame::encoded_bytes(&item).unwrap_or(self.limit_bytes));
        let fits = self.bytes <= self.limit_bytes || self.items.is_empty();
        if fits {
            self.items.push(item);
        }
        fits
    }

    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }
}

fn read_public_keys(token: &Token, session: &Session) -> Result<BTreeMap<KeyId, PublicKey>, Failure> {
    let mut keys = BTreeMap::new();
    for handle in find(token, session, ObjectClass::PUBLIC_KEY)? {
        if let Some((id, key)) = token.read(handle, |handle| facts::public_key(session, handle))? {
            keys.insert(id, key);
        }
    }
    Ok(keys)
}

fn read_keks(token: &Token, session: &Session) -> Result<BTreeMap<KekId, Kek>, Failure> {
    let mut keks = BTreeMap::new();
    for handle in find(token, session, ObjectClass::SECRET_KEY)? {
        if let Some(kek) = token.read(handle, |handle| read_kek(session, handle))? {
            keks.insert(kek.id, Kek { handle, kek });
        }
    }
    Ok(keks)
}

/// A secret key object that is a KEK of keyward's, by label and CKA_ID.
pub(super) fn read_kek(session: &Session, handle: ObjectHandle) -> Result<Option<TokenKek>, Error> {
    let (mut id, mut label, mut trusted) = (None, String::new(), false);
    for attribute in
        session.get_attributes(handle, &[AttributeType::Id, AttributeType::Label, AttributeType::Trusted])?
    {
        match attribute {
            Attribute::Id(bytes) => id = <[u8; 16]>::try_from(bytes).ok().map(KekId::from_bytes),
            Attribute::Label(bytes) => label = facts::label(&bytes),
            Attribute::Trusted(value) => trusted = value,
            _ => {}
        }
    }
    Ok(id.filter(|_| label.starts_with(KEK_LABEL_PREFIX)).map(|id| TokenKek { id, label, trusted }))
}

/// All token objects of a class, by one search.
pub(super) fn find(token: &Token, session: &Session, class: ObjectClass) -> Result<Vec<ObjectHandle>, Failure> {
    search(token, session, &[Attribute::Class(class), Attribute::Token(true)])
}

/// All objects that match, by one search.
pub(super) fn search(token: &Token, session: &Session, template: &[Attribute]) -> Result<Vec<ObjectHandle>, Failure> {
    session.iter_objects_with_cache_size(template, BATCH).and_then(Iterator::collect).map_err(token.refusal(
        "find objects",
        "the token",
        NO_MECHANISM,
    ))
}

impl Token {
    /// Reads one object of a search; none if it is gone since, or no object of keyward's.
    pub(super) fn read<T>(
        &self,
        handle: ObjectHandle,
        read: impl Fn(ObjectHandle) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Failure> {
        let is_gone = |error: &Error| matches!(error, Error::Pkcs11(RvError::ObjectHandleInvalid, _));
        // Asked twice: a key whose public half was missed once would be useless until the next search.
        let found = read(handle).or_else(|error| if is_gone(&error) { read(handle) } else { Err(error) });
        match found {
            Err(error) if is_gone(&error) => Ok(None),
            other => other.map_err(self.refusal("read attributes", "an object", NO_MECHANISM)),
        }
    }

    /// That a key is not there.
    pub(super) fn missing(&self, key: KeyId) -> Failure {
        TokenError::ObjectMissing { key, token: self.name() }.into()
    }

    /// That another key is there.
    pub(super) fn another(&self, key: KeyId) -> Failure {
        TokenError::AnotherKey { key, token: self.name() }.into()
    }
}

/// Labels of KEKs begin with this; keyward's own, which no key of a user may have.
pub(super) const KEK_LABEL_PREFIX: &str = "keyward-kek-";
/// Handles that one call of `C_FindObjects` may give.
const BATCH: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_023);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_is_verified_until_one_held() {
        let proofs = Proofs::default();

        assert!(proofs.wanted(None));
        assert!(proofs.wanted(None));
        proofs.set_proved();
        assert!(!proofs.wanted(None));
    }

    #[test]
    fn a_page_ends_before_it_is_too_long_but_has_one_key_at_least() {
        let keys = [1, 2, 3].map(|number| TokenKey {
            id: KeyId::from_bytes([number; 16]),
            label: "x".repeat(100),
            algorithm: None,
            public_key_der: vec![0; 300],
            sensitive: true,
            extractable: false,
            wrap_with_trusted: false,
            local: true,
            never_extractable: true,
            always_authenticate: false,
        });

        let page = |limit_bytes, keys: &[TokenKey]| {
            let mut page = Page::new(limit_bytes);
            let _ = keys.iter().all(|key| page.take(key.clone()));
            page.into_items()
        };
        assert_eq!(page(1_000, &keys), keys[..2]);
        assert_eq!(page(1, &keys), keys[..1]);
        assert_eq!(page(1_000, &[]), []);
    }

    #[test]
    fn a_sample_is_verified_ever_after() {
        let proofs = Proofs::default();
        proofs.set_proved();

        let verified: Vec<u32> = (0..9).filter(|_| proofs.wanted(Some(4))).collect();

        assert_eq!(verified, [0, 4, 8]);
    }
}
