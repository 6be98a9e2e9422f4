//! API tokens: their text form, and what is kept of one.
//!
//! `kwt_` and 48 characters of base64url (RFC 4648, section 5) over 36 bytes: 32 random ones, then their CRC-32 (IEEE
//! 802.3, least significant byte first). So a scanner finds tokens by `kwt_[A-Za-z0-9_-]{48}`, and it and whoever
//! mistypes a character learn from the text alone that this is none: 32 bits of CRC see every change of up to 32 bits
//! in a row. The checksum says nothing of whether anybody knows the token.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::{Zeroize as _, Zeroizing};

/// A token as its holder has it; shown once, and kept by nobody else.
pub struct ApiToken(Zeroizing<[u8; RANDOM]>);

impl ApiToken {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; RANDOM]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// Reads the text form; none if it is cut, changed or something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; RANDOM + CHECKSUM]);
        let decoded = Base64UrlUnpadded::decode(text.strip_prefix(PREFIX)?, bytes.as_mut_slice()).ok()?;
        let (random, checksum) = decoded.split_first_chunk::<RANDOM>()?;
        (checksum == crc_32(random).to_le_bytes()).then(|| Self(Zeroizing::new(*random)))
    }

    /// The text form.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; RANDOM + CHECKSUM]);
        bytes[..RANDOM].copy_from_slice(self.0.as_slice());
        bytes[RANDOM..].copy_from_slice(&crc_32(self.0.as_slice()).to_le_bytes());
        let mut encoded = Base64UrlUnpadded::encode_string(bytes.as_slice());
        let text = Zeroizing::new(format!("{PREFIX}{encoded}"));
        encoded.zeroize();
        text
    }

    /// What is stored and looked for. With 256 random bits behind it the hash needs neither salt nor slowness, and a
    /// look-up by it tells nothing of a token by the time that it takes.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_slice()).into()
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(redacted)")
    }
}

/// CRC-32 of IEEE 802.3, bit by bit: 32 bytes a request need no table.
fn crc_32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
        }
    }
    !crc
}

const PREFIX: &str = "kwt_";
const RANDOM: usize = 32;
const CHECKSUM: usize = 4;
/// Bit-reversed 0x04C11DB7.
const POLYNOMIAL: u32 = 0xEDB8_8320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_prefix_and_48_characters_and_reads_back() {
        let token = ApiToken(Zeroizing::new([7; RANDOM]));

        // Python: base64.urlsafe_b64encode(b"\7" * 32 + zlib.crc32(b"\7" * 32).to_bytes(4, "little"))
        assert_eq!(*token.text(), "kwt_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwfLJNij");
        assert_eq!(ApiToken::parse(&token.text()).unwrap().sha256(), token.sha256());
        assert_eq!(crc_32(b"123456789"), 0xCBF4_3926);
        assert_eq!(format!("{token:?}"), "ApiToken(redacted)");
    }

    #[test]
    fn two_tokens_are_never_the_same() {
        let (one, other) = (ApiToken::generate().unwrap(), ApiToken::generate().unwrap());

        assert_ne!(one.sha256(), other.sha256());
        assert_ne!(one.text(), other.text());
    }

    /// A CRC is linear, so what one token shows of changes holds for all.
    #[test]
    fn no_single_character_can_be_changed_lost_or_added() {
        let text = ApiToken::generate().unwrap().text();
        let alphabet = (b' '..=b'~').map(char::from);

        for at in 0..text.len() {
            let (before, after) = (&text[..at], &text[at + 1..]);
            for other in alphabet.clone() {
                let changed = format!("{before}{other}{after}");
                assert_eq!(ApiToken::parse(&changed).is_some(), changed == **text, "{changed}");
                assert!(ApiToken::parse(&format!("{before}{other}{}", &text[at..])).is_none());
            }
            assert!(ApiToken::parse(&format!("{before}{after}")).is_none());
        }
    }
}
