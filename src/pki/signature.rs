//! Signatures in X.509 and CMS: their `AlgorithmIdentifier` (RFC 4055, RFC 5758, RFC 8410), their digests,
//! and ECDSA between r‖s and DER.

use super::{PkiError, error::encoding};
use crate::base::algorithm::{DigestAlgorithm, KeyFamily, SignatureAlgorithm};
use const_oid::db::{rfc5912, rfc8410};
use der::{
    Decode, Encode, Sequence,
    asn1::{Any, Null, ObjectIdentifier, UintRef},
};
use pkcs1::RsaPssParams;
use sha2::{Digest, Sha256, Sha384, Sha512};
use spki::AlgorithmIdentifierOwned;

/// The digest of a message.
#[must_use]
pub fn digest(algorithm: DigestAlgorithm, message: &[u8]) -> Vec<u8> {
    match algorithm {
        DigestAlgorithm::Sha256 => Sha256::digest(message).to_vec(),
        DigestAlgorithm::Sha384 => Sha384::digest(message).to_vec(),
        DigestAlgorithm::Sha512 => Sha512::digest(message).to_vec(),
    }
}

/// The X.509 `AlgorithmIdentifier` of a signature (RFC 4055, RFC 5758, RFC 8410); `-fixed` is the same as DER in it.
///
/// # Errors
/// [`PkiError::Encoding`]; does not happen.
pub fn signature_identifier(algorithm: SignatureAlgorithm) -> Result<AlgorithmIdentifierOwned, PkiError> {
    let parameters = match algorithm.digest() {
        Some(digest) if algorithm.is_pss() => Some(Any::encode_from(&pss_parameters(digest))),
        // RFC 4055, section 5: NULL for PKCS#1 v1.5; RFC 5758, section 3.2: absent for ECDSA.
        Some(_) if algorithm.family() == KeyFamily::Rsa => Some(Any::encode_from(&Null)),
        _ => None,
    };
    let parameters = parameters.transpose().map_err(|cause| encoding("signature algorithm", cause))?;
    Ok(AlgorithmIdentifierOwned { oid: signature_oid(algorithm), parameters })
}

/// The signature algorithm that an X.509 `AlgorithmIdentifier` names; ECDSA is DER.
///
/// # Errors
/// [`PkiError::PublicKeyUnsupported`] for any other, also PSS with an MGF1 hash or salt length of its own.
pub fn signature_algorithm(identifier: &AlgorithmIdentifierOwned) -> Result<SignatureAlgorithm, PkiError> {
    let same_oid = SignatureAlgorithm::ALL.iter().copied().filter(|known| signature_oid(*known) == identifier.oid);
    same_oid
        .into_iter()
        .find(|known| !known.is_pss() || pss_matches(*known, identifier))
        .ok_or_else(|| unsupported(format_args!("signature algorithm {}", identifier.oid)))
}

/// ECDSA signature r‖s, as PKCS#11 gives it, as DER `ECDSA-Sig-Value` (RFC 3279, section 2.2.3).
///
/// # Errors
/// [`PkiError::SignatureInvalid`] if it has no two equal halves.
pub fn ecdsa_der_from_fixed(algorithm: SignatureAlgorithm, fixed: &[u8]) -> Result<Vec<u8>, PkiError> {
    if fixed.is_empty() || !fixed.len().is_multiple_of(2) {
        return Err(invalid(algorithm));
    }
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let value = EcdsaSigValue {
        r: UintRef::new(r).map_err(|_| invalid(algorithm))?,
        s: UintRef::new(s).map_err(|_| invalid(algorithm))?,
    };
    value.to_der().map_err(|cause| encoding("ECDSA signature", cause))
}

