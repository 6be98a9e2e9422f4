//! AES key wrapping in software: RFC 5649 for private keys, RFC 3394 for content keys.
//!
//! The token does this itself wherever it can; here is what opens a backup when the token is another
//! one, and what the worker uses under its session keys.

use super::PkiError;
use aes_kw::{KeyInit, KwAes256, KwpAes256};
use zeroize::Zeroizing;

/// Opens a private key that was wrapped with RFC 5649 (KWP).
///
/// What comes out may carry a token's fill behind it: see [`super::private_key::cut_to_der`].
///
/// # Errors
/// [`PkiError::WrapRefused`] if the KEK is another one or the bytes were changed.
pub fn open(kek: &[u8; 32], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, PkiError> {
    // The crate would take eight bytes of bare initial value as a key of no bytes.
    if wrapped.len() < 2 * aes_kw::IV_LEN {
        return Err(PkiError::WrapRefused);
    }
    let mut key = Zeroizing::new(vec![0; wrapped.len() - aes_kw::IV_LEN]);
    let length = KwpAes256::new(kek.into()).unwrap_key(wrapped, &mut key).map_err(|_| PkiError::WrapRefused)?.len();
    key.truncate(length);
    Ok(key)
}

/// Wraps a private key with RFC 5649 (KWP), at its exact length.
///
/// # Errors
/// [`PkiError::Encoding`] for no bytes at all, or for 4 GiB and more.
pub fn wrap(kek: &[u8; 32], key: &[u8]) -> Result<Vec<u8>, PkiError> {
    if key.is_empty() {
        return Err(not_wrapped("there is nothing to wrap"));
    }
    let mut wrapped = vec![0; key.len().next_multiple_of(aes_kw::IV_LEN) + aes_kw::IV_LEN];
    KwpAes256::new(kek.into()).wrap_key(key, &mut wrapped).map_err(not_wrapped)?;
    Ok(wrapped)
}

/// Opens a content key that was wrapped with RFC 3394 (KW).
///
/// # Errors
/// [`PkiError::WrapRefused`] if the KEK is another one, the bytes were changed, or it is no 32-byte key.
pub fn open_content_key(kek: &[u8; 32], wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, PkiError> {
    let mut key = Zeroizing::new([0; 32]);
    if wrapped.len() != WRAPPED_CONTENT_KEY_BYTES {
        return Err(PkiError::WrapRefused);
    }
    KwAes256::new(kek.into()).unwrap_key(wrapped, &mut *key).map_err(|_| PkiError::WrapRefused)?;
    Ok(key)
}

/// Wraps a content key with RFC 3394 (KW).
///
/// # Errors
/// [`PkiError::Encoding`], which cannot happen at this length.
pub fn wrap_content_key(kek: &[u8; 32], key: &[u8; 32]) -> Result<[u8; WRAPPED_CONTENT_KEY_BYTES], PkiError> {
    let mut wrapped = [0; WRAPPED_CONTENT_KEY_BYTES];
    KwAes256::new(kek.into()).wrap_key(key, &mut wrapped).map_err(not_wrapped)?;
    Ok(wrapped)
}

fn not_wrapped(cause: impl ToString) -> PkiError {
    PkiError::Encoding { what: "a wrapped key", cause: cause.to_string() }
}

/// Length of a wrapped content key: 32 bytes of key and 8 of initial value.
pub const WRAPPED_CONTENT_KEY_BYTES: usize = 32 + aes_kw::IV_LEN;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, process::Command};

    const KEK: [u8; 32] = [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11,
        0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
    ];
    const KEK_HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// Runs `openssl enc` with AES-256-KWP over the bytes.
    fn openssl_kwp(direction: &str, input: &[u8]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("in"), input).unwrap();
        let output = Command::new("openssl")
            .args(["enc", direction, "-id-aes256-wrap-pad", "-K", KEK_HEX, "-iv", "A65959A6"])
            .args(["-in", "in", "-out", "out"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(dir.path().join("out")).unwrap()
    }

    #[test]
    fn rfc_3394_section_4_6_is_reproduced_both_ways() {
        let key: [u8; 32] =
            bytes("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f").try_into().unwrap();
        let expected = bytes("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");

        assert_eq!(wrap_content_key(&KEK, &key).unwrap().to_vec(), expected);
        assert_eq!(*open_content_key(&KEK, &expected).unwrap(), key);
    }

    #[test]
    fn rfc_5649_section_6_is_what_the_crate_computes_under_a_192_bit_kek() {
        let kek: [u8; 24] = bytes("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8").try_into().unwrap();
        let mut wrapped = [0; 32];

        aes_kw::KwpAes192::new((&kek).into())
            .wrap_key(&bytes("c37b7e6492584340bed12207808941155068f738"), &mut wrapped)
            .unwrap();

        assert_eq!(wrapped.to_vec(), bytes("138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"));
    }

    #[test]
    fn openssl_opens_what_is_wrapped_and_wraps_what_is_opened() {
        for length in [1, 7, 8, 9, 67, 72, 1217] {
            let key = vec![0x5a; length];

            let wrapped = wrap(&KEK, &key).unwrap();

            assert_eq!(openssl_kwp("-d", &wrapped), key);
            assert_eq!(openssl_kwp("-e", &key), wrapped);
            assert_eq!(*open(&KEK, &wrapped).unwrap(), key);
        }
    }

    #[test]
    fn another_kek_opens_nothing() {
        let wrapped = wrap(&KEK, b"a private key").unwrap();
        let content = wrap_content_key(&KEK, &[7; 32]).unwrap();

        assert!(matches!(open(&[1; 32], &wrapped), Err(PkiError::WrapRefused)));
        assert!(matches!(open_content_key(&[1; 32], &content), Err(PkiError::WrapRefused)));
    }

    #[test]
    fn a_bare_initial_value_is_not_a_key_of_no_bytes() {
        assert!(matches!(open(&KEK, &bytes("a65959a600000000")), Err(PkiError::WrapRefused)));
        assert!(matches!(open_content_key(&KEK, &[0xa6; 8]), Err(PkiError::WrapRefused)));
        assert!(matches!(wrap(&KEK, b""), Err(PkiError::Encoding { .. })));
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_refused(key in proptest::collection::vec(any::<u8>(), 1..200), at: usize, flip in 1..=255u8) {
            let mut wrapped = wrap(&KEK, &key).unwrap();
            let at = at % wrapped.len();

            wrapped[at] ^= flip;

            prop_assert!(matches!(open(&KEK, &wrapped), Err(PkiError::WrapRefused)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(wrapped in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = open(&KEK, &wrapped);
            let _ = open_content_key(&KEK, &wrapped);
        }
    }
}
