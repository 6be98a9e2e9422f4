//! Public keys as DER SubjectPublicKeyInfo (RFC 5280, section 4.1), and the signatures that they verify.
//!
//! Invariant: a [`PublicKey`] is of a kind that keyward knows, its point is on the curve, and its DER is
//! the one usual encoding (uncompressed point, NULL parameters for RSA), so that equal keys have equal
//! bytes and equal hashes whoever encoded them first.

use super::PkiError;
use crate::base::algorithm::{DigestAlgorithm, KeyAlgorithm, KeyFamily, SignatureAlgorithm};
use const_oid::db::{rfc5912, rfc8410};
use der::{
    Decode, DecodePem, Encode, Sequence,
    asn1::{Any, Null, ObjectIdentifier, OctetStringRef, UintRef},
};
use ecdsa::elliptic_curve::CurveArithmetic;
use pkcs1::RsaPssParams;
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256, Sha384, Sha512};
use signature::hazmat::PrehashVerifier;
use spki::{
    AlgorithmIdentifierOwned, EncodePublicKey, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef, der::pem::LineEnding,
};
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

    /// Checks a signature over a message.
    ///
    /// # Errors
    /// [`PkiError::SignatureInvalid`], also when a key of this kind makes no such signatures.
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), PkiError> {
        match (algorithm.digest(), &self.material) {
            (Some(digest), _) => self.verify_prehash(algorithm, &digest_of(digest, message), signature),
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

/// An X.509 signature of a signer: DER where the signer makes r‖s.
pub(super) fn certificate_signature(algorithm: SignatureAlgorithm, signature: Vec<u8>) -> Result<Vec<u8>, PkiError> {
    if algorithm.is_fixed() { ecdsa_der_from_fixed(algorithm, &signature) } else { Ok(signature) }
}

#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
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

fn ecdsa_fixed_from_der(signature: &[u8], size_bytes: usize) -> Option<Vec<u8>> {
    let EcdsaSigValue { r, s } = EcdsaSigValue::from_der(signature).ok()?;
    let half = size_bytes / 2;
    let mut fixed = vec![0; size_bytes];
    for (integer, end) in [(r.as_bytes(), half), (s.as_bytes(), size_bytes)] {
        let start = end.checked_sub(integer.len()).filter(|start| *start + half >= end)?;
        fixed[start..end].copy_from_slice(integer);
    }
    Some(fixed)
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

/// The digest of a message.
#[must_use]
pub fn digest_of(digest: DigestAlgorithm, message: &[u8]) -> Vec<u8> {
    match digest {
        DigestAlgorithm::Sha256 => Sha256::digest(message).to_vec(),
        DigestAlgorithm::Sha384 => Sha384::digest(message).to_vec(),
        DigestAlgorithm::Sha512 => Sha512::digest(message).to_vec(),
    }
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

fn invalid(algorithm: SignatureAlgorithm) -> PkiError {
    PkiError::SignatureInvalid { algorithm: algorithm.to_string() }
}

pub(super) fn encoding(what: &'static str, cause: impl fmt::Display) -> PkiError {
    PkiError::Encoding { what, cause: cause.to_string() }
}

/// SEC 2, appendix A.2.1; the database of `const-oid` lacks it.
const SECP_256_K_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");

#[cfg(test)]
pub(super) mod testing {
    //! A key in a file of the `openssl` command, as the other side of every promise here.

    use super::{PublicKey, ecdsa_fixed_from_der};
    use crate::base::{
        algorithm::{DigestAlgorithm, KeyAlgorithm, KeyFamily, SignatureAlgorithm},
        signing::{SignatureFuture, Signer},
    };
    use std::{path::Path, process::Command};

    /// A software key that signs by `openssl`.
    pub(in crate::pki) struct OpensslKey {
        directory: tempfile::TempDir,
        public_key: PublicKey,
        algorithm: SignatureAlgorithm,
    }

    impl OpensslKey {
        pub(in crate::pki) fn generate(kind: KeyAlgorithm) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let curve = |name| {
                vec![
                    "-algorithm".to_owned(),
                    "EC".to_owned(),
                    "-pkeyopt".to_owned(),
                    format!("ec_paramgen_curve:{name}"),
                ]
            };
            let kind_arguments = match kind {
                KeyAlgorithm::P256 => curve("P-256"),
                KeyAlgorithm::P384 => curve("P-384"),
                KeyAlgorithm::P521 => curve("P-521"),
                KeyAlgorithm::Secp256k1 => curve("secp256k1"),
                KeyAlgorithm::Ed25519 => vec!["-algorithm".to_owned(), "ED25519".to_owned()],
                rsa => vec![
                    "-algorithm".to_owned(),
                    "RSA".to_owned(),
                    "-pkeyopt".to_owned(),
                    format!("rsa_keygen_bits:{}", rsa.bits()),
                ],
            };
            let mut arguments = vec!["genpkey", "-out", "key.pem"];
            arguments.extend(kind_arguments.iter().map(String::as_str));
            openssl(directory.path(), &arguments);
            let pem = openssl(directory.path(), &["pkey", "-in", "key.pem", "-pubout"]);
            let public_key = PublicKey::from_pem(&String::from_utf8(pem).unwrap()).unwrap();
            assert_eq!(public_key.algorithm(), kind);
            Self { directory, public_key, algorithm: kind.default_signature() }
        }

        pub(in crate::pki) fn signing_with(mut self, algorithm: SignatureAlgorithm) -> Self {
            self.algorithm = algorithm;
            self
        }

        pub(in crate::pki) fn public_key(&self) -> &PublicKey {
            &self.public_key
        }

        pub(in crate::pki) fn signature(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
            std::fs::write(self.directory.path().join("message"), message).unwrap();
            let Some(digest) = algorithm.digest() else {
                return openssl(
                    self.directory.path(),
                    &["pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-in", "message"],
                );
            };
            let digest = match digest {
                DigestAlgorithm::Sha256 => "-sha256",
                DigestAlgorithm::Sha384 => "-sha384",
                DigestAlgorithm::Sha512 => "-sha512",
            };
            let mut arguments = vec!["dgst", digest, "-sign", "key.pem"];
            if algorithm.is_pss() {
                arguments.extend(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]);
            }
            arguments.push("message");
            let signature = openssl(self.directory.path(), &arguments);
            if !algorithm.is_fixed() {
                return signature;
            }
            let field_bytes = self.public_key.algorithm().bits().div_ceil(8) as usize;
            ecdsa_fixed_from_der(&signature, 2 * field_bytes).unwrap()
        }
    }

    impl Signer for OpensslKey {
        fn public_key_der(&self) -> &[u8] {
            self.public_key.der()
        }

        fn algorithm(&self) -> SignatureAlgorithm {
            self.algorithm
        }

        fn sign<'a>(&'a self, message: &'a [u8]) -> SignatureFuture<'a> {
            Box::pin(async { Ok(self.signature(self.algorithm, message)) })
        }
    }

    /// What `openssl` writes to its standard output; it must succeed.
    pub(in crate::pki) fn openssl(directory: &Path, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("openssl").args(arguments).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// One key of each kind that X.509 has to work with, with a scheme beside the usual one for RSA.
    pub(in crate::pki) fn signers() -> Vec<OpensslKey> {
        let mut keys = vec![
            OpensslKey::generate(KeyAlgorithm::Rsa2048).signing_with(SignatureAlgorithm::RsaPssSha256),
            OpensslKey::generate(KeyAlgorithm::P256).signing_with(SignatureAlgorithm::EcdsaSha256Fixed),
        ];
        let usual = KeyAlgorithm::ALL.iter().filter(|kind| kind.family() != KeyFamily::Rsa || kind.bits() == 2048);
        keys.extend(usual.map(|kind| OpensslKey::generate(*kind)));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{OpensslKey, openssl},
        *,
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
        assert!(verify(&Sha512::digest(MESSAGE)).is_err());
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
