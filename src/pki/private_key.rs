//! Private keys as PKCS#8 (RFC 5958): cut out of a token's wrap, matched with their public half,
//! and written as encrypted PEM (RFC 8018).
//!
//! Nothing here keeps a key: what comes in is borrowed, what comes out is zeroed or encrypted.

use super::{PkiError, public_key::PublicKey};
use crate::base::{algorithm::KeyAlgorithm, secret::Secret};
use der::{Decode, Tag, Tagged, asn1::AnyRef, pem::LineEnding};
use pkcs8::{EncodePrivateKey as _, EncodePublicKey, PrivateKeyInfoRef, pkcs5::pbes2};
use zeroize::Zeroizing;

/// Cuts what a token unwrapped down to the one DER SEQUENCE that it starts with.
///
/// SoftHSM fills the PKCS#8 with zero bytes to a multiple of 8 before it wraps; up to 7 of them may
/// follow and are dropped. Anything else behind the key is refused.
///
/// # Errors
/// [`PkiError::PrivateKeyMalformed`] if the bytes are anything else.
pub fn cut_to_der(mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, PkiError> {
    let (element, fill) = AnyRef::from_der_partial(&bytes).map_err(malformed)?;
    if element.tag() != Tag::Sequence {
        return Err(malformed("it does not start with a SEQUENCE"));
    }
    if fill.len() > FILL_MOST_BYTES || fill.iter().any(|byte| *byte != 0) {
        return Err(malformed(format!("{} bytes follow it that are not a token's fill", fill.len())));
    }
    let length = bytes.len() - fill.len();
    bytes.truncate(length);
    Ok(bytes)
}

/// Derives the public key of a PKCS#8 key, and finds the parts of the private one consistent with it.
///
/// Needs no public key inside (SoftHSM's EC keys have none); one that is inside must agree.
///
/// # Errors
/// [`PkiError::PrivateKeyMalformed`] if it is no such key, or one of another algorithm.
pub fn public_key_of(pkcs8: &[u8], algorithm: KeyAlgorithm) -> Result<PublicKey, PkiError> {
    let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(malformed)?;
    let document = match algorithm {
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            rsa_key(&info, algorithm)?.to_public_key().to_public_key_der()
        }
        KeyAlgorithm::P256 => p256::SecretKey::try_from(info).map_err(malformed)?.public_key().to_public_key_der(),
        KeyAlgorithm::P384 => p384::SecretKey::try_from(info).map_err(malformed)?.public_key().to_public_key_der(),
        KeyAlgorithm::P521 => p521::SecretKey::try_from(info).map_err(malformed)?.public_key().to_public_key_der(),
        KeyAlgorithm::Secp256k1 => k256::SecretKey::try_from(info).map_err(malformed)?.public_key().to_public_key_der(),
        KeyAlgorithm::Ed25519 => {
            ed25519_dalek::SigningKey::try_from(info).map_err(malformed)?.verifying_key().to_public_key_der()
        }
    };
    PublicKey::from_der(document.map_err(malformed)?.as_bytes())
}

/// The key as other programs want it: an elliptic one with its public key inside.
///
/// RFC 5915 says that it should be there, tokens leave it out, and GnuTLS 3.7 reads no key without it.
///
/// # Errors
/// [`PkiError::PrivateKeyMalformed`] if it is no such key, or one of another algorithm.
pub fn with_public_key(pkcs8: &[u8], algorithm: KeyAlgorithm) -> Result<Zeroizing<Vec<u8>>, PkiError> {
    let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(malformed)?;
    let document = match algorithm {
        KeyAlgorithm::P256 => p256::SecretKey::try_from(info).map_err(malformed)?.to_pkcs8_der(),
        KeyAlgorithm::P384 => p384::SecretKey::try_from(info).map_err(malformed)?.to_pkcs8_der(),
        KeyAlgorithm::P521 => p521::SecretKey::try_from(info).map_err(malformed)?.to_pkcs8_der(),
        KeyAlgorithm::Secp256k1 => k256::SecretKey::try_from(info).map_err(malformed)?.to_pkcs8_der(),
        // RSA keys always have it (RFC 8017 appendix A.1.2); for Ed25519 it would need PKCS#8 version 2.
        KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            return Ok(Zeroizing::new(pkcs8.to_vec()));
        }
    };
    Ok(document.map_err(malformed)?.to_bytes())
}

