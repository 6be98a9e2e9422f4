//! Signatures (PKCS#11 v3.1, sections 6.1, 6.3), and the proofs that are made of them.

use super::{Backend, fault::Failure, index::Entry, token::Token};
use crate::base::{
    algorithm::{DigestAlgorithm, KeyAlgorithm, KeyFamily, SignatureAlgorithm},
    ids::KeyId,
};
use crate::pki::{PkiError, padding, public_key, signature};
use crate::token::{
    error::TokenError,
    message::{SignJob, TokenKey},
};
use cryptoki::{
    mechanism::{
        Mechanism, MechanismType,
        eddsa::{EddsaParams, EddsaSignatureScheme},
        rsa::{PkcsMgfType, PkcsPssParams},
    },
    object::ObjectHandle,
    session::Session,
};
use std::borrow::Cow;

impl Backend {
    /// Signs each input by the key whose public key the caller named, and by no other.
    pub(super) fn sign(&self, session: &Session, job: &SignJob) -> Result<Vec<Vec<u8>>, Failure> {
        let entry = self.index().key(job.key).ok_or_else(|| self.token.missing(job.key))?;
        if entry.sha256 != Some(job.public_key_sha256) {
            return Err(self.token.another(job.key));
        }
        job.inputs.iter().map(|input| self.sign_one(session, &entry, job.algorithm, input)).collect()
    }

    fn sign_one(
        &self,
        session: &Session,
        entry: &Entry,
        scheme: SignatureAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let id = entry.key.id;
        let Some(public) = &entry.public_key else {
            return Err(self.token.another(id));
        };
        let authentication = Authentication::of(&entry.key);
        let by = SigningKey { id, handle: entry.handle, algorithm: public.algorithm(), authentication };
        let signature = self.token.signature(session, by, scheme, input)?;
        if entry.proofs.wanted(sample_of(public.algorithm().family())) {
            let verified = match scheme.digest() {
                Some(_) => public.verify_prehash(scheme, input, &signature),
                None => public.verify(scheme, input, &signature),
            };
            verified.map_err(|error| not_proved(id, &error))?;
            entry.proofs.set_proved();
        }
        Ok(signature)
    }
}

/// A private key object that is about to sign.
#[derive(Clone, Copy)]
pub(super) struct SigningKey {
    pub(super) id: KeyId,
    pub(super) handle: ObjectHandle,
    pub(super) algorithm: KeyAlgorithm,
    pub(super) authentication: Authentication,
}

/// When a key asks for the PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authentication {
    /// At each operation (`CKA_ALWAYS_AUTHENTICATE`).
    Always,
    /// At the login.
    AtLogin,
}

impl Authentication {
    /// As the object says.
    pub(super) const fn of(key: &TokenKey) -> Self {
        if key.always_authenticate { Self::Always } else { Self::AtLogin }
    }
}

impl Token {
    /// Proves by a signature over a random challenge that the object is the private half of the public key.
    pub(super) fn prove(
        &self,
        session: &Session,
        id: KeyId,
        handle: ObjectHandle,
        public: &public_key::PublicKey,
    ) -> Result<(), Failure> {
        let mut challenge = [0; 32];
        getrandom::fill(&mut challenge).map_err(|error| self.refused("prove", id, &error.to_string()))?;
        let scheme = public.algorithm().default_signature();
        let input = scheme.digest().map_or_else(|| challenge.to_vec(), |digest| signature::digest(digest, &challenge));
        // None of keyward's own keys, which are the ones that prove themselves, asks for more.
        let authentication = Authentication::AtLogin;
        let by = SigningKey { id, handle, algorithm: public.algorithm(), authentication };
        let signature = self.signature(session, by, scheme, &input)?;
        public.verify(scheme, &challenge, &signature).map_err(|error| not_proved(id, &error))
    }

