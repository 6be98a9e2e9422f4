//! A token under test, and what the cases have made in it so far.

use crate::support::tokens::TestToken;
use keyward::{
    base::{
        algorithm::{KeyAlgorithm, SignatureAlgorithm},
        custody::{KekPurpose, KeyPolicy, Purpose},
        ids::{KekId, KeyId},
        secret::Secret,
    },
    ceremony::recover::kek_values,
    pki::public_key::PublicKey,
    token::{
        Token, TokenError, WrappedKey,
        api::{AlgorithmCapability, Capabilities},
        message::{KekSource, KekValue, NewKey, SignJob},
    },
};
use std::collections::BTreeMap;

/// The token and its pool.
pub(super) struct Bench {
    pub(super) test: TestToken,
    pub(super) token: Token,
    pub(super) capabilities: Capabilities,
    /// A `token-only` key of each algorithm that the token makes.
    pub(super) keys: BTreeMap<KeyAlgorithm, Made>,
}

/// A key that was made.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) new: NewKey,
    pub(super) public_key: PublicKey,
}

impl Bench {
    pub(super) fn new(test: TestToken) -> Self {
        let token = Token::new(test.settings.clone(), None);
        Self { test, token, capabilities: Capabilities::default(), keys: BTreeMap::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.test.name
    }

    pub(super) async fn close(self) {
        self.token.close().await;
    }

    /// What the probe says of an algorithm.
    pub(super) fn seen(&self, algorithm: KeyAlgorithm) -> &AlgorithmCapability {
        self.capabilities.algorithm(algorithm).unwrap()
    }

    /// The algorithm for cases that any will do for: P-256 where the token has it.
    pub(super) fn usual(&self) -> KeyAlgorithm {
        if self.seen(KeyAlgorithm::P256).sign { KeyAlgorithm::P256 } else { KeyAlgorithm::Rsa2048 }
    }

    /// The algorithm for cases that wrap a key, if the token wraps any.
    pub(super) fn wrappable(&self) -> Option<KeyAlgorithm> {
        [KeyAlgorithm::P256, KeyAlgorithm::Rsa2048].into_iter().find(|algorithm| self.seen(*algorithm).wrap)
    }

    /// Makes a key in the token.
    pub(super) async fn make(&self, algorithm: KeyAlgorithm, policy: KeyPolicy) -> Made {
        let trusted_kek = policy == KeyPolicy::BackupOnly && self.capabilities.honours_wrap_with_trusted;
        let (id, label) = (KeyId::new(), format!("conformance-{algorithm}").parse().unwrap());
        let new = NewKey { id, label, algorithm, policy, purpose: Purpose::Signing, trusted_kek };
        let made = self.token.generate(new.clone()).await.unwrap();
        assert!(made.sensitive && made.extractable == (policy != KeyPolicy::TokenOnly), "{made:?}");
        Made { new, public_key: PublicKey::from_der(&made.public_key_der).unwrap() }
    }

    /// Wraps it under a KEK.
    pub(super) async fn wrap(&self, key: &Made, purpose: KekPurpose) -> Result<Vec<u8>, TokenError> {
        self.token.wrap(key.new.id, key.public_key.sha256(), kek_id(purpose), purpose).await
    }

    /// Puts it back: by the KEK in the token where that may unwrap, else by a session KEK.
    pub(super) async fn unwrap(&self, key: &Made, wrapped: Vec<u8>, purpose: KekPurpose) {
        let kek = if self.capabilities.unwrap_template {
            KekSource::Token(kek_id(purpose), purpose)
        } else {
            self.token.open_session_keks(keks()).await.unwrap();
            KekSource::Session(purpose)
        };
        let public_key_der = key.public_key.der().to_vec();
        let wrapped = WrappedKey { wrapped, kek, key: key.new.clone(), public_key_der };
        self.token.unwrap_key(wrapped).await.unwrap();
        self.token.close_session_keks().await.unwrap();
    }
}

impl Made {
    /// Signs by the key, and verifies in software.
    pub(super) async fn sign(&self, token: &Token, scheme: SignatureAlgorithm) -> Result<(), TokenError> {
        let input = vec![7; scheme.digest().map_or(100, keyward::base::algorithm::DigestAlgorithm::length_bytes)];
        let (key, public_key_sha256) = (self.new.id, self.public_key.sha256());
        let job = SignJob { key, public_key_sha256, algorithm: scheme, inputs: vec![input.clone()] };
        let signatures = token.sign("", job).await?;
        match scheme.digest() {
            Some(_) => self.public_key.verify_prehash(scheme, &input, &signatures[0]).unwrap(),
            None => self.public_key.verify(scheme, &input, &signatures[0]).unwrap(),
        }
        Ok(())
    }

    /// The same by the usual scheme of its algorithm.
    pub(super) async fn signs(&self, token: &Token) -> Result<(), TokenError> {
        self.sign(token, self.new.algorithm.default_signature()).await
    }

    /// Its CKA_ID, in hex.
    pub(super) fn hex(&self) -> String {
        self.new.id.to_string().replace('-', "")
    }
}

/// The KEKs of the suite.
pub(super) fn keks() -> Vec<KekValue> {
    kek_values(&Secret::new(vec![7; 32])).unwrap()
}

pub(super) fn kek_id(purpose: KekPurpose) -> KekId {
    keks().into_iter().find(|kek| kek.purpose == purpose).unwrap().id
}
