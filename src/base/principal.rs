//! Who calls: a person, a service or the local administrator, with the roles they hold.

use super::{
    algorithm::named,
    ids::{KeyId, RequestId},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use utoipa::ToSchema;

named! {
    /// What a principal is.
    PrincipalKind, "principal kind" {
        /// A person.
        Person = "person",
        /// A program.
        Service = "service",
        /// keyward itself: schedules, recovery after a crash.
        System = "system",
    }
}

named! {
    /// What a principal may do.
    Role, "role" {
        /// Settings, users, destinations; cannot export.
        Admin = "admin",
        /// Agrees to requests of others.
        Approver = "approver",
        /// Reads everything, audit included.
        Auditor = "auditor",
        /// Keys, certificates, exports, backups.
        Operator = "operator",
        /// Gets people's keys back for them.
        RecoveryOfficer = "recovery-officer",
        /// Uses named keys.
        Signer = "signer",
    }
}

/// Who, as audit records have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Principal {
    /// Stable id.
    pub id: String,
    /// Person, service or keyward itself.
    pub kind: PrincipalKind,
    /// For people.
    pub name: String,
}

/// Who is behind a credential and what it may do; shared by all requests that show the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub principal: Principal,
    /// What it may do.
    pub roles: Vec<Role>,
    /// With which keys.
    pub keys: KeyScope,
}

impl Identity {
    /// Somebody with these roles, for every key.
    #[must_use]
    pub const fn new(principal: Principal, roles: Vec<Role>) -> Self {
        Self { principal, roles, keys: KeyScope::Every }
    }
}

/// Which keys a credential is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// All of them.
    Every,
    /// These; of others it cannot even learn that they exist.
    Only(BTreeSet<KeyId>),
}

impl KeyScope {
    /// Whether the key is among them.
    #[must_use]
    pub fn includes(&self, key: KeyId) -> bool {
        match self {
            Self::Every => true,
            Self::Only(keys) => keys.contains(&key),
        }
    }
}

/// An identified caller and the request it makes.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who calls, and what it may do.
    pub identity: Arc<Identity>,
    /// The request.
    pub request: RequestId,
    recorded: Arc<AtomicBool>,
}

impl Caller {
    /// A caller and its request, of which nothing is in the audit log yet.
    #[must_use]
    pub fn new(identity: Arc<Identity>, request: RequestId) -> Self {
        Self { identity, request, recorded: Arc::default() }
    }

    /// keyward acting by itself, for a new request.
    #[must_use]
    pub fn system() -> Self {
        let principal = Principal { id: "keyward".to_owned(), kind: PrincipalKind::System, name: "keyward".to_owned() };
        Self::new(Arc::new(Identity::new(principal, Role::ALL.to_vec())), RequestId::new())
    }

    /// Who calls.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.identity.principal
    }

    /// Whether the caller holds any of these roles.
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        self.identity.roles.iter().any(|role| roles.contains(role))
    }

    /// Notes that the audit log tells of this request, so that its refusal is not recorded twice.
    pub fn mark_recorded(&self) {
        self.recorded.store(true, Ordering::Relaxed);
    }

    /// Whether the audit log tells of this request.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Relaxed)
    }
}
