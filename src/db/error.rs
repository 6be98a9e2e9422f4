//! What can go wrong with the database.

use crate::base::fault::{Entry, Fault};

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Bytes in the database that keyward did not write so.
    #[error("the database holds an unreadable {what}: {cause}")]
    Corrupt {
        /// Table and column.
        what: &'static str,
        /// What the parser met.
        cause: String,
    },
    /// The tables could not be brought up to date.
    #[error("the database's tables cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database refused, or cannot be reached.
    #[error("the database refused: {0}")]
    Refused(#[from] sqlx::Error),
}

crate::catalogue! {
    CORRUPT = Internal, "database-corrupt", "the database holds something unreadable", "stop the service and restore the newest archive into a new instance; no archive holds keyward.db itself";
    MIGRATION = Internal, "database-migration", "the database's tables cannot be brought up to date", "a database of a newer keyward needs that version; otherwise check disk space and file rights";
    REFUSED = Unavailable, "database-unavailable", "the database cannot be used", "check free disk space and the rights on keyward.db; nothing was changed";
}

impl DbError {
    /// Whether a row with a value that must be unique is there already.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Refused(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

impl Fault for DbError {
    fn entry(&self) -> Entry {
        match self {
            Self::Corrupt { .. } => CORRUPT,
            Self::Migration(_) => MIGRATION,
            Self::Refused(_) => REFUSED,
        }
    }
}
