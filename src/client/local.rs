//! What can be wrong on the caller's own side, before or after a call: arguments and local files.

use crate::base::fault::{Entry, Fault};
use std::io;

/// Why an argument or a local file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Arguments that do not fit together, or an answer to a question that was not given.
    #[error("{what}; {instead}")]
    ArgumentInvalid {
        /// What is wrong.
        what: String,
        /// What to give instead.
        instead: &'static str,
    },
    /// A file to be written is there already.
    #[error("{name} exists already")]
    FileExists {
        /// The file.
        name: String,
    },
    /// A file is not there.
    #[error("{action} {name} failed: {source}")]
    FileMissing {
        /// What was done.
        action: &'static str,
        /// The file.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error("{action} {name} failed: {source}")]
    FileUnusable {
        /// What was done.
        action: &'static str,
        /// The file.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
}

crate::catalogue! {
    ARGUMENT_INVALID = Invalid, "argument-invalid", "an argument cannot be used", "the message says what to give instead; `keyward COMMAND --help` explains every option";
    FILE_EXISTS = Conflict, "file-exists", "the file exists already", "choose another name, or move the file away: nothing is overwritten";
    FILE_MISSING = NotFound, "file-missing", "the file is not there", "check the path";
    FILE_UNUSABLE = Unavailable, "file-unusable", "the file cannot be used", "check free space and rights";
}

impl LocalError {
    /// What the system answered when something was done to a file.
    pub fn file(action: &'static str, name: impl ToString, source: io::Error) -> Self {
        let name = name.to_string();
        match source.kind() {
            io::ErrorKind::AlreadyExists => Self::FileExists { name },
            io::ErrorKind::NotFound => Self::FileMissing { action, name, source },
            _ => Self::FileUnusable { action, name, source },
        }
    }
}

impl Fault for LocalError {
    fn entry(&self) -> Entry {
        match self {
            Self::ArgumentInvalid { .. } => ARGUMENT_INVALID,
            Self::FileExists { .. } => FILE_EXISTS,
            Self::FileMissing { .. } => FILE_MISSING,
            Self::FileUnusable { .. } => FILE_UNUSABLE,
        }
    }
}
