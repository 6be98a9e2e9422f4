//! Answers that belong to no noun: problems, the instance, the caller.

use crate::base::{
    custody::Posture,
    fault::Kind,
    ids::InstanceId,
    principal::{Principal, Role},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView {
    /// A URI that names the situation.
    pub r#type: String,
    /// The situation in a few words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// The particulars.
    pub detail: String,
    /// Stable code.
    pub code: String,
    /// Decides the exit code of the command line.
    pub kind: Kind,
    /// What to do next.
    pub advice: String,
    /// The request, as in the logs.
    pub request_id: String,
}

/// `GET instance`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// Its id.
    pub id: InstanceId,
    /// How strict it is.
    pub posture: Posture,
    /// SHA-256 of the certificate of its CA: the root fingerprint.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub root_sha256: String,
}

/// `GET whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoamiView {
    /// Who calls, as the audit logs name it.
    pub principal: Principal,
    /// What it may do.
    pub roles: Vec<Role>,
    /// Ids of the keys that its credential is good for; null for every key.
    pub keys: Option<Vec<String>>,
}
