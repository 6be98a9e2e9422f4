//! Requests and answers about exports.

use crate::base::{
    algorithm::named,
    ids::{ExportId, KeyId, KeyLabel},
    time::Timestamp,
};
use crate::pki::pkcs12::Pkcs12Profile;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;
use zeroize::Zeroizing;

named! {
    /// The format of the file.
    ExportFormat, "export format" {
        /// PKCS#12 (RFC 7292): key and chain.
        Pkcs12 = "pkcs12",
        /// PEM: encrypted PKCS#8, then the chain.
        Pem = "pem",
    }
}

/// `POST exports`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Label or id.
    pub key: String,
    /// The format of the file.
    pub format: ExportFormat,
    /// `modern` if absent; PKCS#12 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Pkcs12Profile>,
    /// Name of the entry inside, 1 to 64 printable characters; the label if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub alias: Option<String>,
    /// Encrypts the file; never stored.
    #[schema(value_type = String, format = "password")]
    pub passphrase: Zeroizing<String>,
    /// Why, for the record; at most 1,024 characters.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub reason: String,
}

impl fmt::Debug for ExportRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportRequest").field("key", &self.key).field("format", &self.format).finish_non_exhaustive()
    }
}

/// An export, as the header `Keyward-Export` has it beside the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportView {
    /// Its id.
    pub id: ExportId,
    /// What left.
    pub key: ExportedKey,
    /// As what.
    pub format: ExportFormat,
    /// For which readers; null for PEM.
    pub profile: Option<Pkcs12Profile>,
    /// Name of the entry inside.
    pub alias: String,
    /// Lower-case hex SHA-256 of the file.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// Its size.
    pub size_bytes: usize,
    /// Ids (SHA-256) of the certificates in the file, leaf first.
    pub certificates: Vec<String>,
    /// Nobody else agreed to it.
    pub self_approved: bool,
    /// Who agreed.
    pub approvals: Vec<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub created_at: Timestamp,
    /// The record of it.
    pub audit: AuditPosition,
}

/// The key that left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportedKey {
    /// Its id.
    pub id: KeyId,
    /// Its label.
    pub label: KeyLabel,
}

/// A place in an audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPosition {
    /// `management`.
    pub log: String,
    /// Sequence number of the result.
    pub seq: u64,
}
