//! SHA-256 of a CA's certificate, as people pass it on.

use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};
use subtle::ConstantTimeEq as _;

/// SHA-256 of the DER of a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// Whether it is of this certificate.
    #[must_use]
    pub fn matches(self, der: &[u8]) -> bool {
        self.0.ct_eq(&Self::of(der).0).into()
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// 64 hexadecimal digits of either case; colons between bytes may stand there.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a SHA-256 has 64 hexadecimal digits, with or without colons between bytes".to_owned();
        let digits: Vec<u8> = match text.split(':').collect::<Vec<_>>()[..] {
            [plain] => plain.bytes().collect(),
            ref parts if parts.iter().all(|part| part.len() == 2) => parts.concat().into_bytes(),
            _ => return Err(wrong()),
        };
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
            let (Some(high), Some(low)) = (high, low) else { return Err(wrong()) };
            *byte = u8::try_from(high << 4 | low).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn case_and_colons_do_not_matter() {
        let pairs: Vec<_> = OF_ABC.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();

        for written in [OF_ABC.to_owned(), OF_ABC.to_uppercase(), pairs.join(":"), pairs.join(":").to_uppercase()] {
            let fingerprint: Fingerprint = written.parse().unwrap();
            assert_eq!(fingerprint.to_string(), OF_ABC);
            assert!(fingerprint.matches(b"abc") && !fingerprint.matches(b"abd"));
        }
    }

    #[test]
    fn anything_but_a_whole_sha_256_is_refused() {
        let (short, long, letter) = (&OF_ABC[2..], format!("{OF_ABC}00"), OF_ABC.replace('b', "g"));
        let colons = [format!(":{OF_ABC}"), format!("{}:{}", &OF_ABC[..3], &OF_ABC[3..]), format!("{OF_ABC}:")];

        for wrong in ["", short, &long, &letter, &colons[0], &colons[1], &colons[2], &"é".repeat(32)] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
