//! Why something was not done with a certificate.

use crate::access::AccessError;
use crate::audit::AuditError;
use crate::base::{
    algorithm::KeyAlgorithm,
    fault::{Entry, Fault},
    ids::KeyLabel,
};
use crate::db::DbError;
use crate::keys::KeyError;
use crate::pki::PkiError;
use crate::token::TokenError;
use std::{io, path::PathBuf};

/// Why something was not done with a certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The caller may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The record could not be made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A client's key that no handshake takes.
    #[error("{algorithm} keys cannot be used at the listener")]
    ClientKeyUnsuitable {
        /// What it is.
        algorithm: KeyAlgorithm,
    },
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A lifetime that no certificate should have.
    #[error("{days} days is not a lifetime from 1 to 36,500")]
    DaysOutOfRange {
        /// What was asked for.
        days: u32,
    },
    /// A certificate of the instance cannot be written to its file.
    #[error("{} cannot be written: {source}", path.display())]
    FileUnwritable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The key could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate is another key's.
    #[error("the certificate for {subject} is not for {key}: it certifies another public key")]
    KeyMismatch {
        /// Label of the key.
        key: KeyLabel,
        /// Subject of the certificate.
        subject: String,
    },
    /// A certificate or a name is malformed.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The token did not do it.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The instance lacks a certificate of its own.
    #[error("the instance has no {what} certificate")]
    Uncertified {
        /// `CA` or `audit`.
        what: &'static str,
    },
    /// No such certificate.
    #[error("there is no certificate `{id}`")]
    Unknown {
        /// As given.
        id: String,
    },
}

crate::catalogue! {
    CLIENT_KEY_UNSUITABLE = Invalid, "client-key-unsuitable", "the listener takes no such keys", "make the request with an RSA, P-256, P-384 or Ed25519 key";
    DAYS_OUT_OF_RANGE = Invalid, "days-out-of-range", "not a lifetime", "give `--days` from 1 to 36500";
    FILE_UNWRITABLE = Unavailable, "file-unwritable", "a certificate file cannot be written", "check free space and rights of the instance directory, then run `keyward status`";
    KEY_MISMATCH = Conflict, "certificate-key-mismatch", "the certificate is another key's", "attach it to the key whose CSR it was issued for; compare with `keyward key public KEY`";
    UNCERTIFIED = Conflict, "instance-uncertified", "the instance has no certificate of its own", "run `keyward status`; if the CA key is missing, restore it from a backup";
    UNKNOWN = NotFound, "certificate-unknown", "there is no such certificate", "`keyward cert list` shows them; an id is the SHA-256 fingerprint";
}

impl Fault for CertificateError {
    fn entry(&self) -> Entry {
        match self {
            Self::Access(error) => error.entry(),
            Self::Audit(error) => error.entry(),
            Self::ClientKeyUnsuitable { .. } => CLIENT_KEY_UNSUITABLE,
            Self::Database(error) => error.entry(),
            Self::DaysOutOfRange { .. } => DAYS_OUT_OF_RANGE,
            Self::FileUnwritable { .. } => FILE_UNWRITABLE,
            Self::Key(error) => error.entry(),
            Self::KeyMismatch { .. } => KEY_MISMATCH,
            Self::Pki(error) => error.entry(),
            Self::Token(error) => error.entry(),
            Self::Uncertified { .. } => UNCERTIFIED,
            Self::Unknown { .. } => UNKNOWN,
        }
    }
}
