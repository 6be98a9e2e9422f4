//! The local administrator: who a uid of this machine is.

use super::AccessError;
use crate::base::{
    ids::RequestId,
    principal::{Caller, Principal, PrincipalKind, Role},
};

/// The caller behind a uid: who ran `init` is `owner`, with every role.
///
/// # Errors
/// [`AccessError::UserUnknown`] for every other uid.
pub fn local_caller(uid: u32, owner_uid: u32) -> Result<Caller, AccessError> {
    if uid != owner_uid {
        return Err(AccessError::UserUnknown { uid });
    }
    let principal = Principal { id: format!("uid:{uid}"), kind: PrincipalKind::Person, name: "owner".to_owned() };
    Ok(Caller::new(principal, Role::ALL.to_vec(), RequestId::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uid_that_ran_init_is_the_owner() {
        assert_eq!(local_caller(1000, 1000).unwrap().principal.name, "owner");
        assert!(matches!(local_caller(0, 1000), Err(AccessError::UserUnknown { uid: 0 })));
    }
}
