//! Why a backup, restore or drill did not succeed.

use crate::access::AccessError;
use crate::audit::AuditError;
use crate::base::{
    fault::{Entry, Fault},
    ids::InstanceId,
};
use crate::ceremony::CeremonyError;
use crate::certificates::CertificateError;
use crate::db::DbError;
use crate::keys::KeyError;
use crate::pki::PkiError;
use crate::token::{TokenError, error::KEK_DIFFERS};
use std::{io, path::PathBuf};

/// Why a backup, restore or drill did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The caller may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The archive's bytes do not hold together.
    #[error("the archive is damaged or was changed: {cause}")]
    ArchiveInvalid {
        /// What does not hold.
        cause: String,
    },
    /// The archive is of another instance.
    #[error("the archive is of instance {theirs}, and this instance ({ours}) has keys of its own")]
    AnotherInstance {
        /// The archive's.
        theirs: InstanceId,
        /// This one's.
        ours: InstanceId,
    },
    /// The record could not be made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The shares do not do.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// A certificate is missing or wrong.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// No archive at the destination.
    #[error("there is no archive in {}", directory.display())]
    DestinationEmpty {
        /// Where was looked.
        directory: PathBuf,
    },
    /// A file of the destination cannot be read or written.
    #[error("{action} {} failed: {source}", path.display())]
    DestinationFailed {
        /// What was done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file of that name is there already.
    #[error("{} is there already and is not overwritten", path.display())]
    DestinationTaken {
        /// The file.
        path: PathBuf,
    },
    /// The KEK that the archive needs is not here.
    #[error("the archive was made under the {purpose} KEK with KCV {kcv}, which is not in this token")]
    KekDiffers {
        /// What the KEK is for.
        purpose: String,
        /// Its check value.
        kcv: String,
    },
    /// An inventory or token key is at fault.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key is not in the archive.
    #[error("the archive holds no key `{selector}`")]
    KeyNotInArchive {
        /// Label or id as given.
        selector: String,
    },
    /// A newer archive is known.
    #[error("the archive has number {sequence}, and number {newest} is known: keys made since would be missing")]
    OlderThanKnown {
        /// The archive's.
        sequence: u64,
        /// The newest known.
        newest: u64,
    },
    /// A structure could not be made or read.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The archive leads to another root.
    #[error("the archive's signature leads to the root {found}, not to {expected}")]
    RootDiffers {
        /// The archive's.
        found: String,
        /// The one expected.
        expected: String,
    },
    /// Nothing tells whether the archive is the right instance's.
    #[error("the archive's signature leads to the root {found}, and nothing here tells whether that is the right one")]
    RootUnconfirmed {
        /// The archive's.
        found: String,
    },
    /// The token did not do it.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No such backup.
    #[error("there is no backup `{selector}`")]
    Unknown {
        /// As given.
        selector: String,
    },
}

crate::catalogue! {
    ARCHIVE_INVALID = Invalid, "archive-invalid", "the archive is damaged or was changed", "take another copy of the archive; nothing was restored from this one";
    ANOTHER_INSTANCE = Conflict, "another-instance", "the archive is of another instance", "restore it into a new instance: `keyward init --dir NEW`, then `backup restore` there";
    DESTINATION_EMPTY = NotFound, "no-archive", "there is no archive at the destination", "make one with `keyward backup run`, or name the file";
    DESTINATION_FAILED = Unavailable, "destination-failed", "the destination cannot be used", "check free space, mounts and rights of the directory; no archive was left half written";
    DESTINATION_TAKEN = Conflict, "destination-taken", "a file of that name is there", "move it away: keyward overwrites no archive";
    KEY_NOT_IN_ARCHIVE = NotFound, "key-not-in-archive", "the archive does not hold the key", "`keyward backup verify FILE` says how many keys it holds; try an older or newer one";
    OLDER_THAN_KNOWN = Conflict, "older-than-known", "a newer archive is known", "restore `latest`, or add `--older-than-known` if that is what you want; destroyed keys stay destroyed";
    ROOT_DIFFERS = Conflict, "root-differs", "the archive leads to another root", "compare with the root fingerprint on the share sheets; do not use an archive that leads elsewhere";
    ROOT_UNCONFIRMED = Invalid, "root-unconfirmed", "the archive's root was not confirmed", "give the root fingerprint that every share sheet prints: `--root-fingerprint H`, or `--share-file F` which names it";
    UNKNOWN = NotFound, "backup-unknown", "there is no such backup", "`keyward backup list` shows them";
}

impl Fault for BackupError {
    fn entry(&self) -> Entry {
        match self {
            Self::Access(error) => error.entry(),
            Self::ArchiveInvalid { .. } => ARCHIVE_INVALID,
            Self::AnotherInstance { .. } => ANOTHER_INSTANCE,
            Self::Audit(error) => error.entry(),
            Self::Ceremony(error) => error.entry(),
            Self::Certificate(error) => error.entry(),
            Self::Database(error) => error.entry(),
            Self::DestinationEmpty { .. } => DESTINATION_EMPTY,
            Self::DestinationFailed { .. } => DESTINATION_FAILED,
            Self::DestinationTaken { .. } => DESTINATION_TAKEN,
            Self::KekDiffers { .. } => KEK_DIFFERS,
            Self::Key(error) => error.entry(),
            Self::KeyNotInArchive { .. } => KEY_NOT_IN_ARCHIVE,
            Self::OlderThanKnown { .. } => OLDER_THAN_KNOWN,
            Self::Pki(error) => error.entry(),
            Self::RootDiffers { .. } => ROOT_DIFFERS,
            Self::RootUnconfirmed { .. } => ROOT_UNCONFIRMED,
            Self::Token(error) => error.entry(),
            Self::Unknown { .. } => UNKNOWN,
        }
    }
}
