//! Requests and answers about credentials, as the API has them.

use crate::base::{
    algorithm::named,
    ids::{CredentialId, KeyId},
    principal::Role,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;
use zeroize::Zeroizing;

named! {
    /// What a credential is.
    CredentialKind, "kind of credential" {
        /// A secret text, shown with each request.
        ApiToken = "api-token",
        /// A certificate of the instance's CA, shown with each connection.
        ClientCertificate = "client-certificate",
    }
}

named! {
    /// Whether a credential is good now.
    CredentialState, "state of a credential" {
        /// It is.
        Active = "active",
        /// Its time is over.
        Expired = "expired",
        /// It was taken back.
        Revoked = "revoked",
    }
}

/// `POST credentials`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddCredentialRequest {
    /// Unique among those that are good: 1 to 64 letters, digits, `.`, `_` or `-`, not shaped like an id.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub name: String,
    /// What it may do; at least one.
    #[schema(min_items = 1)]
    pub roles: Vec<Role>,
    /// Labels or ids of the only keys that it may use and see, at least one, for the role `signer` alone; every key if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    pub keys: Option<Vec<String>>,
    /// For how long, 1 to 3,650; 90 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3650)]
    pub days: Option<u32>,
    /// PEM: makes a client certificate for the public key of this request; an API token if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
}

/// A new credential. Nobody can ask for its token again.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct AddCredentialAnswer {
    /// The credential.
    pub credential: CredentialView,
    /// Of an API token: the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^kwt_")]
    pub token: Option<Zeroizing<String>>,
    /// Of a client certificate, PEM: the certificate, then the CA's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
}

/// A credential, without what makes it one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    /// Id.
    pub id: CredentialId,
    /// What it is.
    pub kind: CredentialKind,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// Ids of the only keys that it is good for; null for every key.
    pub keys: Option<Vec<KeyId>>,
    /// Whether it is good now.
    pub state: CredentialState,
    /// Of a client certificate: its SHA-256.
    pub certificate_sha256: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}
