//! Who may do what: callers are mapped to principals here, and roles are asked for here.
//!
//! Invariant: a use case gets a [`Caller`] that was identified, never a name that a request gave.

pub mod error;
mod local;

pub use error::AccessError;
pub use local::local_caller;

use crate::base::principal::{Caller, Role};

/// Lets a caller pass who holds one of these roles.
///
/// # Errors
/// [`AccessError::RoleMissing`] for everybody else.
pub fn require(caller: &Caller, roles: &'static [Role]) -> Result<(), AccessError> {
    if caller.has_any(roles) {
        return Ok(());
    }
    Err(AccessError::RoleMissing { name: caller.principal.name.clone(), needed: roles })
}
