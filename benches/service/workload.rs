//! What clients ask for: an algorithm, digests a request, connections.

use crate::{Outcome, http1::request};
use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A type of key. Its name is also the label of the key that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Algorithm {
    /// Signs messages, not digests.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA with SHA-256.
    #[serde(rename = "p256")]
    P256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
}

/// One shape of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Workload {
    /// Of the key.
    pub(crate) algorithm: Algorithm,
    /// Digests a request.
    pub(crate) digests: u32,
    /// Each with one request under way.
    pub(crate) connections: u32,
}

impl Algorithm {
    /// In the order of the tables.
    pub(crate) const ALL: [Self; 3] = [Self::Rsa2048, Self::P256, Self::Ed25519];

    /// As keyward's command line has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
            Self::Rsa2048 => "rsa-2048",
        }
    }

    /// Policy of the key that is measured.
    pub(crate) const fn policy(self) -> &'static str {
        match self {
            Self::Ed25519 => "token-only",
            Self::P256 | Self::Rsa2048 => "backup-only",
        }
    }
}

impl Workload {
    /// The whole request, to be sent again and again.
    pub(crate) fn request(self) -> Vec<u8> {
        let input = format!("\"{}\"", Base64::encode_string(&[7; 32]));
        let inputs = vec![input; self.digests as usize].join(",");
        let field = if self.algorithm == Algorithm::Ed25519 { "messages" } else { "digests" };
        let path = format!("/api/v1/keys/{}/sign", self.algorithm.name());
        request("POST", &path, &format!("{{\"{field}\":[{inputs}]}}"))
    }

    /// Milliseconds that a request takes if all others are served first, at a rate of signatures.
    pub(crate) fn queueing_bound_ms(self, rate: f64) -> f64 {
        f64::from(self.connections * self.digests) * 1_000.0 / rate
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(format!("no algorithm {text}"))
    }
}

impl FromStr for Workload {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(text: &str) -> Outcome<Self> {
        let words: Vec<&str> = text.split('/').collect();
        let [algorithm, digests, connections] = words[..] else {
            return Err(format!("{text} is not ALGORITHM/DIGESTS/CONNECTIONS").into());
        };
        Ok(Self { algorithm: algorithm.parse()?, digests: digests.parse()?, connections: connections.parse()? })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.algorithm.name(), self.digests, self.connections)
    }
}
