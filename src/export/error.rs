//! Why a key was not exported.

use crate::access::AccessError;
use crate::audit::AuditError;
use crate::base::{
    custody::KeyPolicy,
    fault::{Entry, Fault},
    ids::KeyLabel,
};
use crate::certificates::CertificateError;
use crate::db::DbError;
use crate::keys::KeyError;
use crate::pki::PkiError;
use crate::token::TokenError;

/// Why a key was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The caller may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Not a name for an entry.
    #[error("this alias cannot be used")]
    AliasMalformed,
    /// Approvals by others are needed first.
    #[error("an export of {key} needs {needed} approvals by others, and has none")]
    ApprovalsMissing {
        /// Its label.
        key: KeyLabel,
        /// How many.
        needed: u32,
    },
    /// The record could not be made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The format holds a certificate, and there is none.
    #[error("{key} has no certificate, and a PKCS#12 file needs one")]
    CertificateMissing {
        /// Its label.
        key: KeyLabel,
    },
    /// The chain could not be had.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The key could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The passphrase or a structure is not usable.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The policy keeps the key in.
    #[error("{key} is `{policy}` and is not exported; a policy is fixed when the key is made")]
    PolicyForbids {
        /// Its label.
        key: KeyLabel,
        /// Its policy.
        policy: KeyPolicy,
    },
    /// A profile where there is none.
    #[error("only PKCS#12 files have a profile")]
    ProfileMisplaced,
    /// The reason is too long.
    #[error("the reason has {characters} characters; 1,024 are allowed")]
    ReasonTooLong {
        /// Its length.
        characters: usize,
    },
    /// The token did not let it out.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No such export.
    #[error("there is no export {id}")]
    Unknown {
        /// As given.
        id: String,
    },
}

crate::catalogue! {
    ALIAS_MALFORMED = Invalid, "alias-malformed", "not an alias", "use 1 to 64 printable characters, or leave `--alias` out to have the label";
    APPROVALS_MISSING = Denied, "approvals-missing", "the export needs approvals", "have others approve it; only a key made with `--approvals 0` can be exported by one person alone";
    CERTIFICATE_MISSING = Invalid, "certificate-missing", "the key has no certificate", "attach one with `keyward cert add KEY FILE`, make one with `keyward cert self-sign KEY`, or export `--format pem`";
    POLICY_FORBIDS = Denied, "policy-forbids", "the key's policy keeps it in", "make a new key with `--policy exportable` if a file is needed; this one stays where it is";
    PROFILE_MISPLACED = Invalid, "profile-misplaced", "the format has no profile", "leave `--profile` out, or choose `--format pkcs12`";
    REASON_TOO_LONG = Invalid, "reason-too-long", "the reason is too long", "shorten it to 1,024 characters";
    UNKNOWN = NotFound, "export-unknown", "there is no such export", "`keyward export list` shows them";
}

impl Fault for ExportError {
    fn entry(&self) -> Entry {
        match self {
            Self::Access(error) => error.entry(),
            Self::AliasMalformed => ALIAS_MALFORMED,
            Self::ApprovalsMissing { .. } => APPROVALS_MISSING,
            Self::Audit(error) => error.entry(),
            Self::CertificateMissing { .. } => CERTIFICATE_MISSING,
            Self::Certificate(error) => error.entry(),
            Self::Database(error) => error.entry(),
            Self::Key(error) => error.entry(),
            Self::Pki(error) => error.entry(),
            Self::PolicyForbids { .. } => POLICY_FORBIDS,
            Self::ProfileMisplaced => PROFILE_MISPLACED,
            Self::ReasonTooLong { .. } => REASON_TOO_LONG,
            Self::Token(error) => error.entry(),
            Self::Unknown { .. } => UNKNOWN,
        }
    }
}
