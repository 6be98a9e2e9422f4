//! Why an instance cannot be made or opened.

use crate::access::AccessError;
use crate::audit::AuditError;
use crate::base::fault::{Entry, Fault};
use crate::ceremony::CeremonyError;
use crate::certificates::CertificateError;
use crate::commands::CommandError;
use crate::db::DbError;
use crate::keys::KeyError;
use crate::token::TokenError;
use std::{io, path::PathBuf};

/// Why an instance cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The caller may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The audit logs cannot be opened.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The first secret cannot be made.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// The instance's own certificates cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Commands cannot be opened.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A file of the instance directory cannot be used.
    #[error("{action} {} failed: {source}", path.display())]
    Directory {
        /// What was done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory holds an instance already, or part of one.
    #[error("{} holds an instance already, or part of one: there is `{name}`", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
        /// What was found of it.
        name: &'static str,
    },
    /// The token cannot be the instance's own.
    #[error("token `{token}` cannot be an instance's own: {cause}, so the instance could not be backed up")]
    NoHome {
        /// The token's label.
        token: String,
        /// What it cannot do.
        cause: String,
    },
    /// Another process works with the instance.
    #[error("the instance in {} is in use by another process", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// An inventory or token key is at fault.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A listener cannot be had.
    #[error("listening at {what} failed: {source}")]
    Listen {
        /// Where.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory holds no instance.
    #[error("{} holds no instance of keyward", directory.display())]
    NoInstance {
        /// The directory.
        directory: PathBuf,
    },
    /// Production needs what this version does not have.
    #[error("a production instance begins with a key ceremony, which this version of keyward cannot hold yet")]
    ProductionUnavailable,
    /// The settings cannot be read or do not hold together.
    #[error("{}: {}", path.display(), faults.join("; "))]
    Settings {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        faults: Vec<String>,
    },
    /// SoftHSM is missing, or its files cannot be made.
    #[error("a SoftHSM token could not be made: {cause}")]
    SoftHsm {
        /// What went wrong.
        cause: String,
    },
    /// Key or certificate of the listener cannot be used.
    #[error("the TLS listener cannot be set up: {cause}")]
    TlsUnusable {
        /// What the library says.
        cause: String,
    },
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
}

crate::catalogue! {
    DIRECTORY = Unavailable, "directory-unusable", "the instance directory cannot be used", "check free space and that the directory belongs to this user";
    EXISTS = Conflict, "instance-exists", "there is an instance already", "use it as it is, or choose another directory with `--dir`; `init` touches nothing that is there";
    IN_USE = Locked, "instance-in-use", "the instance is in use", "wait until the other command ends, or stop the other process; a service that is just starting answers in a moment";
    LISTEN = Unavailable, "listener-unavailable", "the service cannot listen there", "choose another address with `[http] listen` in keyward.toml, or stop what uses this one";
    NO_INSTANCE = NotFound, "instance-missing", "there is no instance", "make one with `keyward init`, or name its directory with `--dir` or KEYWARD_DIR";
    NO_HOME = Unsupported, "token-no-home", "the token cannot be an instance's own", "make the instance on another token (`keyward init` alone makes one in SoftHSM), then name this one under `[[tokens]]` of keyward.toml: it takes `token-only` keys by `keyward key generate --token`";
    PRODUCTION_UNAVAILABLE = Unsupported, "production-unavailable", "no production instance yet", "use `--posture rig` for now: for trying keyward out, not for people's keys";
    SETTINGS = Invalid, "settings-invalid", "the settings do not hold together", "mend keyward.toml; all its faults are listed";
    TLS_UNUSABLE = Internal, "tls-unusable", "the TLS listener cannot be set up", "remove tls/server.pem and tls/server.key, which are made anew at the next start";
    SOFT_HSM = Unsupported, "softhsm-unusable", "SoftHSM cannot be used", "install the Debian package softhsm2, or name another token with `--token-module` and `--token-label`";
}

impl Fault for AppError {
    fn entry(&self) -> Entry {
        match self {
            Self::Access(error) => error.entry(),
            Self::Audit(error) => error.entry(),
            Self::Ceremony(error) => error.entry(),
            Self::Certificate(error) => error.entry(),
            Self::Command(error) => error.entry(),
            Self::Database(error) => error.entry(),
            Self::Directory { .. } => DIRECTORY,
            Self::Exists { .. } => EXISTS,
            Self::InUse { .. } => IN_USE,
            Self::Key(error) => error.entry(),
            Self::Listen { .. } => LISTEN,
            Self::NoHome { .. } => NO_HOME,
            Self::NoInstance { .. } => NO_INSTANCE,
            Self::ProductionUnavailable => PRODUCTION_UNAVAILABLE,
            Self::Settings { .. } => SETTINGS,
            Self::SoftHsm { .. } => SOFT_HSM,
            Self::TlsUnusable { .. } => TLS_UNUSABLE,
            Self::Token(error) => error.entry(),
        }
    }
}
