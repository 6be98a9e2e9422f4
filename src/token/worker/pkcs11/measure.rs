//! What a scratch key signs with, and how fast.

use super::{
    fault::{Class, Failure},
    sign::{Authentication, SigningKey},
    token::Token,
};
use crate::base::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    ids::KeyId,
};
use crate::pki::{public_key::PublicKey, signature};
use cryptoki::{object::ObjectHandle, session::Session};
use std::time::{Duration, Instant};

/// What was seen of a key that signs.
#[derive(Default)]
pub(super) struct Measured {
    /// Schemes of which a signature verified.
    pub(super) signatures: Vec<SignatureAlgorithm>,
    /// Signatures a second.
    pub(super) per_second: Option<u32>,
}

impl Token {
    /// Tries every scheme of the key, then signs for a moment.
    pub(super) fn measure(
        &self,
        session: &Session,
        handle: ObjectHandle,
        public: &PublicKey,
    ) -> Result<Measured, Failure> {
        let by =
            SigningKey { id: SCRATCH, handle, algorithm: public.algorithm(), authentication: Authentication::AtLogin };
        let per_second = self.speed(session, by)?;
        let mut signatures = Vec::new();
        for scheme in SignatureAlgorithm::ALL.iter().copied().filter(|scheme| by.algorithm.can_sign(*scheme)) {
            // A session of its own: one in which something failed is not used again.
            if self.signs(handle, public, scheme)? {
                signatures.push(scheme);
            }
        }
        Ok(Measured { signatures, per_second: Some(per_second) })
    }

    fn signs(&self, handle: ObjectHandle, public: &PublicKey, scheme: SignatureAlgorithm) -> Result<bool, Failure> {
        let by =
            SigningKey { id: SCRATCH, handle, algorithm: public.algorithm(), authentication: Authentication::AtLogin };
        let session = self.open_session()?;
        match self.signature(&session, by, scheme, &input(scheme)) {
            Ok(signature) => Ok(public.verify(scheme, MESSAGE, &signature).is_ok()),
            Err(failure) if failure.class == Class::Session => Err(failure),
            Err(_) => Ok(false),
        }
    }

    fn speed(&self, session: &Session, by: SigningKey) -> Result<u32, Failure> {
        let scheme = KeyAlgorithm::default_signature(by.algorithm);
        let (begun, input) = (Instant::now(), input(scheme));
        let mut count = 0_u32;
        while count < MOST && begun.elapsed() < LONGEST {
            self.signature(session, by, scheme, &input)?;
            count += 1;
        }
        let micros = begun.elapsed().as_micros().max(1);
        Ok(u32::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u32::MAX).max(1))
    }
}

fn input(scheme: SignatureAlgorithm) -> Vec<u8> {
    scheme.digest().map_or_else(|| MESSAGE.to_vec(), |digest| signature::digest(digest, MESSAGE))
}

/// Named in errors only.
const SCRATCH: KeyId = KeyId::from_bytes([0; 16]);
const MESSAGE: &[u8] = b"keyward scratch message";
/// Signatures that a speed is taken of, at most.
const MOST: u32 = 48;
/// And how long they may take.
const LONGEST: Duration = Duration::from_millis(150);
