//! The port through which a certificate, a checkpoint or a manifest is signed by a key that is elsewhere.

use super::{algorithm::SignatureAlgorithm, fault::Fault};
use std::{future::Future, pin::Pin};

/// A key that signs somewhere else; `pki` and `audit` need not know that tokens exist.
pub trait Signer: Send + Sync {
    /// The public key, as DER SubjectPublicKeyInfo (RFC 5280, section 4.1).
    fn public_key_der(&self) -> &[u8];

    /// The scheme of the signatures it makes.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// Signs the message (not a digest of it); ECDSA signatures are DER unless the algorithm is fixed.
    fn sign<'a>(&'a self, message: &'a [u8]) -> SignatureFuture<'a>;
}

/// The signature to come.
pub type SignatureFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SignerError>> + Send + 'a>>;

/// Why the key did not sign.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SignerError(Box<dyn Fault>);

impl SignerError {
    /// Carries the fault of whatever holds the key.
    #[must_use]
    pub fn new(fault: impl Fault) -> Self {
        Self(Box::new(fault))
    }

    /// The fault as it was given.
    #[must_use]
    pub fn fault(&self) -> &dyn Fault {
        &*self.0
    }
}
