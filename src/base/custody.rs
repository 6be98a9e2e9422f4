//! What may happen to a key: policy, who enforces it, purpose, origin, state, presence; and the posture.

use super::{algorithm::named, ids::KeyId};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named! {
    /// Whether a key may leave its token; fixed at birth, never loosened.
    KeyPolicy, "key policy" {
        /// Never leaves, not even in a backup.
        TokenOnly = "token-only",
        /// Leaves only wrapped under its KEK.
        BackupOnly = "backup-only",
        /// Wrapped under its KEK, and by a controlled export.
        Exportable = "exportable",
    }
}

named! {
    /// Who stops a key from leaving against its policy.
    Enforcement, "enforcement" {
        /// The token's own attributes.
        Token = "token",
        /// keyward, and who holds the user PIN can go around it.
        Keyward = "keyward",
    }
}

named! {
    /// What a key is for; it signs or decrypts, not both, unless `client`.
    Purpose, "purpose" {
        /// TLS servers: signs.
        Tls = "tls",
        /// People's certificates: signs and decrypts.
        Client = "client",
        /// Signing of code, documents, artefacts.
        Signing = "signing",
        /// Decryption of secrets.
        Secrets = "secrets",
        /// Internal: issues certificates.
        Ca = "ca",
        /// Internal: signs checkpoints and manifests.
        Audit = "audit",
        /// Internal: identity of an agent.
        Agent = "agent",
        /// Internal: what a caller of the API shows; its key is with the caller.
        Credential = "credential",
    }
}

named! {
    /// Where a key came from.
    Origin, "origin" {
        /// Found in the token and taken into the inventory.
        Adopted = "adopted",
        /// Made in the token.
        Generated = "generated",
        /// Brought from a file.
        Imported = "imported",
        /// Put back from a backup.
        Unwrapped = "unwrapped",
    }
}

named! {
    /// Key states of NIST SP 800-57 part 1, section 7.
    KeyState, "key state" {
        /// Made, not yet to be used.
        PreActivation = "pre-activation",
        /// In use.
        Active = "active",
        /// Use stopped for a time.
        Suspended = "suspended",
        /// No longer used to protect, only to process.
        Deactivated = "deactivated",
        /// No longer to be trusted.
        Compromised = "compromised",
        /// Gone.
        Destroyed = "destroyed",
    }
}

named! {
    /// Whether the key was there when its token was last seen; independent of its state.
    Presence, "presence" {
        /// The key object is in the token.
        Present = "present",
        /// The token is there, the key object is not.
        Missing = "missing",
        /// The token is away.
        Absent = "token-absent",
    }
}

named! {
    /// How strict an instance is; chosen at `init`.
    Posture, "posture" {
        /// One person, a software token, everything at hand.
        Rig = "rig",
        /// People's keys.
        Production = "production",
    }
}

named! {
    /// What a key-encryption key is for.
    KekPurpose, "KEK purpose" {
        /// Wraps `backup-only` keys; the only one that is TRUSTED.
        BackupOnly = "backup-only",
        /// Wraps `exportable` keys.
        Exportable = "exportable",
        /// Wraps the content key of an archive's inventory; never a private key.
        Inventory = "inventory",
    }
}

impl KeyPolicy {
    /// The KEK that keys of this policy are wrapped under; `token-only` keys have none.
    #[must_use]
    pub const fn kek(self) -> Option<KekPurpose> {
        match self {
            Self::BackupOnly => Some(KekPurpose::BackupOnly),
            Self::Exportable => Some(KekPurpose::Exportable),
            Self::TokenOnly => None,
        }
    }
}

impl Purpose {
    /// Internal keys are made and used by keyward alone; `sign` and `decrypt` refuse them.
    #[must_use]
    pub const fn is_internal(self) -> bool {
        matches!(self, Self::Agent | Self::Audit | Self::Ca | Self::Credential)
    }

    /// Whether the key object is born with SIGN.
    #[must_use]
    pub const fn signs(self) -> bool {
        !matches!(self, Self::Secrets)
    }

    /// Whether the key object is born with DECRYPT (RSA) or DERIVE (EC).
    #[must_use]
    pub const fn decrypts(self) -> bool {
        matches!(self, Self::Client | Self::Secrets)
    }
}

/// Permission for one private key to leave its token: only an exportable policy gives it.
///
/// The token pool asks for it by value and compares the key, so there is no export without this check.
#[derive(Debug)]
pub struct ReleasePermit(KeyId);

impl ReleasePermit {
    /// Gives the permit for an `exportable` key, and nothing for another.
    #[must_use]
    pub fn for_key(key: KeyId, policy: KeyPolicy) -> Option<Self> {
        matches!(policy, KeyPolicy::Exportable).then_some(Self(key))
    }

    /// The key that may leave.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.0
    }
}
