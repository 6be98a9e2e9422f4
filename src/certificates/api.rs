//! Requests and answers about certificates.

use crate::base::{
    algorithm::SignatureAlgorithm,
    ids::{KeyId, KeyLabel},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST keys/{key}/self-signed`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SelfSignRequest {
    /// `CN=web.example,O=Example`.
    pub subject: String,
    /// `dns:…`, `ip:…`, `email:…`, `uri:…`.
    #[serde(default)]
    pub san: Vec<String>,
    /// For how long, 1 to 36,500; 365 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36500)]
    pub days: Option<u32>,
    /// The key's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<SignatureAlgorithm>,
}

/// `POST keys/{key}/certificates`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddRequest {
    /// PEM: the leaf, and its chain if there is one, in any order after it.
    pub pem: String,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateView {
    /// Lower-case hex SHA-256 of the DER.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub id: String,
    /// Its key.
    pub key: KeyRef,
    /// Subject, RFC 4514.
    pub subject: String,
    /// Issuer, RFC 4514.
    pub issuer: String,
    /// Serial number, hex.
    pub serial: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid to.
    pub not_after: Timestamp,
    /// PEM: the certificate, then its chain.
    pub pem: String,
    /// When it was attached.
    pub created_at: Timestamp,
}

/// A key, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRef {
    /// Its id.
    pub id: KeyId,
    /// Its label.
    pub label: KeyLabel,
}
