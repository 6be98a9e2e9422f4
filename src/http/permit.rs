//! Who may use a route. Each extractor gives the caller if it holds one of the roles, before a body is read.
//!
//! Use cases ask for their roles again; what only reads asks here.

use super::{HttpError, problem::Failure};
use crate::access::require;
use crate::base::principal::{Caller, Role};
use axum::{extract::FromRequestParts, http::request::Parts};

macro_rules! permits {
    ($($(#[$meta:meta])* $name:ident: $($role:ident)+;)+) => {
        $(
            $(#[$meta])*
            pub(super) struct $name(pub(super) Caller);

            impl<S: Send + Sync> FromRequestParts<S> for $name {
                type Rejection = Failure;

                async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
                    let caller = parts.extensions.get::<Caller>().ok_or(HttpError::Unidentified)?;
                    require(caller, &[$(Role::$role),+])?;
                    Ok(Self(caller.clone()))
                }
            }
        )+
    };
}

permits! {
    /// Who decides who comes in.
    Administrator: Admin;
    /// Who looks after archives and the token: runs, drills, downloads, ceremonies, probes.
    Keeper: Admin Operator;
    /// Who sees keys; a signer those of its scope.
    KeyReader: Admin Auditor Operator Signer;
    /// Who works with keys.
    Operator: Operator;
    /// Who sees who comes in.
    #[expect(dead_code, reason = "what is read is the same for all of them")]
    Overseer: Admin Auditor;
    /// Who sees lists and details.
    #[expect(dead_code, reason = "what is read is the same for all of them")]
    Reader: Admin Auditor Operator;
}
