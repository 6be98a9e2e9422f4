//! What is encoded before a raw RSA operation, for devices that have nothing but that: EMSA-PKCS1-v1_5 and EMSA-PSS
//! (RFC 8017, section 9).

use super::{PkiError, error::encoding, signature::digest};
use crate::base::algorithm::DigestAlgorithm;

/// DER `DigestInfo` (RFC 8017, section 9.2, note 1).
#[must_use]
pub fn digest_info(algorithm: DigestAlgorithm, value: &[u8]) -> Vec<u8> {
    let prefix: &[u8; 19] = match algorithm {
        DigestAlgorithm::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
        DigestAlgorithm::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
        DigestAlgorithm::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
    };
    [prefix.as_slice(), value].concat()
}

/// EMSA-PKCS1-v1_5 of a digest, as long as the modulus.
///
/// # Errors
/// [`PkiError::Encoding`] if the modulus is shorter than the digest needs.
pub fn pkcs1(algorithm: DigestAlgorithm, value: &[u8], modulus_bytes: usize) -> Result<Vec<u8>, PkiError> {
    let info = digest_info(algorithm, value);
    let filling = modulus_bytes.checked_sub(info.len() + 3).filter(|length| *length >= 8).ok_or_else(too_short)?;
    Ok([&[0x00, 0x01], vec![0xFF; filling].as_slice(), &[0x00], &info].concat())
}

/// EMSA-PSS of a digest, with MGF1 by the same hash and a salt of the digest's length, as long as the modulus.
///
/// # Errors
/// [`PkiError::Encoding`] if the modulus is too short, or is no whole number of bytes; or salt of another length.
pub fn pss(algorithm: DigestAlgorithm, value: &[u8], salt: &[u8], modulus_bytes: usize) -> Result<Vec<u8>, PkiError> {
    let length = algorithm.length_bytes();
    let filling = modulus_bytes.checked_sub(2 * length + 2).ok_or_else(too_short)?;
    if value.len() != length || salt.len() != length {
        return Err(too_short());
    }
    let hash = digest(algorithm, &[&[0; 8], value, salt].concat());
    let mut block = [vec![0; filling].as_slice(), &[0x01], salt].concat();
    for (byte, mask) in block.iter_mut().zip(mask(algorithm, &hash, modulus_bytes - length - 1)) {
        *byte ^= mask;
    }
    // The encoding has one bit less than a modulus of whole bytes.
    block[0] &= 0x7F;
    Ok([block.as_slice(), &hash, &[0xBC]].concat())
}

/// MGF1 (RFC 8017, appendix B.2.1).
fn mask(algorithm: DigestAlgorithm, seed: &[u8], length: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|counter| digest(algorithm, &[seed, counter.to_be_bytes().as_slice()].concat()))
        .take(length)
        .collect()
}

fn too_short() -> PkiError {
    encoding("RSA signature block", "the modulus is too short for the digest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_info_has_the_length_that_its_header_says() {
        for (algorithm, length) in
            [(DigestAlgorithm::Sha256, 51), (DigestAlgorithm::Sha384, 67), (DigestAlgorithm::Sha512, 83)]
        {
            let info = digest_info(algorithm, &vec![0xAA; algorithm.length_bytes()]);

            assert_eq!(info.len(), length);
            assert_eq!(usize::from(info[1]) + 2, length);
            assert_eq!(usize::from(info[18]), algorithm.length_bytes());
        }
    }

    #[test]
    fn every_block_is_as_long_as_the_modulus_and_begins_and_ends_as_the_standard_says() {
        for algorithm in DigestAlgorithm::ALL {
            let value = vec![0xAA; algorithm.length_bytes()];
            let salt = vec![0x55; algorithm.length_bytes()];

            let plain = pkcs1(*algorithm, &value, 256).unwrap();
            let probabilistic = pss(*algorithm, &value, &salt, 256).unwrap();

            assert_eq!((plain.len(), &plain[..3]), (256, [0x00, 0x01, 0xFF].as_slice()));
            assert_eq!((probabilistic.len(), probabilistic[255]), (256, 0xBC));
            assert!(probabilistic[0] < 0x80);
        }
    }

    #[test]
    fn a_modulus_that_is_too_short_is_refused() {
        assert!(pkcs1(DigestAlgorithm::Sha512, &[0; 64], 64).is_err());
        assert!(pss(DigestAlgorithm::Sha512, &[0; 64], &[0; 64], 128).is_err());
    }
}