    /// One signature over a digest, or over the message for Ed25519.
    pub(super) fn signature(
        &self,
        session: &Session,
        by: SigningKey,
        scheme: SignatureAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let (mechanism, name) = mechanism(scheme);
        if !by.algorithm.can_sign(scheme) {
            return Err(TokenError::NotCapable {
                token: self.name(),
                operation: format!("make {scheme} signatures with {} key {}", by.algorithm, by.id),
                cause: format!("{name} is for other keys"),
            }
            .into());
        }
        if scheme.digest().is_some_and(|digest| digest.length_bytes() != input.len()) {
            return Err(self.refused("sign", by.id, "CKR_DATA_LEN_RANGE"));
        }
        session.sign_init(&mechanism, by.handle).map_err(self.refusal("sign", by.id, name))?;
        if by.authentication == Authentication::Always {
            self.authenticate(session)?;
        }
        let data = to_be_signed(by.algorithm, scheme, input);
        let signature = self.module.sign(session, &data).map_err(self.refusal("sign", by.id, name))?;
        if scheme.family() == KeyFamily::Elliptic && !scheme.is_fixed() {
            return signature::ecdsa_der_from_fixed(scheme, &signature).map_err(|error| not_proved(by.id, &error));
        }
        Ok(signature)
    }
}

fn not_proved(key: KeyId, error: &PkiError) -> Failure {
    TokenError::ProofFailed { key, cause: format!("the token's signature is wrong: {error}") }.into()
}

/// Which signatures after the first are verified: RSA by CRT can go wrong in a way that gives the key away.
const fn sample_of(family: KeyFamily) -> Option<u32> {
    match family {
        KeyFamily::Edwards | KeyFamily::Elliptic => None,
        KeyFamily::Rsa => Some(RSA_SAMPLE),
    }
}

/// The mechanism that signs a digest, and its name.
fn mechanism(scheme: SignatureAlgorithm) -> (Mechanism<'static>, &'static str) {
    match scheme.family() {
        KeyFamily::Edwards => (Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), "CKM_EDDSA"),
        KeyFamily::Elliptic => (Mechanism::Ecdsa, "CKM_ECDSA"),
        KeyFamily::Rsa => match scheme.digest() {
            Some(digest) if scheme.is_pss() => (Mechanism::RsaPkcsPss(pss(digest)), "CKM_RSA_PKCS_PSS"),
            _ => (Mechanism::RsaPkcs, "CKM_RSA_PKCS"),
        },
    }
}

/// MGF1 with the same digest, and a salt of its length.
fn pss(digest: DigestAlgorithm) -> PkcsPssParams {
    let (hash_alg, mgf, salt_bytes) = match digest {
        DigestAlgorithm::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
        DigestAlgorithm::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
        DigestAlgorithm::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
    };
    PkcsPssParams { hash_alg, mgf, s_len: salt_bytes.into() }
}

/// What goes to `C_Sign`.
fn to_be_signed(key: KeyAlgorithm, scheme: SignatureAlgorithm, input: &[u8]) -> Cow<'_, [u8]> {
    match (scheme.family(), scheme.digest()) {
        (KeyFamily::Rsa, Some(digest)) if !scheme.is_pss() => Cow::Owned(padding::digest_info(digest, input)),
        // ECDSA takes the leftmost bits of a digest longer than the order (FIPS 186-5, section 6.4.1); some tokens
        // refuse it instead.
        (KeyFamily::Elliptic, Some(_)) => Cow::Borrowed(&input[..input.len().min(order_bytes(key))]),
        _ => Cow::Borrowed(input),
    }
}

fn order_bytes(key: KeyAlgorithm) -> usize {
    usize::try_from(key.bits().div_ceil(8)).unwrap_or(usize::MAX)
}

/// Every how many RSA signatures one is verified: at about 5 % of a signature each, that is not felt.
const RSA_SAMPLE: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pkcs1_wraps_the_digest_and_only_ecdsa_cuts_it() {
        let digest = [7; 64];
        let signed = |key, scheme| to_be_signed(key, scheme, &digest).into_owned();

        assert_eq!(signed(KeyAlgorithm::Rsa2048, SignatureAlgorithm::RsaPkcs1Sha512).len(), 83);
        assert_eq!(signed(KeyAlgorithm::Rsa2048, SignatureAlgorithm::RsaPssSha512), digest);
        assert_eq!(signed(KeyAlgorithm::P256, SignatureAlgorithm::EcdsaSha512), [7; 32]);
        assert_eq!(signed(KeyAlgorithm::P521, SignatureAlgorithm::EcdsaSha512), digest);
        assert_eq!(signed(KeyAlgorithm::Ed25519, SignatureAlgorithm::Ed25519), digest);
    }

    #[test]
    fn a_pss_salt_is_as_long_as_its_digest() {
        for digest in DigestAlgorithm::ALL {
            assert_eq!(usize::from(pss(*digest).s_len), digest.length_bytes());
        }
    }
}