/// Writes a PKCS#8 key as `ENCRYPTED PRIVATE KEY`: PBES2, AES-256-CBC, PBKDF2-HMAC-SHA-256.
///
/// # Errors
/// [`PkiError::PassphraseUnsuitable`] for a passphrase that [`check_passphrase`] refuses,
/// [`PkiError::PrivateKeyMalformed`] if the key is no PKCS#8.
pub fn to_encrypted_pem(pkcs8: &[u8], passphrase: &Secret) -> Result<String, PkiError> {
    check_passphrase(passphrase)?;
    let encrypted = PrivateKeyInfoRef::try_from(pkcs8)
        .map_err(malformed)?
        .encrypt_with_params(encryption_parameters()?, passphrase.expose())
        .map_err(not_encoded)?;
    let pem = encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(not_encoded)?;
    Ok(pem.as_str().to_owned())
}

/// Refuses a passphrase that some reader of PKCS#12, JKS or PEM could not use.
///
/// keytool opens no file with a passphrase outside ASCII, and lists one that has an empty passphrase.
///
/// # Errors
/// [`PkiError::PassphraseUnsuitable`] if it is empty, too short, or has other than printable ASCII.
pub fn check_passphrase(passphrase: &Secret) -> Result<(), PkiError> {
    let bytes = passphrase.expose();
    let unsuitable = |cause| Err(PkiError::PassphraseUnsuitable { cause });
    if bytes.is_empty() {
        return unsuitable("it is empty");
    }
    if bytes.len() < PASSPHRASE_LEAST_BYTES {
        return unsuitable("it is shorter than 8 characters");
    }
    if !bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return unsuitable("it has other than printable ASCII characters");
    }
    Ok(())
}

/// Reads an RSA key of exactly this size; the crate checks that the primes and exponents fit.
fn rsa_key(info: &PrivateKeyInfoRef<'_>, algorithm: KeyAlgorithm) -> Result<rsa::RsaPrivateKey, PkiError> {
    info.algorithm.assert_algorithm_oid(pkcs1::ALGORITHM_OID).map_err(malformed)?;
    let parts = pkcs1::RsaPrivateKey::try_from(info.private_key.as_bytes()).map_err(malformed)?;
    let modulus_bits = parts.modulus.as_bytes().len() * 8;
    if modulus_bits != algorithm.bits() as usize {
        return Err(malformed(format!("its modulus has {modulus_bits} bits, not those of {algorithm}")));
    }
    rsa::RsaPrivateKey::try_from(parts).map_err(malformed)
}

fn encryption_parameters() -> Result<pbes2::Parameters, PkiError> {
    let mut salt = [0; 16];
    let mut iv = [0; 16];
    getrandom::fill(&mut salt).map_err(not_encoded)?;
    getrandom::fill(&mut iv).map_err(not_encoded)?;
    pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(PEM_ITERATIONS, &salt, iv).map_err(not_encoded)
}

fn malformed(cause: impl ToString) -> PkiError {
    PkiError::PrivateKeyMalformed { cause: cause.to_string() }
}

fn not_encoded(cause: impl ToString) -> PkiError {
    PkiError::Encoding { what: "an encrypted private key", cause: cause.to_string() }
}

/// SoftHSM 2.6.1 fills to a multiple of 8 before it wraps.
const FILL_MOST_BYTES: usize = 7;

/// OWASP's least for PBKDF2-HMAC-SHA-256 (2023), some 0.2 s: a person waits for it once, a guesser every time.
const PEM_ITERATIONS: u32 = 600_000;

