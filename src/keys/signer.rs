//! Lends a key in the token to `pki` and `audit`, through the port that they know.

use super::{KeyError, KeyRecord};
use crate::base::{
    algorithm::SignatureAlgorithm,
    ids::KeyId,
    signing::{SignatureFuture, Signer, SignerError},
};
use crate::pki::signature::digest;
use crate::token::{Token, TokenError, message::SignJob};

/// A key in the token that signs structures: CSRs, certificates, checkpoints, manifests.
#[derive(Clone, Debug)]
pub struct TokenSigner {
    token: Token,
    key: KeyId,
    public_key_der: Vec<u8>,
    public_key_sha256: [u8; 32],
    algorithm: SignatureAlgorithm,
}

impl TokenSigner {
    /// Lends this key with this algorithm.
    ///
    /// # Errors
    /// The algorithm is of another family, or the row's public key is unreadable.
    pub fn new(token: &Token, key: &KeyRecord, algorithm: SignatureAlgorithm) -> Result<Self, KeyError> {
        if !key.algorithm.can_sign(algorithm) {
            let (algorithm, signature) = (key.algorithm, algorithm);
            return Err(KeyError::AlgorithmMismatch { key: key.label.clone(), algorithm, signature });
        }
        let public_key = key.public_key()?;
        Ok(Self {
            token: token.clone(),
            key: key.id,
            public_key_der: public_key.der().to_vec(),
            public_key_sha256: public_key.sha256(),
            algorithm,
        })
    }

    async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let input = match self.algorithm.digest() {
            Some(by) => digest(by, message),
            None => message.to_vec(),
        };
        let (key, public_key_sha256, algorithm) = (self.key, self.public_key_sha256, self.algorithm);
        let job = SignJob { key, public_key_sha256, algorithm, inputs: vec![input] };
        let mut signatures = self.token.sign("", job).await?;
        signatures.pop().ok_or_else(|| TokenError::Protocol { detail: "a signature was answered by none".to_owned() })
    }
}

impl Signer for TokenSigner {
    fn public_key_der(&self) -> &[u8] {
        &self.public_key_der
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> SignatureFuture<'a> {
        Box::pin(async move { self.signature(message).await.map_err(SignerError::new) })
    }
}
