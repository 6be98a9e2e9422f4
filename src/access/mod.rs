//! Who may do what: what a caller shows becomes an identity here, and roles are asked for here.
//!
//! Owns the rows of credentials. Use cases: [`Access::identify`], for every request; [`Access::draft`],
//! [`Access::add_token`] and [`Access::add_certificate`], [`Access::list`], [`Access::find`], [`Access::revoke`].
//!
//! Invariants: a use case gets a [`Caller`] that was identified, never a name that a request gave. Whoever is
//! identified is found in memory: no database stands on the way of a signature. Memory changes together with the row,
//! so a revoked credential is refused from then on, on open connections too. Of an API token only the hash is kept.

pub mod api;
mod api_token;
mod credential;
mod credentials;
mod db;
pub mod error;
mod known;
mod rate;
mod refusals;
#[cfg(test)]
mod tests;

pub use api_token::ApiToken;
pub use credentials::Draft;
pub use error::AccessError;

use crate::audit::Audit;
use crate::base::{
    principal::{Caller, Identity, Principal, PrincipalKind, Role},
    time::Clock,
};
use crate::db::Database;
use known::Known;
use rate::Allowance;
use refusals::{Refusals, record_each_minute};
use std::{fmt, num::NonZeroU32, sync::Arc};
use tokio::sync::Mutex;

/// Everybody who may come in; cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    db: Database,
    audit: Audit,
    clock: Arc<dyn Clock>,
    owner: Owner,
    known: Known,
    refusals: Refusals,
    /// One change at a time, so that names stay unique.
    turn: Mutex<()>,
}

/// The local user who ran `init`.
struct Owner {
    uid: u32,
    identity: Arc<Identity>,
    allowance: Allowance,
}

/// What a caller shows. Not to be printed: it holds a secret.
#[derive(Clone, Copy)]
pub enum Shown<'a> {
    /// An API token, as it came.
    ApiToken(&'a str),
    /// A client certificate that leads to a CA of ours: SHA-256 of its DER.
    Certificate([u8; 32]),
    /// Being a user of this machine.
    LocalUser(u32),
}

impl Access {
    /// Everybody of an instance whose `init` this uid ran: that user is `owner`, with every role, and whoever has a
    /// credential. Each may make so many requests a second.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open(
        (db, audit): (Database, Audit),
        clock: Arc<dyn Clock>,
        owner_uid: u32,
        per_second: NonZeroU32,
    ) -> Result<Self, AccessError> {
        let known = Known::new(db::all(&db).await?, per_second);
        let (owner, refusals, turn) = (Owner::new(owner_uid, per_second), Refusals::default(), Mutex::default());
        let inner = Arc::new(Inner { db, audit, clock, owner, known, refusals, turn });
        tokio::spawn(record_each_minute(Arc::downgrade(&inner)));
        Ok(Self(inner))
    }

    /// Who is behind what a caller shows; takes one request off what that caller may ask.
    ///
    /// # Errors
    /// It is unknown, expired or revoked, or its holder asks too much.
    pub fn identify(&self, shown: Shown<'_>) -> Result<Arc<Identity>, AccessError> {
        let Inner { owner, known, clock, .. } = &*self.0;
        match shown {
            Shown::ApiToken(text) => {
                let token = ApiToken::parse(text).ok_or(AccessError::CredentialMalformed)?;
                known.identify(&token.sha256(), clock.now())
            }
            Shown::Certificate(sha256) => known.identify(&sha256, clock.now()),
            Shown::LocalUser(uid) => {
                require_owner(uid, owner.uid)?;
                known.admit(&owner.allowance, &owner.identity.principal)?;
                Ok(Arc::clone(&owner.identity))
            }
        }
    }

    /// Records what was counted since the last minute.
    pub async fn close(&self) {
        self.record_refusals().await;
    }
}

impl Owner {
    fn new(uid: u32, per_second: NonZeroU32) -> Self {
        let principal = Principal { id: format!("uid:{uid}"), kind: PrincipalKind::Person, name: "owner".to_owned() };
        let identity = Arc::new(Identity::new(principal, Role::ALL.to_vec()));
        Self { uid, identity, allowance: Allowance::per_second(per_second) }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("owner", &self.0.owner.uid).finish_non_exhaustive()
    }
}

/// Lets the local user pass who ran `init`.
///
/// # Errors
/// [`AccessError::UserUnknown`] for everybody else.
pub fn require_owner(uid: u32, owner_uid: u32) -> Result<(), AccessError> {
    if uid == owner_uid { Ok(()) } else { Err(AccessError::UserUnknown { uid }) }
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
