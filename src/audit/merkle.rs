//! The Merkle tree of RFC 6962 section 2.1 over the lines of a log, kept as a compact frontier.

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

/// A hash of a leaf or node; base64 on the wire, as in a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9+/]{43}=$")]
pub struct Hash([u8; 32]);

/// All that is needed of the first `size` leaves to go on: the roots of the full subtrees, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

/// A text that is no hash, or no frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct NotMerkle(&'static str);

impl Frontier {
    /// Adds a line (without its line end) as the next leaf; one hash, and one more on average.
    pub fn push(&mut self, line: &[u8]) {
        let mut hash = hash_of(&[&[LEAF], line]);
        let mut size = self.size;
        while size & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = node(left, hash);
            }
            size >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves; over none, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let smallest_first = self.peaks.iter().rev().copied();
        smallest_first.reduce(|right, left| node(left, right)).unwrap_or_else(|| hash_of(&[]))
    }
}

/// The size, then a hash a line: how a frontier lies beside a closed segment.
impl fmt::Display for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.size)?;
        self.peaks.iter().try_for_each(|peak| writeln!(f, "{peak}"))
    }
}

impl FromStr for Frontier {
    type Err = NotMerkle;

    fn from_str(text: &str) -> Result<Self, NotMerkle> {
        let mut lines = text.lines();
        let size: u64 = lines.next().and_then(|size| size.parse().ok()).ok_or(NOT_A_FRONTIER)?;
        let peaks = lines.map(str::parse).collect::<Result<Vec<Hash>, _>>()?;
        if peaks.len() != size.count_ones() as usize {
            return Err(NOT_A_FRONTIER);
        }
        Ok(Self { size, peaks })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&Base64::encode_string(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = NotMerkle;

    fn from_str(text: &str) -> Result<Self, NotMerkle> {
        let bytes = Base64::decode_vec(text).map_err(|_| NOT_A_HASH)?;
        bytes.try_into().map(Self).map_err(|_| NOT_A_HASH)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn node(left: Hash, right: Hash) -> Hash {
    hash_of(&[&[NODE], &left.0, &right.0])
}

fn hash_of(parts: &[&[u8]]) -> Hash {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    Hash(digest.finalize().into())
}

const LEAF: u8 = 0;
const NODE: u8 = 1;
const NOT_A_FRONTIER: NotMerkle = NotMerkle("a frontier of a Merkle tree");
const NOT_A_HASH: NotMerkle = NotMerkle("a SHA-256 hash in base64");

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// The eight leaves and roots that the Certificate Transparency implementations test with.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn the_roots_are_those_of_certificate_transparency() {
        let mut frontier = Frontier::default();

        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            assert_eq!(hex(frontier.root()), root);
            frontier.push(leaf);
        }

        assert_eq!(hex(frontier.root()), ROOTS[8]);
        assert_eq!(frontier.size(), 8);
    }

    #[test]
    fn a_frontier_goes_on_from_its_text_as_if_it_had_never_been_away() {
        let mut whole = Frontier::default();
        for leaf in LEAVES {
            let mut resumed: Frontier = whole.to_string().parse().unwrap();
            assert_eq!(resumed, whole);
            resumed.push(leaf);
            whole.push(leaf);
            assert_eq!(resumed.root(), whole.root());
        }
    }

    #[test]
    fn a_text_with_a_hash_too_few_is_no_frontier() {
        assert!("3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n".parse::<Frontier>().is_err());
        assert!("".parse::<Frontier>().is_err());
        assert!("1\nAA==\n".parse::<Frontier>().is_err());
    }

    fn hex(hash: Hash) -> String {
        hash.0.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
