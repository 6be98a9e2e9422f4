//! What can go wrong with the audit logs.

use super::record::Log;
use crate::base::{
    algorithm::SignatureAlgorithm,
    fault::{Entry, Fault},
    signing::SignerError,
};
use crate::db::DbError;
use crate::pki::PkiError;
use std::{io, path::PathBuf};

/// Why a record was not written, or a log not read, signed or checked.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The certificates that a log is to be checked with cannot be used.
    #[error("the audit log cannot be checked with these certificates: {0}")]
    Certificate(#[source] PkiError),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A file that was given for a check is not there.
    #[error("there is no file {}", path.display())]
    FileMissing {
        /// As it was given.
        path: PathBuf,
    },
    /// A file or folder of the audit logs cannot be used.
    #[error("cannot {action} {}: {cause}", path.display())]
    FileUnusable {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// keyward stops, and the work with it.
    #[error("work on the audit log was interrupted: {cause}")]
    Interrupted {
        /// What happened to it.
        cause: String,
    },
    /// The log does not go on from what was signed before.
    #[error("the {log} audit log does not hold together at record {seq}: {cause}; no checkpoint was signed")]
    LogBroken {
        /// Which log.
        log: Log,
        /// The first record in doubt.
        seq: u64,
        /// What does not fit.
        cause: String,
    },
    /// A record that has no canonical form.
    #[error("an audit record of `{event}` cannot be written: {cause}")]
    RecordUnencodable {
        /// The event.
        event: String,
        /// What has no canonical form.
        cause: String,
    },
    /// A stored line that is not a record.
    #[error("record {seq} of the {log} audit log cannot be read: {cause}")]
    RecordUnreadable {
        /// Which log.
        log: Log,
        /// Its position.
        seq: u64,
        /// What the parser met.
        cause: String,
    },
    /// The signature log cannot be written, so nothing may be signed.
    #[error("the signature log cannot be written, so nothing is signed: {cause}")]
    SignatureLogUnwritable {
        /// The system's answer.
        cause: String,
    },
    /// The audit key did not sign.
    #[error("the audit key did not sign the checkpoint: {0}")]
    Signer(#[from] SignerError),
    /// A checkpoint needs another kind of key.
    #[error("the audit key signs {given}, a checkpoint is signed with ecdsa-sha256 (C2SP signature type 0x02)")]
    SignerUnsuitable {
        /// What the key signs.
        given: SignatureAlgorithm,
    },
}

crate::catalogue! {
    FILE_MISSING = NotFound, "audit-file-missing", "a file that the audit log is to be checked with is not there", "check the path: FILE is what `keyward audit export` wrote, `--cert` the instance's audit/audit.pem, `--against` a checkpoint that was kept";
    FILE_UNUSABLE = Unavailable, "audit-file-unusable", "a file of the audit log cannot be used", "check that the path exists, free disk space, and that the owner of the service may write there";
    INTERRUPTED = Unavailable, "audit-interrupted", "work on the audit log was interrupted", "ask again when the service runs";
    LOG_BROKEN = Conflict, "audit-log-broken", "an audit log does not go on from what was signed before", "run `keyward audit verify` to see what is missing; if a copy of the log was put back on purpose, keep audit/*.checkpoint as evidence and move them out of the folder";
    RECORD_UNENCODABLE = Internal, "audit-record-unencodable", "an audit record cannot be written", "report it with the request id";
    RECORD_UNREADABLE = Conflict, "audit-record-unreadable", "an audit record cannot be read", "the log was changed: run `keyward audit verify`, which names every such record";
    SIGNATURE_LOG_UNWRITABLE = Unavailable, "audit-log-unwritable", "the signature log cannot be written, so signing has stopped", "free disk space in the audit folder and check its rights; signing goes on by itself";
    SIGNER_UNSUITABLE = Unsupported, "audit-key-unsuitable", "the audit key cannot sign checkpoints", "the audit key must be a P-256 key";
}

impl Fault for AuditError {
    fn entry(&self) -> Entry {
        match self {
            Self::Certificate(error) => error.entry(),
            Self::Database(error) => error.entry(),
            Self::FileMissing { .. } => FILE_MISSING,
            Self::FileUnusable { .. } => FILE_UNUSABLE,
            Self::Interrupted { .. } => INTERRUPTED,
            Self::LogBroken { .. } => LOG_BROKEN,
            Self::RecordUnencodable { .. } => RECORD_UNENCODABLE,
            Self::RecordUnreadable { .. } => RECORD_UNREADABLE,
            Self::SignatureLogUnwritable { .. } => SIGNATURE_LOG_UNWRITABLE,
            Self::Signer(error) => error.fault().entry(),
            Self::SignerUnsuitable { .. } => SIGNER_UNSUITABLE,
        }
    }
}

/// Names operation and path of an I/O error: `.map_err(unusable("open", &path))`.
pub(super) fn unusable(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> AuditError + use<> {
    let path = path.to_owned();
    move |cause| AuditError::FileUnusable { action, path, cause }
}
