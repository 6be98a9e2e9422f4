//! Public keys as DER SubjectPublicKeyInfo (RFC 5280, section 4.1); `verify` has the signatures that they verify.
//!
//! Invariant: a [`PublicKey`] is of a kind that keyward knows, its point is on the curve, and its DER is
//! the one usual encoding (uncompressed point, NULL parameters for RSA), so that equal keys have equal
//! bytes and equal hashes whoever encoded them first.

mod verify;

use super::{PkiError, error::encoding};
use crate::base::algorithm::KeyAlgorithm;
use const_oid::db::{rfc5912, rfc8410};
use der::{
    Decode, DecodePem, Encode,
    asn1::{ObjectIdentifier, OctetStringRef, UintRef},
};
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256};
use spki::{EncodePublicKey, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef, der::pem::LineEnding};
use std::fmt;

/// A public key of a kind that keyward knows.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    der: Vec<u8>,
    material: Material,
}

/// The key as the crate that verifies with it has it.
#[derive(Clone)]
enum Material {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Rsa(rsa::RsaPublicKey),
    Secp256k1(k256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`PkiError::PublicKeyMalformed`], or [`PkiError::PublicKeyUnsupported`] for another algorithm, size or curve.
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(malformed)?;
        let bytes = info.subject_public_key.as_bytes().ok_or_else(|| malformed("the bit string has unused bits"))?;
        match info.algorithm.oid {
            rfc5912::RSA_ENCRYPTION => Self::from_pkcs1(bytes),
            rfc8410::ID_ED_25519 => Self::from_point(KeyAlgorithm::Ed25519, bytes),
            rfc5912::ID_EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters_oid().map_err(|_| unsupported("EC with explicit parameters"))?;
                Self::from_point(curve_algorithm(curve)?, bytes)
            }
            other => Err(unsupported(other)),
        }
    }

    /// Reads a PEM `PUBLIC KEY`.
    ///
    /// # Errors
    /// As [`PublicKey::from_der`].
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let info = SubjectPublicKeyInfoOwned::from_pem(pem.trim_start()).map_err(malformed)?;
        Self::from_der(&info.to_der().map_err(malformed)?)
    }

    /// Makes an RSA key of a big-endian modulus and exponent, as a token gives them.
    ///
    /// # Errors
    /// [`PkiError::PublicKeyUnsupported`] unless the modulus has 2,048, 3,072 or 4,096 bits;
    /// [`PkiError::PublicKeyMalformed`] for an even modulus or an exponent that is even, below 3 or above 2³³.
    pub fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, PkiError> {
        let modulus = UintRef::new(modulus).map_err(malformed)?;
        let public_exponent = UintRef::new(exponent).map_err(malformed)?;
        Self::from_rsa_integers(pkcs1::RsaPublicKey { modulus, public_exponent })
    }

    /// Makes a key of a PKCS#11 `CKA_EC_POINT`: the raw point, or a DER OCTET STRING around it.
    ///
    /// # Errors
    /// [`PkiError::PublicKeyMalformed`] if the point is not on the curve; [`PkiError::PublicKeyUnsupported`] for RSA.
    pub fn from_ec_point(algorithm: KeyAlgorithm, point: &[u8]) -> Result<Self, PkiError> {
        if point.len() == raw_point_bytes(algorithm) {
            return Self::from_point(algorithm, point);
        }
        let inner = <&OctetStringRef>::from_der(point).map_err(malformed)?;
        Self::from_point(algorithm, inner.as_bytes())
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`PkiError::Encoding`]; does not happen for a key that was read.
    pub fn to_pem(&self) -> Result<String, PkiError> {
        der::pem::encode_string("PUBLIC KEY", LineEnding::LF, &self.der).map_err(|cause| encoding("public key", cause))
    }

    /// SHA-256 of the DER, by which the token worker names keys.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Kind and size.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Modulus and exponent of an RSA key, big-endian without leading zeros.
    #[must_use]
    pub fn rsa_parts(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        match &self.material {
            Material::Rsa(key) => Some((key.n_bytes().into_vec(), key.e_bytes().into_vec())),
            _ => None,
        }
    }

    /// The raw point: uncompressed (SEC 1, section 2.3.3), or the 32 bytes of Ed25519.
    #[must_use]
    pub fn ec_point(&self) -> Option<Vec<u8>> {
        match &self.material {
            Material::Ed25519(key) => Some(key.to_bytes().to_vec()),
            Material::P256(key) => Some(key.to_sec1_point(false).as_bytes().to_vec()),
            Material::P384(key) => Some(key.to_sec1_point(false).as_bytes().to_vec()),
            Material::P521(key) => Some(key.to_sec1_point(false).as_bytes().to_vec()),
            Material::Rsa(_) => None,
            Material::Secp256k1(key) => Some(key.to_sec1_point(false).as_bytes().to_vec()),
        }
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, PkiError> {
        Self::from_rsa_integers(pkcs1::RsaPublicKey::from_der(der).map_err(malformed)?)
    }

    fn from_rsa_integers(integers: pkcs1::RsaPublicKey<'_>) -> Result<Self, PkiError> {
        let algorithm = rsa_algorithm(integers.modulus.as_bytes())?;
        let key = rsa::RsaPublicKey::try_from(integers).map_err(malformed)?;
        Self::new(algorithm, &key.clone(), Material::Rsa(key))
    }

    fn from_point(algorithm: KeyAlgorithm, point: &[u8]) -> Result<Self, PkiError> {
        macro_rules! on_curve {
            ($curve:ident, $variant:ident) => {{
                let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| off_curve(algorithm))?;
                Self::new(algorithm, &key, Material::$variant(key))
            }};
        }
        match algorithm {
            KeyAlgorithm::Ed25519 => Self::from_edwards_point(point),
            KeyAlgorithm::P256 => on_curve!(p256, P256),
            KeyAlgorithm::P384 => on_curve!(p384, P384),
            KeyAlgorithm::P521 => on_curve!(p521, P521),
            KeyAlgorithm::Secp256k1 => on_curve!(k256, Secp256k1),
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
                Err(unsupported(format_args!("{algorithm} with a point")))
            }
        }
    }

    fn from_edwards_point(point: &[u8]) -> Result<Self, PkiError> {
        let key = ed25519_dalek::VerifyingKey::try_from(point).map_err(|_| off_curve(KeyAlgorithm::Ed25519))?;
        // Under a point of small order one signature holds for nearly every message.
        if key.is_weak() {
            return Err(malformed("the Ed25519 point has a small order"));
        }
        Self::new(KeyAlgorithm::Ed25519, &key, Material::Ed25519(key))
    }

    fn new(algorithm: KeyAlgorithm, key: &impl EncodePublicKey, material: Material) -> Result<Self, PkiError> {
        let der = key.to_public_key_der().map_err(|cause| encoding("public key", cause))?.into_vec();
        Ok(Self { algorithm, der, material })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, sha256 ", self.algorithm)?;
        self.sha256().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for PublicKey {}

fn rsa_algorithm(modulus: &[u8]) -> Result<KeyAlgorithm, PkiError> {
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    match bits {
        2048 => Ok(KeyAlgorithm::Rsa2048),
        3072 => Ok(KeyAlgorithm::Rsa3072),
        4096 => Ok(KeyAlgorithm::Rsa4096),
        other => Err(unsupported(format_args!("RSA with {other} bits"))),
    }
}

fn curve_algorithm(curve: ObjectIdentifier) -> Result<KeyAlgorithm, PkiError> {
    match curve {
        rfc5912::SECP_256_R_1 => Ok(KeyAlgorithm::P256),
        rfc5912::SECP_384_R_1 => Ok(KeyAlgorithm::P384),
        rfc5912::SECP_521_R_1 => Ok(KeyAlgorithm::P521),
        SECP_256_K_1 => Ok(KeyAlgorithm::Secp256k1),
        other => Err(unsupported(format_args!("EC on curve {other}"))),
    }
}

/// Length of an uncompressed point (SEC 1, section 2.3.3) or of an Ed25519 key.
fn raw_point_bytes(algorithm: KeyAlgorithm) -> usize {
    let field_bytes = algorithm.bits().div_ceil(8) as usize;
    if algorithm == KeyAlgorithm::Ed25519 { field_bytes } else { 1 + 2 * field_bytes }
}

fn malformed(cause: impl fmt::Display) -> PkiError {
    PkiError::PublicKeyMalformed { cause: cause.to_string() }
}

fn off_curve(algorithm: KeyAlgorithm) -> PkiError {
    malformed(format_args!("the point is not on the curve of {algorithm}"))
}

fn unsupported(kind: impl fmt::Display) -> PkiError {
    PkiError::PublicKeyUnsupported { kind: kind.to_string() }
}

/// SEC 2, appendix A.2.1; the database of `const-oid` lacks it.
const SECP_256_K_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::algorithm::SignatureAlgorithm;
    use crate::pki::{
        signature::{ecdsa_der_from_fixed, ecdsa_fixed_from_der, signature_algorithm, signature_identifier},
        testing::{OpensslKey, openssl},
    };

    const MESSAGE: &[u8] = b"the message that is signed";

    #[test]
    fn what_openssl_signs_verifies_and_one_flipped_bit_does_not() {
        for kind in KeyAlgorithm::ALL {
            let key = OpensslKey::generate(*kind);
            for algorithm in SignatureAlgorithm::ALL.iter().filter(|algorithm| kind.can_sign(**algorithm)) {
                let signature = key.signature(*algorithm, MESSAGE);

                assert!(key.public_key().verify(*algorithm, MESSAGE, &signature).is_ok(), "{kind} {algorithm}");

                let (mut flipped, mut longer) = (signature.clone(), signature.clone());
                *flipped.last_mut().unwrap() ^= 1;
                longer.push(0);
                let (zeros, ones) = (vec![0; signature.len()], vec![0xff; signature.len()]);
                for wrong in [flipped, longer, zeros, ones, Vec::new()] {
                    assert!(key.public_key().verify(*algorithm, MESSAGE, &wrong).is_err(), "{kind} {algorithm}");
                }
                assert!(key.public_key().verify(*algorithm, b"another message", &signature).is_err());
            }
        }
    }

    #[test]
    fn a_signature_holds_for_the_digest_and_not_for_one_of_another_length() {
        let key = OpensslKey::generate(KeyAlgorithm::P521);
        let signature = key.signature(SignatureAlgorithm::EcdsaSha256, MESSAGE);
        let verify =
            |digest: &[u8]| key.public_key().verify_prehash(SignatureAlgorithm::EcdsaSha256, digest, &signature);

        assert!(verify(&Sha256::digest(MESSAGE)).is_ok());
        assert!(verify(&sha2::Sha512::digest(MESSAGE)).is_err());
        assert!(verify(b"").is_err());
    }

    #[test]
    fn a_pss_signature_with_another_salt_length_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("message"), MESSAGE).unwrap();
        openssl(directory.path(), &["genpkey", "-algorithm", "RSA", "-out", "key.pem"]);
        let pem = openssl(directory.path(), &["pkey", "-in", "key.pem", "-pubout"]);
        let public_key = PublicKey::from_pem(&String::from_utf8(pem).unwrap()).unwrap();
        let options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:20", "message"];

        let signature = openssl(directory.path(), &[&["dgst", "-sha256", "-sign", "key.pem"], &options[..]].concat());

        assert!(public_key.verify(SignatureAlgorithm::RsaPssSha256, MESSAGE, &signature).is_err());
    }

    #[test]
    fn both_of_the_two_s_values_of_a_secp256k1_signature_verify() {
        let key = OpensslKey::generate(KeyAlgorithm::Secp256k1);
        let made = key.signature(SignatureAlgorithm::EcdsaSha256Fixed, MESSAGE);
        let made = k256::ecdsa::Signature::from_slice(&made).unwrap();
        let other = k256::ecdsa::Signature::from_scalars(*made.r(), -*made.s()).unwrap();

        for signature in [made, other] {
            let fixed = signature.to_bytes();
            assert!(key.public_key().verify(SignatureAlgorithm::EcdsaSha256Fixed, MESSAGE, &fixed).is_ok());
        }
    }

    #[test]
    fn a_key_verifies_no_signature_of_another_family() {
        let key = OpensslKey::generate(KeyAlgorithm::P256);
        let signature = key.signature(SignatureAlgorithm::EcdsaSha256, MESSAGE);

        for algorithm in [SignatureAlgorithm::RsaPkcs1Sha256, SignatureAlgorithm::Ed25519] {
            assert!(key.public_key().verify(algorithm, MESSAGE, &signature).is_err());
        }
    }

    #[test]
    fn a_key_reads_back_the_same_from_der_pem_and_its_parts() {
        for kind in KeyAlgorithm::ALL {
            let key = OpensslKey::generate(*kind).public_key().clone();

            assert_eq!(PublicKey::from_der(key.der()).unwrap(), key);
            assert_eq!(PublicKey::from_pem(&key.to_pem().unwrap()).unwrap(), key);
            match (key.rsa_parts(), key.ec_point()) {
                (Some((modulus, exponent)), None) => {
                    assert_eq!(exponent, [1, 0, 1]);
                    assert_eq!(PublicKey::from_rsa(&modulus, &exponent).unwrap(), key);
                }
                (None, Some(point)) => {
                    let wrapped = OctetStringRef::new(&point).unwrap().to_der().unwrap();
                    assert_eq!(PublicKey::from_ec_point(*kind, &point).unwrap(), key);
                    assert_eq!(PublicKey::from_ec_point(*kind, &wrapped).unwrap(), key);
                }
                other => panic!("{kind} has the parts {other:?}"),
            }
        }
    }

    #[test]
    fn the_der_is_that_of_openssl_and_a_compressed_point_is_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let curve = "ec_paramgen_curve:P-384";
        openssl(directory.path(), &["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", "key.pem"]);
        let public = ["pkey", "-in", "key.pem", "-pubout", "-outform", "DER"];

        let usual = openssl(directory.path(), &public);
        let compressed = openssl(directory.path(), &[&public[..], &["-ec_conv_form", "compressed"]].concat());

        assert!(compressed.len() < usual.len());
        assert_eq!(PublicKey::from_der(&usual).unwrap().der(), usual);
        assert_eq!(PublicKey::from_der(&compressed).unwrap().der(), usual);
    }

    #[test]
    fn a_point_beside_the_curve_is_no_key() {
        for kind in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::P521, KeyAlgorithm::Secp256k1] {
            let mut point = OpensslKey::generate(kind).public_key().ec_point().unwrap();
            *point.last_mut().unwrap() ^= 1;

            let error = PublicKey::from_ec_point(kind, &point).unwrap_err();

            assert_eq!(
                error.to_string(),
                format!("this public key cannot be read: the point is not on the curve of {kind}")
            );
        }
        assert!(PublicKey::from_ec_point(KeyAlgorithm::Ed25519, &[2; 32]).is_err());
        assert!(PublicKey::from_ec_point(KeyAlgorithm::Ed25519, &[0; 32]).is_err());
        assert!(PublicKey::from_ec_point(KeyAlgorithm::P256, &[]).is_err());
    }

    #[test]
    fn a_kind_that_keyward_does_not_know_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let of = |arguments: &[&str]| {
            openssl(directory.path(), &[&["genpkey", "-out", "key.pem"], arguments].concat());
            let der = openssl(directory.path(), &["pkey", "-in", "key.pem", "-pubout", "-outform", "DER"]);
            PublicKey::from_der(&der).unwrap_err().to_string()
        };

        let short_rsa = of(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
        let other_curve = of(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"]);
        let other_algorithm = of(&["-algorithm", "X25519"]);

        assert_eq!(short_rsa, "public keys of this kind are not supported: RSA with 1024 bits");
        assert_eq!(other_curve, "public keys of this kind are not supported: EC on curve 1.3.36.3.3.2.8.1.1.7");
        assert_eq!(other_algorithm, "public keys of this kind are not supported: 1.3.101.110");
    }

    #[test]
    fn a_signature_algorithm_reads_back_from_its_identifier() {
        for algorithm in SignatureAlgorithm::ALL.iter().filter(|algorithm| !algorithm.is_fixed()) {
            let identifier = signature_identifier(*algorithm).unwrap();

            assert_eq!(signature_algorithm(&identifier).unwrap(), *algorithm);
        }
    }

    #[test]
    fn leading_zeros_of_fixed_halves_are_gone_in_der_and_back_in_fixed() {
        let mut fixed = [0; 64];
        (fixed[31], fixed[63]) = (0x7f, 0x80);

        let der = ecdsa_der_from_fixed(SignatureAlgorithm::EcdsaSha256, &fixed).unwrap();

        assert_eq!(der, [0x30, 7, 2, 1, 0x7f, 2, 2, 0, 0x80]);
        assert_eq!(ecdsa_fixed_from_der(&der, 64).unwrap(), fixed);
        assert!(ecdsa_der_from_fixed(SignatureAlgorithm::EcdsaSha256, &fixed[1..]).is_err());
    }
}
