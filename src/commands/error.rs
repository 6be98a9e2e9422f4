//! What can be wrong with a command.

use crate::base::{
    fault::{Entry, Fault},
    ids::CommandId,
};
use crate::db::DbError;

/// Why a command could not be begun, found or ended.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// keyward, or its work on the command, ended before the command did.
    #[error("the command broke off while it was at work")]
    Interrupted,
    /// No such command.
    #[error("there is no command {id}")]
    Unknown {
        /// The id given.
        id: CommandId,
    },
}

crate::catalogue! {
    INTERRUPTED = Unavailable, "command-interrupted", "the command broke off while it was at work", "nothing acknowledged was lost; give the command again: backups begin anew, restores go on where they were";
    UNKNOWN = NotFound, "command-unknown", "there is no such command", "use the id that the answer 202 gave";
}

impl Fault for CommandError {
    fn entry(&self) -> Entry {
        match self {
            Self::Database(error) => error.entry(),
            Self::Interrupted => INTERRUPTED,
            Self::Unknown { .. } => UNKNOWN,
        }
    }
}