/// NIST SP 800-63B's least for a passphrase that a person chooses; keytool's own least is 6.
const PASSPHRASE_LEAST_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, path::Path, process::Command};

    fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
        let output = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A PKCS#8 key and its `SubjectPublicKeyInfo`, made by openssl.
    fn openssl_key(options: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        openssl(dir.path(), &[&["genpkey", "-out", "key.pem"], options].concat());
        openssl(dir.path(), &["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "key.der"]);
        let public = openssl(dir.path(), &["pkey", "-in", "key.pem", "-pubout", "-outform", "DER"]);
        (fs::read(dir.path().join("key.der")).unwrap(), public)
    }

    fn elliptic_key(curve: &str) -> (Vec<u8>, Vec<u8>) {
        openssl_key(&["-algorithm", "EC", "-pkeyopt", &format!("ec_paramgen_curve:{curve}")])
    }

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        assert!(value.len() < 256);
        let mut bytes = vec![tag];
        if value.len() > 127 {
            bytes.push(0x81);
        }
        bytes.push(u8::try_from(value.len()).unwrap());
        bytes.extend(value);
        bytes
    }

    /// A P-521 key as SoftHSM and Kryoptic give it: no public key inside, the scalar as long as it is.
    fn p521_without_public_key(scalar: &[u8]) -> Vec<u8> {
        let ids = [tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]), tlv(6, &[0x2b, 0x81, 0x04, 0x00, 0x23])];
        let sec1 = tlv(0x30, &[tlv(2, &[1]), tlv(4, scalar)].concat());
        tlv(0x30, &[tlv(2, &[0]), tlv(0x30, &ids.concat()), tlv(4, &sec1)].concat())
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_token_s_fill_behind_the_key_is_cut_off() {
        for fill in 0..=7 {
            let mut bytes = vec![0x30, 3, 2, 1, 0];
            bytes.resize(5 + fill, 0);

            assert_eq!(*cut_to_der(Zeroizing::new(bytes)).unwrap(), [0x30, 3, 2, 1, 0]);
        }
    }

    #[test]
    fn anything_but_one_sequence_and_its_fill_is_refused() {
        let cases: [&[u8]; 6] = [
            b"",
            &[0x30, 3, 2, 1],
            &[0x04, 1, 0],
            &[0x30, 0x81, 3, 2, 1, 0],
            &[0x30, 3, 2, 1, 0, 0, 1],
            &[0x30, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in cases {
            let cut = cut_to_der(Zeroizing::new(bytes.to_vec()));

            assert!(matches!(cut, Err(PkiError::PrivateKeyMalformed { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn the_public_key_is_the_one_that_openssl_derives() {
        let cases = [
            (KeyAlgorithm::Rsa2048, openssl_key(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])),
            (KeyAlgorithm::P256, elliptic_key("P-256")),
            (KeyAlgorithm::P384, elliptic_key("P-384")),
            (KeyAlgorithm::P521, elliptic_key("P-521")),
            (KeyAlgorithm::Secp256k1, elliptic_key("secp256k1")),
            (KeyAlgorithm::Ed25519, openssl_key(&["-algorithm", "ED25519"])),
        ];
        for (algorithm, (private, public)) in cases {
            assert_eq!(public_key_of(&private, algorithm).unwrap().der(), public, "{algorithm}");
        }
    }

    #[test]
    fn a_p521_scalar_that_lost_its_leading_zero_is_the_same_key() {
        let full = p521_without_public_key(&[&[0][..], &[0x17; 65]].concat());
        let short = p521_without_public_key(&[0x17; 65]);

        let keys = [full, short].map(|key| public_key_of(&key, KeyAlgorithm::P521).unwrap().der().to_vec());

        assert_eq!(keys[0], keys[1]);
    }

    #[test]
    fn an_elliptic_key_gets_the_public_key_that_its_token_left_out() {
        let bare = p521_without_public_key(&[&[0][..], &[0x17; 65]].concat());
        let dir = tempfile::tempdir().unwrap();

        let whole = with_public_key(&bare, KeyAlgorithm::P521).unwrap();

        fs::write(dir.path().join("key.der"), &*whole).unwrap();
        let written = openssl(dir.path(), &["asn1parse", "-inform", "DER", "-in", "key.der", "-strparse", "24"]);
        assert!(String::from_utf8(written).unwrap().contains("cont [ 1 ]"));
        let keys = [&whole[..], &bare].map(|key| public_key_of(key, KeyAlgorithm::P521).unwrap());
        assert_eq!(keys[0], keys[1]);
    }

    #[test]
    fn an_rsa_key_stays_as_it_is_byte_by_byte() {
        let (private, _) = openssl_key(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);

        assert_eq!(*with_public_key(&private, KeyAlgorithm::Rsa2048).unwrap(), private);
    }

    #[test]
    fn a_key_of_another_algorithm_is_refused() {
        let (p256, _) = elliptic_key("P-256");
        let (rsa, _) = openssl_key(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
        let cases = [
            (&p256, KeyAlgorithm::Secp256k1),
            (&p256, KeyAlgorithm::Rsa2048),
            (&p256, KeyAlgorithm::Ed25519),
            (&rsa, KeyAlgorithm::Rsa3072),
            (&rsa, KeyAlgorithm::P256),
        ];
        for (key, algorithm) in cases {
            let refused = public_key_of(key, algorithm);

            assert!(matches!(refused, Err(PkiError::PrivateKeyMalformed { .. })), "{algorithm}");
        }
    }

    #[test]
    fn openssl_opens_the_encrypted_pem_with_its_passphrase_only() {
        let (private, public) = elliptic_key("P-256");
        let dir = tempfile::tempdir().unwrap();

        let pem = to_encrypted_pem(&private, &secret("correct horse")).unwrap();

        fs::write(dir.path().join("key.pem"), &pem).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let parameters = openssl(dir.path(), &["asn1parse", "-in", "key.pem"]);
        let parameters = String::from_utf8(parameters).unwrap();
        for part in ["PBES2", "PBKDF2", "0927C0", "hmacWithSHA256", "aes-256-cbc"] {
            assert!(parameters.contains(part), "{part} in {parameters}");
        }
        let read = ["pkey", "-in", "key.pem", "-passin", "pass:correct horse", "-pubout", "-outform", "DER"];
        assert_eq!(openssl(dir.path(), &read), public);
        let wrong = Command::new("openssl")
            .args(["pkey", "-in", "key.pem", "-passin", "pass:incorrect horse", "-noout"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(!wrong.status.success());
    }

    #[test]
    fn a_passphrase_that_some_reader_cannot_use_is_refused() {
        for text in ["", "seven77", "pässwörter", "with a\ttab", "line\nbreak"] {
            let refused = check_passphrase(&secret(text));

            assert!(matches!(refused, Err(PkiError::PassphraseUnsuitable { .. })), "{text}");
        }
        assert!(check_passphrase(&secret("eight ~8")).is_ok());
        assert!(matches!(to_encrypted_pem(b"", &secret("short")), Err(PkiError::PassphraseUnsuitable { .. })));
    }

    /// Numbers that a hostile RSA key may hold: small, even, and of the right length but unrelated.
    fn hostile_number() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(vec![0]),
            Just(vec![1]),
            Just(vec![2]),
            Just([vec![0], vec![0xff; 256]].concat()),
            Just(vec![0x7f; 128]),
            proptest::collection::vec(1..0x7fu8, 1..300),
        ]
    }

    fn long_tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        match value.len() {
            0..=255 => tlv(tag, value),
            _ => [&[tag, 0x82][..], &length, value].concat(),
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_cut_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let whole = bytes.clone();

            if let Ok(cut) = cut_to_der(Zeroizing::new(bytes)) {
                prop_assert!(whole.starts_with(&cut));
            }
        }

        #[test]
        fn a_hostile_rsa_key_never_panics(numbers in proptest::collection::vec(hostile_number(), 8)) {
            let parts: Vec<u8> = numbers.iter().flat_map(|number| long_tlv(2, number)).collect();
            let pkcs1 = long_tlv(0x30, &[tlv(2, &[0]), parts].concat());
            let id = tlv(0x30, &[tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]), tlv(5, &[])].concat());
            let pkcs8 = long_tlv(0x30, &[tlv(2, &[0]), id, long_tlv(4, &pkcs1)].concat());

            prop_assert!(public_key_of(&pkcs8, KeyAlgorithm::Rsa2048).is_err());
        }
    }
}
