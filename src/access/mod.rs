//! Who may do what: what a caller shows becomes an identity here, and roles are asked for here.
//!
//! Invariant: a use case gets a [`Caller`] that was identified, never a name that a request gave. Whoever is
//! identified is found in memory: no database stands on the way of a signature.

pub mod error;

pub use error::AccessError;

use crate::base::principal::{Caller, Identity, Principal, PrincipalKind, Role};
use std::sync::Arc;

/// Everybody who may come in; cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    owner: Arc<Identity>,
    owner_uid: u32,
}

/// What a caller shows.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// An API token, as it came.
    ApiToken(&'a str),
    /// A client certificate that leads to a CA of ours: SHA-256 of its DER.
    Certificate([u8; 32]),
    /// Being a user of this machine.
    LocalUser(u32),
}

impl Access {
    /// Everybody of an instance whose `init` this uid ran: that user is `owner`, with every role.
    #[must_use]
    pub fn new(owner_uid: u32) -> Self {
        let principal =
            Principal { id: format!("uid:{owner_uid}"), kind: PrincipalKind::Person, name: "owner".to_owned() };
        Self { owner: Arc::new(Identity::new(principal, Role::ALL.to_vec())), owner_uid }
    }

    /// Who is behind what a caller shows.
    ///
    /// # Errors
    /// It is unknown, expired or revoked.
    pub fn identify(&self, shown: Shown<'_>) -> Result<Arc<Identity>, AccessError> {
        match shown {
            Shown::LocalUser(uid) if uid == self.owner_uid => Ok(Arc::clone(&self.owner)),
            Shown::LocalUser(uid) => Err(AccessError::UserUnknown { uid }),
            Shown::ApiToken(_) | Shown::Certificate(_) => Err(AccessError::CredentialUnknown),
        }
    }
}

/// Lets a caller pass who holds one of these roles.
///
/// # Errors
/// [`AccessError::RoleMissing`] for everybody else.
pub fn require(caller: &Caller, roles: &'static [Role]) -> Result<(), AccessError> {
    if caller.has_any(roles) {
        return Ok(());
    }
    Err(AccessError::RoleMissing { name: caller.principal().name.clone(), needed: roles })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uid_that_ran_init_is_the_owner() {
        let access = Access::new(1000);

        assert_eq!(access.identify(Shown::LocalUser(1000)).unwrap().principal.name, "owner");
        assert!(matches!(access.identify(Shown::LocalUser(0)), Err(AccessError::UserUnknown { uid: 0 })));
    }
}
