//! Bytes that must not be seen: PINs, passphrases, shares, key material.

use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Secret bytes: no `Clone`, no `Display`, no `Serialize`; redacted in `Debug`; zeroed on drop.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the caller keeps no copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads a secret from the text of a file or prompt: one line end at the end is not part of it.
    #[must_use]
    pub fn from_line(mut bytes: Vec<u8>) -> Self {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        Self::new(bytes)
    }

    /// Lends the bytes for one call. Where this may stand is checked by the structure test.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A second holder of the same bytes, where a secret must outlive its first use.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "Secret(redacted)");
    }

    #[test]
    fn only_the_last_line_end_is_taken_off() {
        assert_eq!(Secret::from_line(b"pin\r\n".to_vec()).expose(), b"pin");
        assert_eq!(Secret::from_line(b"pin\n\n".to_vec()).expose(), b"pin\n");
        assert_eq!(Secret::from_line(b" pin ".to_vec()).expose(), b" pin ");
    }
}
