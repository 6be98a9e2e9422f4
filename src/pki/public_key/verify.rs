//! Checking signatures with a public key: PKCS#1 v1.5 and PSS (RFC 8017), ECDSA (FIPS 186-5), Ed25519 (RFC 8032).

use super::{Material, PublicKey};
use crate::base::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use crate::pki::{
    PkiError,
    signature::{digest, ecdsa_fixed_from_der, invalid},
};
use ecdsa::elliptic_curve::CurveArithmetic;
use rsa::traits::PublicKeyParts;
use sha2::{Sha256, Sha384, Sha512};
use signature::hazmat::PrehashVerifier;

impl PublicKey {
    /// Checks a signature over a message.
    ///
    /// # Errors
    /// [`PkiError::SignatureInvalid`], also when a key of this kind makes no such signatures.
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), PkiError> {
        match (algorithm.digest(), &self.material) {
            (Some(by), _) => self.verify_prehash(algorithm, &digest(by, message), signature),
            (None, Material::Ed25519(key)) => ed25519_holds(key, message, signature).ok_or_else(|| invalid(algorithm)),
            (None, _) => Err(invalid(algorithm)),
        }
    }

    /// Checks a signature over a digest that was made elsewhere.
    ///
    /// # Errors
    /// [`PkiError::SignatureInvalid`], also for a digest of another length and for Ed25519, which signs no digests.
    pub fn verify_prehash(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<(), PkiError> {
        if algorithm.digest().is_none_or(|expected| expected.length_bytes() != digest.len()) {
            return Err(invalid(algorithm));
        }
        self.prehash_holds(algorithm, digest, signature).ok_or_else(|| invalid(algorithm))
    }

    fn prehash_holds(&self, algorithm: SignatureAlgorithm, digest: &[u8], signature: &[u8]) -> Option<()> {
        if !self.algorithm.can_sign(algorithm) {
            return None;
        }
        match &self.material {
            Material::Ed25519(_) => None,
            Material::P256(key) => ecdsa_holds(key, algorithm, digest, signature),
            Material::P384(key) => ecdsa_holds(key, algorithm, digest, signature),
            Material::P521(key) => ecdsa_holds(key, algorithm, digest, signature),
            Material::Rsa(key) => rsa_holds(key, algorithm, digest, signature),
            Material::Secp256k1(key) => ecdsa_holds(key, algorithm, digest, signature),
        }
    }
}

fn ecdsa_holds<C>(
    key: &ecdsa::VerifyingKey<C>,
    algorithm: SignatureAlgorithm,
    digest: &[u8],
    signature: &[u8],
) -> Option<()>
where
    C: ecdsa::EcdsaCurve + CurveArithmetic,
{
    let size = 2 * ecdsa::elliptic_curve::FieldBytes::<C>::default().len();
    let fixed = if algorithm.is_fixed() { signature.to_vec() } else { ecdsa_fixed_from_der(signature, size)? };
    let signature = ecdsa::Signature::<C>::from_slice(&fixed).ok()?;
    // The secp256k1 crate takes low S only (a rule of Bitcoin); tokens and OpenSSL make either.
    let signature = if C::NORMALIZE_S { signature.normalize_s() } else { signature };
    key.verify_prehash(digest, &signature).ok()
}

fn rsa_holds(key: &rsa::RsaPublicKey, algorithm: SignatureAlgorithm, digest: &[u8], signature: &[u8]) -> Option<()> {
    macro_rules! holds {
        ($scheme:ident, $hash:ty) => {{
            let signature = rsa::$scheme::Signature::try_from(signature).ok()?;
            rsa::$scheme::VerifyingKey::<$hash>::new(key.clone()).verify_prehash(digest, &signature).ok()
        }};
    }
    // RFC 8017, section 8.2.2, step 1; the crate compares integers only.
    if signature.len() != key.size() {
        return None;
    }
    match (algorithm.digest()?, algorithm.is_pss()) {
        (DigestAlgorithm::Sha256, false) => holds!(pkcs1v15, Sha256),
        (DigestAlgorithm::Sha384, false) => holds!(pkcs1v15, Sha384),
        (DigestAlgorithm::Sha512, false) => holds!(pkcs1v15, Sha512),
        (DigestAlgorithm::Sha256, true) => holds!(pss, Sha256),
        (DigestAlgorithm::Sha384, true) => holds!(pss, Sha384),
        (DigestAlgorithm::Sha512, true) => holds!(pss, Sha512),
    }
}

fn ed25519_holds(key: &ed25519_dalek::VerifyingKey, message: &[u8], signature: &[u8]) -> Option<()> {
    let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
    key.verify_strict(message, &signature).ok()
}
