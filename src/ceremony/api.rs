//! Requests and answers about ceremonies.

use crate::base::{custody::KekPurpose, ids::InstanceId};
use crate::keys::api::KekView;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// `POST ceremonies/recoveries`: texts of share files; they are put together at once.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverRequest {
    /// One text a share file.
    #[schema(value_type = Vec<String>)]
    pub shares: Vec<Zeroizing<String>>,
}

impl fmt::Debug for RecoverRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoverRequest({} shares)", self.shares.len())
    }
}

/// A secret that was put together, waiting for its one use.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecoveryView {
    /// Names it in the next request.
    pub recovery: String,
    /// The instance that the share files name.
    pub instance: Option<InstanceId>,
    /// The root fingerprint that the share files name.
    pub root_sha256: Option<String>,
    /// Check values of the KEKs that the secret gives.
    pub keks: Vec<RecoveredKek>,
}

/// A KEK that a secret gives.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecoveredKek {
    /// What it wraps.
    pub purpose: KekPurpose,
    /// Six hex digits.
    #[schema(pattern = "^[0-9a-f]{6}$")]
    pub kcv: String,
}

/// `POST ceremonies/recoveries/{recovery}/keks`: the KEKs are in the token now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportAnswer {
    /// The KEKs as the inventory has them.
    pub keks: Vec<KekView>,
}
