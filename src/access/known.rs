//! Every credential in memory, found by its hash: no database stands on the way of a signature. Expired and revoked
//! ones stay, so that their holders are told why they are turned away.

use super::{AccessError, credential::Credential, rate::Allowance};
use crate::base::{
    principal::{Identity, Principal},
    time::Timestamp,
};
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock},
};

/// All of them.
#[derive(Debug)]
pub(super) struct Known {
    by_sha256: RwLock<HashMap<[u8; 32], Arc<Entry>>>,
    per_second: NonZeroU32,
}

/// One credential, and what its holder may still ask now.
#[derive(Debug)]
struct Entry {
    credential: Credential,
    allowance: Allowance,
}

impl Known {
    pub(super) fn new(credentials: Vec<Credential>, per_second: NonZeroU32) -> Self {
        let known = Self { by_sha256: RwLock::default(), per_second };
        credentials.into_iter().for_each(|credential| known.put(credential));
        known
    }

    /// Takes one in, or in the place of what was known of it; from now on this counts.
    pub(super) fn put(&self, credential: Credential) {
        let (sha256, allowance) = (credential.sha256, Allowance::per_second(self.per_second));
        let mut known = self.by_sha256.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(sha256, Arc::new(Entry { credential, allowance }));
    }

    /// Who shows the credential with this hash, and one request off what they may ask.
    pub(super) fn identify(&self, sha256: &[u8; 32], now: Timestamp) -> Result<Arc<Identity>, AccessError> {
        let entry = self.by_sha256.read().unwrap_or_else(PoisonError::into_inner).get(sha256).cloned();
        let entry = entry.ok_or(AccessError::CredentialUnknown)?;
        let Credential { identity, expires_at, revoked_at, .. } = &entry.credential;
        let who = || identity.principal.clone();
        if let Some(at) = *revoked_at {
            return Err(AccessError::CredentialRevoked { who: who(), at });
        }
        if *expires_at <= now {
            return Err(AccessError::CredentialExpired { who: who(), at: *expires_at });
        }
        self.admit(&entry.allowance, &identity.principal)?;
        Ok(Arc::clone(identity))
    }

    /// Takes one request off an allowance.
    pub(super) fn admit(&self, allowance: &Allowance, who: &Principal) -> Result<(), AccessError> {
        if allowance.take() {
            return Ok(());
        }
        Err(AccessError::RateExceeded { who: who.clone(), per_second: self.per_second.get() })
    }

    /// Every credential, the oldest first.
    pub(super) fn all(&self) -> Vec<Credential> {
        let known = self.by_sha256.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.values().map(|entry| entry.credential.clone()).collect();
        all.sort_by_key(|credential| (credential.created_at, credential.id));
        all
    }
}