/// ECDSA signature in DER, as a PIV card gives it, as r‖s of twice the order's length.
///
/// # Errors
/// [`PkiError::SignatureInvalid`] if it is no `ECDSA-Sig-Value` of that length.
pub fn ecdsa_fixed(algorithm: SignatureAlgorithm, signature: &[u8], order_bytes: usize) -> Result<Vec<u8>, PkiError> {
    ecdsa_fixed_from_der(signature, 2 * order_bytes).ok_or_else(|| invalid(algorithm))
}

/// An X.509 signature of a signer: DER where the signer makes r‖s.
pub(super) fn certificate_signature(algorithm: SignatureAlgorithm, signature: Vec<u8>) -> Result<Vec<u8>, PkiError> {
    if algorithm.is_fixed() { ecdsa_der_from_fixed(algorithm, &signature) } else { Ok(signature) }
}

#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

pub(super) fn ecdsa_fixed_from_der(signature: &[u8], size_bytes: usize) -> Option<Vec<u8>> {
    let EcdsaSigValue { r, s } = EcdsaSigValue::from_der(signature).ok()?;
    let half = size_bytes / 2;
    let mut fixed = vec![0; size_bytes];
    for (integer, end) in [(r.as_bytes(), half), (s.as_bytes(), size_bytes)] {
        let start = end.checked_sub(integer.len()).filter(|start| *start + half >= end)?;
        fixed[start..end].copy_from_slice(integer);
    }
    Some(fixed)
}

fn pss_parameters(digest: DigestAlgorithm) -> RsaPssParams<'static> {
    match digest {
        DigestAlgorithm::Sha256 => RsaPssParams::new::<Sha256>(32),
        DigestAlgorithm::Sha384 => RsaPssParams::new::<Sha384>(48),
        DigestAlgorithm::Sha512 => RsaPssParams::new::<Sha512>(64),
    }
}

/// Compares hash, MGF1 hash and salt; hash parameters may be NULL or absent (RFC 4055, section 2.1).
fn pss_matches(known: SignatureAlgorithm, identifier: &AlgorithmIdentifierOwned) -> bool {
    let parameters = identifier.parameters.as_ref().and_then(|any| any.decode_as::<RsaPssParams<'_>>().ok());
    let (Some(found), Some(digest)) = (parameters, known.digest()) else {
        return false;
    };
    let expected = pss_parameters(digest);
    let mask_hash = |parameters: &RsaPssParams<'_>| parameters.mask_gen.parameters.map(|hash| hash.oid);
    found.hash.oid == expected.hash.oid
        && found.mask_gen.oid == expected.mask_gen.oid
        && mask_hash(&found) == mask_hash(&expected)
        && found.salt_len == expected.salt_len
}

fn signature_oid(algorithm: SignatureAlgorithm) -> ObjectIdentifier {
    use SignatureAlgorithm as S;
    match algorithm {
        S::RsaPkcs1Sha256 => rfc5912::SHA_256_WITH_RSA_ENCRYPTION,
        S::RsaPkcs1Sha384 => rfc5912::SHA_384_WITH_RSA_ENCRYPTION,
        S::RsaPkcs1Sha512 => rfc5912::SHA_512_WITH_RSA_ENCRYPTION,
        S::RsaPssSha256 | S::RsaPssSha384 | S::RsaPssSha512 => rfc5912::ID_RSASSA_PSS,
        S::EcdsaSha256 | S::EcdsaSha256Fixed => rfc5912::ECDSA_WITH_SHA_256,
        S::EcdsaSha384 | S::EcdsaSha384Fixed => rfc5912::ECDSA_WITH_SHA_384,
        S::EcdsaSha512 | S::EcdsaSha512Fixed => rfc5912::ECDSA_WITH_SHA_512,
        S::Ed25519 => rfc8410::ID_ED_25519,
    }
}

pub(super) fn invalid(algorithm: SignatureAlgorithm) -> PkiError {
    PkiError::SignatureInvalid { algorithm: algorithm.to_string() }
}

fn unsupported(kind: impl std::fmt::Display) -> PkiError {
    PkiError::PublicKeyUnsupported { kind: kind.to_string() }
}
