//! Why a caller may not do something.

use crate::base::{
    fault::{Entry, Fault},
    principal::Role,
};

/// Why a caller is turned away.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A credential that is not, or no longer, known.
    #[error("the credential is not known")]
    CredentialUnknown,
    /// Known, but not allowed.
    #[error("{name} may not do this; it needs one of the roles {}", list(needed))]
    RoleMissing {
        /// Name of the principal.
        name: String,
        /// Any of these would do.
        needed: &'static [Role],
    },
    /// Not known.
    #[error("the local user with uid {uid} is not known to this instance")]
    UserUnknown {
        /// Its uid.
        uid: u32,
    },
}

crate::catalogue! {
    CREDENTIAL_UNKNOWN = Denied, "credential-unknown", "the credential is not known", "check that it is whole, of this instance and not revoked; `keyward credential list` shows what there is";
    ROLE_MISSING = Denied, "role-missing", "the caller may not do this", "ask somebody with the role, or have it given to you";
    USER_UNKNOWN = Denied, "user-unknown", "the local user is not known", "run the command as the user who ran `keyward init`";
}

impl Fault for AccessError {
    fn entry(&self) -> Entry {
        match self {
            Self::CredentialUnknown => CREDENTIAL_UNKNOWN,
            Self::RoleMissing { .. } => ROLE_MISSING,
            Self::UserUnknown { .. } => USER_UNKNOWN,
        }
    }
}

fn list(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}
