//! `manifest.json`: what an archive holds, in clear, as RFC 8785 JSON (CONTRACT "Archive").

use super::{BackupError, api::KekRef};
use crate::audit::canonical::to_canonical;
use crate::base::{
    algorithm::KeyAlgorithm,
    custody::{KeyPolicy, Purpose},
    ids::{InstanceId, KekId, KeyId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// The manifest of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    pub schema: u32,
    /// Whose archive it is.
    pub instance: ManifestInstance,
    /// Counts up within an instance.
    pub sequence: u64,
    /// SHA-256 of the archive before; null for the first.
    pub previous_sha256: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// KEKs that something in here is wrapped under.
    pub keks: Vec<KekRef>,
    /// Signed heads of the audit logs at that time.
    pub checkpoints: ManifestCheckpoints,
    /// The wrapped keys.
    pub keys: Vec<ManifestKey>,
    /// Keys that are not in here.
    pub not_covered: Vec<ManifestGap>,
    /// Every member but the manifest and its signature.
    pub members: Vec<Member>,
}

/// The instance of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestInstance {
    /// Its id.
    pub id: InstanceId,
    /// SHA-256 of the certificate of its CA.
    pub root_sha256: String,
}

/// C2SP checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestCheckpoints {
    /// Of the management log.
    pub management: String,
    /// Of the signature log.
    pub signatures: String,
}

/// One wrapped key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestKey {
    /// Its id; the member is `keys/ID.kwp`.
    pub id: KeyId,
    /// Type and size.
    pub algorithm: KeyAlgorithm,
    /// What may leave.
    pub policy: KeyPolicy,
    /// What it is for.
    pub purpose: Purpose,
    /// Under which KEK.
    pub kek: KekId,
    /// `rfc5649`.
    pub format: String,
    /// Bytes of the member.
    pub size: u64,
    /// Lower-case hex SHA-256 of the member.
    pub sha256: String,
    /// PEM SubjectPublicKeyInfo that the key must prove to have.
    pub public_key_pem: String,
}

/// One key that is not in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestGap {
    /// The key.
    pub id: KeyId,
    /// Why.
    pub reason: String,
}

/// One member of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name in the tar.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Lower-case hex SHA-256.
    pub sha256: String,
}

impl Manifest {
    /// The bytes that are stored and signed.
    ///
    /// # Errors
    /// A number is too large for canonical JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BackupError> {
        let invalid = |cause: String| BackupError::ArchiveInvalid { cause };
        let value = serde_json::to_value(self).map_err(|error| invalid(error.to_string()))?;
        Ok(to_canonical(&value).map_err(|error| invalid(error.to_string()))?.into_bytes())
    }

    /// Reads a manifest; nothing about it is believed before its signature is checked.
    ///
    /// # Errors
    /// Not a manifest of schema 1, or not in canonical form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BackupError> {
        let invalid = |cause: String| BackupError::ArchiveInvalid { cause };
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| invalid(format!("manifest.json: {error}")))?;
        if manifest.schema != SCHEMA {
            return Err(invalid(format!("manifest.json has schema {}; this keyward reads {SCHEMA}", manifest.schema)));
        }
        if manifest.to_bytes()? != bytes {
            return Err(invalid("manifest.json is not in canonical form".to_owned()));
        }
        Ok(manifest)
    }

    /// The KEK with this id.
    ///
    /// # Errors
    /// A key names a KEK that the manifest does not list.
    pub fn kek(&self, id: KekId) -> Result<&KekRef, BackupError> {
        let found = self.keks.iter().find(|kek| kek.id == id);
        found.ok_or_else(|| BackupError::ArchiveInvalid { cause: format!("manifest.json lists no KEK {id}") })
    }
}

/// The version of the format that is written and read.
pub const SCHEMA: u32 = 1;
