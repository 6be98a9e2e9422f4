//! Why a caller is turned away, and why a credential was not added or revoked.

use crate::audit::AuditError;
use crate::base::{
    fault::{Entry, Fault},
    principal::{Principal, Role},
    time::Timestamp,
};
use crate::db::DbError;

/// Why a caller is turned away, or a credential was not added or revoked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The record could not be made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A credential whose time is over.
    #[error("the credential {} expired at {at}", who.name)]
    CredentialExpired {
        /// Whose.
        who: Principal,
        /// When.
        at: Timestamp,
    },
    /// A text that is no API token at all.
    #[error("this is not an API token of keyward, or not a whole one: its form or its checksum does not hold")]
    CredentialMalformed,
    /// No credential of this name or id.
    #[error("there is no credential `{selector}`")]
    CredentialMissing {
        /// As given.
        selector: String,
    },
    /// A credential that was taken back.
    #[error("the credential {} was revoked at {at}", who.name)]
    CredentialRevoked {
        /// Whose.
        who: Principal,
        /// When.
        at: Timestamp,
    },
    /// A credential that nobody here has given.
    #[error("the credential is not known")]
    CredentialUnknown,
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A lifetime that no credential should have.
    #[error("{days} days is not a lifetime from 1 to 3,650")]
    LifetimeOutOfRange {
        /// What was asked for.
        days: u32,
    },
    /// A text that is no name of a credential.
    #[error("`{name}` is not a name of a credential")]
    NameMalformed {
        /// As given.
        name: String,
    },
    /// A credential that is good has the name.
    #[error("there is a credential `{name}` already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The system gives no random bytes.
    #[error("a token could not be made: {0}")]
    NoRandom(#[from] getrandom::Error),
    /// More requests than the instance lets a caller make.
    #[error("{} makes more than {per_second} requests a second", who.name)]
    RateExceeded {
        /// Who.
        who: Principal,
        /// The limit.
        per_second: u32,
    },
    /// Known, but not allowed.
    #[error("{name} may not do this; it needs one of the roles {}", list(needed))]
    RoleMissing {
        /// Name of the principal.
        name: String,
        /// Any of these would do.
        needed: &'static [Role],
    },
    /// A role that is given by nobody.
    #[error("no credential can have the role {role}")]
    RoleReserved {
        /// The role.
        role: Role,
    },
    /// A credential that could do nothing.
    #[error("a credential needs at least one role")]
    RolesEmpty,
    /// A credential that would be good for no key.
    #[error("the credential would be good for no key at all")]
    ScopeEmpty,
    /// Keys for a credential that does not only sign.
    #[error("a credential that is good for some keys only can have the role signer and no other")]
    ScopeUnsuitable,
    /// Not known.
    #[error("the local user with uid {uid} is not known to this instance")]
    UserUnknown {
        /// Its uid.
        uid: u32,
    },
}

crate::catalogue! {
    CREDENTIAL_EXPIRED = Denied, "credential-expired", "the credential has expired", "ask an admin for a new one: `keyward credential add`";
    CREDENTIAL_MISSING = NotFound, "credential-missing", "there is no such credential", "`keyward credential list` shows names and ids";
    CREDENTIAL_REVOKED = Denied, "credential-revoked", "the credential was revoked", "ask an admin for a new one: `keyward credential add`";
    CREDENTIAL_UNKNOWN = Denied, "credential-unknown", "the credential is not known", "check that it is whole and of this instance; `keyward credential list` shows what there is";
    LIFETIME_OUT_OF_RANGE = Invalid, "credential-lifetime", "not a lifetime of a credential", "give `--days` from 1 to 3650";
    NAME_MALFORMED = Invalid, "credential-name-malformed", "not a name of a credential", "use 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit, not shaped like an id, not beginning with `keyward-`";
    NAME_TAKEN = Conflict, "credential-name-taken", "the name is in use", "choose another name, or revoke the one that has it with `keyward credential revoke NAME`";
    NO_RANDOM = Unavailable, "credential-random-unavailable", "the system gives no random bytes", "check that the service may call getrandom(2) or open /dev/urandom";
    RATE_EXCEEDED = Unavailable, "rate-exceeded", "too many requests at once", "send fewer, or several digests a request; `[http] requests_per_second` in keyward.toml is the limit of each credential";
    ROLE_MISSING = Denied, "role-missing", "the caller may not do this", "ask somebody with the role, or have it given to you";
    ROLE_RESERVED = Denied, "role-reserved", "the role cannot be given to a credential", "leave it out: it is for people";
    ROLES_EMPTY = Invalid, "credential-roles-empty", "a credential without a role", "give at least one `--role`";
    SCOPE_EMPTY = Invalid, "credential-scope-empty", "a credential for no key", "name at least one key, or leave `keys` out for every key";
    SCOPE_UNSUITABLE = Invalid, "credential-scope-unsuitable", "these roles are not limited by keys", "leave `--key` out, or give `--role signer` alone";
    USER_UNKNOWN = Denied, "user-unknown", "the local user is not known", "run the command as the user who ran `keyward init`";
}

impl AccessError {
    /// Who was turned away, if that is known.
    #[must_use]
    pub const fn principal(&self) -> Option<&Principal> {
        match self {
            Self::CredentialExpired { who, .. }
            | Self::CredentialRevoked { who, .. }
            | Self::RateExceeded { who, .. } => Some(who),
            _ => None,
        }
    }
}

impl Fault for AccessError {
    fn entry(&self) -> Entry {
        match self {
            Self::Audit(error) => error.entry(),
            Self::CredentialExpired { .. } => CREDENTIAL_EXPIRED,
            Self::CredentialMalformed | Self::CredentialUnknown => CREDENTIAL_UNKNOWN,
            Self::CredentialMissing { .. } => CREDENTIAL_MISSING,
            Self::CredentialRevoked { .. } => CREDENTIAL_REVOKED,
            Self::Database(error) => error.entry(),
            Self::LifetimeOutOfRange { .. } => LIFETIME_OUT_OF_RANGE,
            Self::NameMalformed { .. } => NAME_MALFORMED,
            Self::NameTaken { .. } => NAME_TAKEN,
            Self::NoRandom(_) => NO_RANDOM,
            Self::RateExceeded { .. } => RATE_EXCEEDED,
            Self::RoleMissing { .. } => ROLE_MISSING,
            Self::RoleReserved { .. } => ROLE_RESERVED,
            Self::RolesEmpty => ROLES_EMPTY,
            Self::ScopeEmpty => SCOPE_EMPTY,
            Self::ScopeUnsuitable => SCOPE_UNSUITABLE,
            Self::UserUnknown { .. } => USER_UNKNOWN,
        }
    }
}

fn list(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}
