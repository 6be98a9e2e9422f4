//! What can be wrong with a command.

use crate::base::{
    fault::{Entry, Fault},
    ids::CommandId,
    time::Timestamp,
};
use crate::db::DbError;

/// Why a command or a claim could not be begun, found or ended.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The principal has too many claims.
    #[error("{most} requests under an Idempotency-Key are remembered for you, and that is as many as can be")]
    ClaimsFull {
        /// How many there may be.
        most: i64,
    },
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The request is under way.
    #[error("{request} is under way under this Idempotency-Key")]
    InProgress {
        /// Method and path.
        request: String,
    },
    /// keyward, or its work on the command, ended before the command did.
    #[error("the command broke off while it was at work")]
    Interrupted,
    /// The key belongs to another request.
    #[error("this Idempotency-Key belongs to another request: {request}")]
    KeyReused {
        /// Method and path of that one.
        request: String,
    },
    /// The request was done, and its answer is not kept.
    #[error("{request} was done under this Idempotency-Key at {at}, and its answer, which held a secret, is not kept")]
    RequestDone {
        /// Method and path.
        request: String,
        /// When it was asked for.
        at: Timestamp,
    },
    /// keyward ended while the request was under way.
    #[error("{request} was begun under this Idempotency-Key at {at} and broke off")]
    RequestInterrupted {
        /// Method and path.
        request: String,
        /// When it was asked for.
        at: Timestamp,
    },
    /// No such command.
    #[error("there is no command {id}")]
    Unknown {
        /// The id given.
        id: CommandId,
    },
}

crate::catalogue! {
    INTERRUPTED = Unavailable, "command-interrupted", "the command broke off while it was at work", "nothing acknowledged was lost; give the command again: backups begin anew, restores go on where they were";
    CLAIMS_FULL = Unavailable, "idempotency-keys-exhausted", "too many requests under an Idempotency-Key", "keys are remembered for 24 hours; send fewer requests, or send them without a key";
    DONE = Conflict, "request-done", "the request was done before", "look for what it made by a GET at the path that the message names; if that does not help, take it back and ask again under another key";
    IN_PROGRESS = Conflict, "request-in-progress", "the request is under way", "send it again after the time in Retry-After, under the same key, to get its answer";
    KEY_REUSED = Invalid, "idempotency-key-reused", "the Idempotency-Key belongs to another request", "choose a new key for each request, for instance a UUID, and send the very same request under it again";
    REQUEST_INTERRUPTED = Conflict, "request-interrupted", "the request broke off", "it may have taken effect: look by a GET at the path that the message names, then ask for what is missing under another key";
    UNKNOWN = NotFound, "command-unknown", "there is no such command", "use the id that the answer 202 gave";
}

impl Fault for CommandError {
    fn entry(&self) -> Entry {
        match self {
            Self::ClaimsFull { .. } => CLAIMS_FULL,
            Self::Database(error) => error.entry(),
            Self::InProgress { .. } => IN_PROGRESS,
            Self::Interrupted => INTERRUPTED,
            Self::KeyReused { .. } => KEY_REUSED,
            Self::RequestDone { .. } => DONE,
            Self::RequestInterrupted { .. } => REQUEST_INTERRUPTED,
            Self::Unknown { .. } => UNKNOWN,
        }
    }
}
