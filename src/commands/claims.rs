//! Claims: what is asked for under an `Idempotency-Key` takes effect once.
//!
//! Invariants: a claim is durable before its request begins; what it became is kept with it for a day, or the claim
//! is given back because nothing came of the request. A claim whose request nobody works on any more, and which has
//! no end, is *interrupted*: it is never carried out again under this key.

use super::{CommandError, Commands, db};
use crate::base::{ids::hex, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// A request as its caller named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keyed {
    /// Who asks.
    pub principal: String,
    /// The caller's word for this request.
    pub key: String,
    /// Method, path and query.
    pub request: String,
}

/// What a caller gets for a key.
pub enum Claimed {
    /// Nobody has asked under it: the request may begin.
    First(Claim),
    /// It was asked for before, and was done.
    Before(Done),
}

/// A request that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// SHA-256 of the body, in hex; none if nobody read it to its end.
    body_sha256: Option<String>,
    /// What was answered; none if it is not kept.
    answer: Option<Answer>,
    request: String,
    at: Timestamp,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Where the rest is to be found, if the answer says so.
    pub location: Option<String>,
    /// JSON.
    pub body: String,
}

/// The right to carry a request out; the claim is interrupted if this is dropped.
pub struct Claim {
    commands: Commands,
    keyed: Keyed,
    _live: Live,
}

/// The claims whose requests are under way in this process.
pub(super) type LiveClaims = Arc<Mutex<HashSet<(String, String)>>>;

struct Live {
    all: LiveClaims,
    this: (String, String),
}

/// A claim as its row has it.
pub(super) struct Row {
    pub(super) request: String,
    pub(super) is_done: bool,
    pub(super) body_sha256: Option<String>,
    pub(super) answer: Option<Answer>,
    pub(super) created_at: Timestamp,
}

impl Commands {
    /// Claims a request for this caller, durably.
    ///
    /// # Errors
    /// Another request has this key; this one is under way, or was interrupted; the caller has too many claims.
    pub async fn claim(&self, keyed: Keyed) -> Result<Claimed, CommandError> {
        let live = Live::enter(&self.claims, &keyed);
        let now = self.clock.now();
        let found = match &live {
            Some(_) => db::claim(&self.db, &keyed, now, (now.plus_days(-KEPT_DAYS), MOST)).await?,
            None => db::find_claim(&self.db, &keyed).await?,
        };
        match (found, live) {
            (None, Some(live)) => Ok(Claimed::First(Claim { commands: self.clone(), keyed, _live: live })),
            (Some(row), _) if row.request != keyed.request => Err(CommandError::KeyReused { request: row.request }),
            (Some(row), _) if row.is_done => Ok(Claimed::Before(Done::from(row))),
            (Some(row), Some(_)) => Err(CommandError::RequestInterrupted { request: row.request, at: row.created_at }),
            (_, None) => Err(CommandError::InProgress { request: keyed.request }),
        }
    }
}

impl Claim {
    /// The request was done; keeps its answer.
    ///
    /// # Errors
    /// The database cannot be written; then the claim counts as interrupted.
    pub async fn keep(self, body: Option<[u8; 32]>, answer: Option<&Answer>) -> Result<(), CommandError> {
        let body = body.map(|sha256| hex(&sha256));
        Ok(db::end_claim(&self.commands.db, &self.keyed, body, answer).await?)
    }

    /// Nothing came of the request: the key is free again.
    ///
    /// # Errors
    /// The database cannot be written; then the claim counts as interrupted.
    pub async fn give_back(self) -> Result<(), CommandError> {
        Ok(db::drop_claim(&self.commands.db, &self.keyed).await?)
    }

    /// What a caller is told whose request broke off under this claim.
    #[must_use]
    pub fn interrupted(keyed: &Keyed, at: Timestamp) -> CommandError {
        CommandError::RequestInterrupted { request: keyed.request.clone(), at }
    }
}

impl Done {
    /// What was answered, to a request with this body.
    ///
    /// # Errors
    /// The body is another one; or the answer is not kept, since it held a secret.
    pub fn answer_to(self, body: [u8; 32]) -> Result<Answer, CommandError> {
        if self.body_sha256.is_some_and(|kept| kept != hex(&body)) {
            return Err(CommandError::KeyReused { request: self.request });
        }
        self.answer.ok_or(CommandError::RequestDone { request: self.request, at: self.at })
    }
}

impl From<Row> for Done {
    fn from(row: Row) -> Self {
        Self { body_sha256: row.body_sha256, answer: row.answer, request: row.request, at: row.created_at }
    }
}

impl Live {
    /// None if the request is under way already.
    fn enter(all: &LiveClaims, keyed: &Keyed) -> Option<Self> {
        let this = (keyed.principal.clone(), keyed.key.clone());
        let is_new = all.lock().unwrap_or_else(PoisonError::into_inner).insert(this.clone());
        is_new.then(|| Self { all: Arc::clone(all), this })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.this);
    }
}

/// How long a key is remembered.
const KEPT_DAYS: i64 = 1;
/// Keys that are remembered for one principal.
const MOST: i64 = 10_000;
