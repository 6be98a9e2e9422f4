//! From the ceremony secret to the KEKs: HKDF-SHA-256 (RFC 5869), and the check value (KCV) of a key.
//!
//! Both can be done again with `openssl kdf` and `openssl enc` alone, which the tests do.

use super::{CeremonyError, slip39::Random};
use crate::base::{custody::KekPurpose, ids::KekId, secret::Secret};
use aes::{
    Aes256,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of the ceremony secret, in bytes.
pub const SECRET_BYTES: usize = 32;

/// Makes a new ceremony secret.
///
/// # Errors
/// The random generator failed.
pub fn new_secret(random: &mut Random<'_>) -> Result<Secret, CeremonyError> {
    let mut bytes = Zeroizing::new(vec![0; SECRET_BYTES]);
    random(&mut bytes)?;
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

/// Derives the AES-256 key of one purpose from the ceremony secret.
///
/// # Errors
/// The ceremony secret has not 32 bytes.
pub fn derive(secret: &Secret, purpose: KekPurpose) -> Result<Secret, CeremonyError> {
    let mut kek = Zeroizing::new(vec![0; KEK_BYTES]);
    expand(secret, &format!("keyward/kek/v1/{purpose}"), &mut kek)?;
    Ok(Secret::new(std::mem::take(&mut *kek)))
}

/// The id of the KEK of one purpose: a UUID (version 8) derived beside it, so that whoever puts the secret
/// together again names its KEKs as the archives do.
///
/// # Errors
/// The ceremony secret has not 32 bytes.
pub fn id(secret: &Secret, purpose: KekPurpose) -> Result<KekId, CeremonyError> {
    let mut bytes = [0; 16];
    expand(secret, &format!("keyward/kek-id/v1/{purpose}"), &mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(KekId::from_bytes(bytes))
}

/// The check value of an AES-256 key: hex of the first 3 bytes of the encrypted zero block.
///
/// # Errors
/// The value has not 32 bytes.
pub fn kcv(value: &[u8]) -> Result<String, CeremonyError> {
    let cipher = Aes256::new_from_slice(value).map_err(|_| wrong_length("the KEK", value))?;
    let mut block = aes::Block::default();
    cipher.encrypt_block(&mut block);
    Ok(block[..3].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The check values of all KEKs of a ceremony secret, in the order of [`KekPurpose::ALL`].
///
/// # Errors
/// The ceremony secret has not 32 bytes.
pub fn check_values(secret: &Secret) -> Result<Vec<(KekPurpose, String)>, CeremonyError> {
    KekPurpose::ALL.iter().map(|&purpose| Ok((purpose, kcv(derive(secret, purpose)?.expose())?))).collect()
}

fn expand(secret: &Secret, info: &str, out: &mut [u8]) -> Result<(), CeremonyError> {
    let bytes = secret.expose();
    if bytes.len() != SECRET_BYTES {
        return Err(wrong_length("the ceremony secret", bytes));
    }
    let expanded = Hkdf::<Sha256>::new(None, bytes).expand(info.as_bytes(), out);
    expanded.map_err(|_| wrong_length("the output", bytes))
}

fn wrong_length(what: &'static str, bytes: &[u8]) -> CeremonyError {
    CeremonyError::SecretLength { what, given: bytes.len(), expected: "32" }
}

const KEK_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    #[test]
    fn the_keks_of_a_known_secret_are_these() {
        let secret = Secret::new((0..32).collect());

        let keks = KekPurpose::ALL.iter().map(|&purpose| hex(derive(&secret, purpose).unwrap().expose()));

        assert_eq!(keks.collect::<Vec<_>>(), LITERAL_KEKS);
        let values = check_values(&secret).unwrap();
        assert_eq!(values.iter().map(|(_, kcv)| kcv.as_str()).collect::<Vec<_>>(), LITERAL_KCVS);
    }

    #[test]
    fn openssl_derives_the_same_kek_and_the_same_check_value() {
        let secret = Secret::new((100..132).collect());

        for &purpose in KekPurpose::ALL {
            let kek = derive(&secret, purpose).unwrap();

            assert_eq!(hex(kek.expose()), openssl_hkdf(secret.expose(), purpose));
            assert_eq!(kcv(kek.expose()).unwrap(), openssl_kcv(kek.expose()));
        }
    }

    #[test]
    fn a_secret_or_key_of_another_length_is_refused() {
        let short = Secret::new(vec![7; 16]);

        assert_eq!(
            derive(&short, KekPurpose::BackupOnly).unwrap_err().to_string(),
            "the ceremony secret has 16 bytes; expected 32"
        );
        assert_eq!(kcv(&[7; 16]).unwrap_err().to_string(), "the KEK has 16 bytes; expected 32");
    }

    #[test]
    fn a_new_secret_is_what_the_generator_gave_and_its_failure_gives_none() {
        let mut sevens = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let mut broken = |_: &mut [u8]| Err(CeremonyError::RandomUnavailable { cause: "ENOSYS".to_owned() });

        assert_eq!(new_secret(&mut sevens).unwrap().expose(), [7; 32]);
        assert!(new_secret(&mut broken).is_err());
    }

    fn openssl_hkdf(secret: &[u8], purpose: KekPurpose) -> String {
        let hexkey = format!("hexkey:{}", hex(secret));
        let info = format!("info:keyward/kek/v1/{purpose}");
        let options = ["digest:SHA256", &hexkey, &info].map(|option| ["-kdfopt", option]).concat();
        let output = Command::new("openssl").args(["kdf", "-keylen", "32"]).args(options).arg("HKDF").output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().replace(':', "").to_lowercase()
    }

    fn openssl_kcv(kek: &[u8]) -> String {
        let mut child = Command::new("openssl")
            .args(["enc", "-aes-256-ecb", "-nopad", "-K", &hex(kek)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&[0; 16]).unwrap();
        hex(&child.wait_with_output().unwrap().stdout[..3])
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    const LITERAL_KEKS: [&str; 3] = [
        "eeeeec35731bd3faa320614b3a79a20f0eb28bbb2b03525d505ad0f776abac18",
        "beb36fc403c6592215ee0fcc72e7c7a12eceaeb9e2b41fb679fb4fba2d39275e",
        "805b9541b8153d5909c60577246433390f114ce53a8c0f51e36cce79ec2ee9d9",
    ];
    const LITERAL_KCVS: [&str; 3] = ["ec623f", "9fd2f0", "970804"];
}
