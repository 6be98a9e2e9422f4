//! What crosses the border between pool and worker. Both sides are the same binary, so there are no versions.

pub use super::payload::{
    AdoptedKey, Attestation, CertificateObject, Container, ContentKeyOpen, ContentKeySeal, ExportJob, ImportedKek,
    KekImport, KekSource, KekValue, ManagedJob, NewKey, NewToken, OpenToken, PlainSecret, SO_PIN_SOURCE, SignJob,
    SlotTask, TokenKek, TokenKey, TokenObject, UnwrapJob, WrapJob,
};
use super::{address::TokenDescription, api::Capabilities, error::TokenError};
use crate::base::ids::KeyId;
use serde::{Deserialize, Serialize};

/// A request to the worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Number of the request, for its answer.
    pub id: u64,
    /// How long the caller waits, from now.
    pub deadline_ms: u64,
    /// What to do.
    pub operation: Operation,
}

/// A request as the pool writes it: the same bytes, the operation only lent.
#[derive(Debug, Serialize)]
pub struct RequestRef<'a> {
    /// Number of the request, for its answer.
    pub id: u64,
    /// How long the caller waits, from now.
    pub deadline_ms: u64,
    /// What to do.
    pub operation: &'a Operation,
}

/// The worker's answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Response {
    /// Number of the request.
    pub id: u64,
    /// What came of it.
    pub result: Result<Answer, TokenError>,
}

/// What a worker can be asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Initialises a free slot as a new token; answers `Done`. The only request of its worker.
    MakeToken(NewToken),
    /// Loads the module and finds the token; answers `Description`. Otherwise the first request.
    Open(OpenToken),
    /// Takes the request of the same number out of the child's queue if nobody has begun it, which is then answered
    /// as late; is not answered itself.
    Cancel,
    /// Tells which objects are adopted keys, also before the login; answers `Keys`: those that were found.
    Adopt(Vec<AdoptedKey>),
    /// Private key objects from `offset`, as many as an answer holds, whoever made them; answers `Objects`.
    Scan {
        /// How many objects come before them.
        offset: usize,
    },
    /// Logs the user in and fills the index; answers `Done`.
    Login(PlainSecret),
    /// Asks token, login and sessions for a sign of life, so that no module drops them, and makes anew what one has
    /// dropped; answers `Done`.
    KeepAlive,
    /// Reads all key objects again; answers `Count`.
    Refresh,
    /// Keys of the index from `offset`, as many as an answer holds; answers `Keys`.
    List {
        /// How many keys come before them.
        offset: usize,
    },
    /// KEKs in the token; answers `Keks`.
    ListKeks,
    /// Tries everything on scratch session objects; answers `Capabilities`.
    Probe,
    /// Makes a key pair; answers `Key`.
    Generate(NewKey),
    /// Signs; answers `Signatures`, one for each input.
    Sign(SignJob),
    /// Has the token attest that it made the key with this public key; answers `Attestation`.
    Attest {
        /// SHA-256 of the DER SubjectPublicKeyInfo.
        public_key_sha256: [u8; 32],
    },
    /// Changes a slot of a PIV application, for which it wants its management key; answers as the task says.
    Managed(ManagedJob),
    /// Wraps a private key under a KEK in the token; answers `Bytes`: RFC 5649.
    Wrap(WrapJob),
    /// Puts a wrapped key back as a token object and proves it; answers `Key`.
    Unwrap(UnwrapJob),
    /// Unwraps to a session object, proves it, destroys it; answers `Done`.
    Prove(UnwrapJob),
    /// Builds an export; answers `Bytes`: the finished file.
    Export(ExportJob),
    /// Gives the token a new user PIN in place of the one that this worker logged in with; answers `Done`.
    ChangePin(PlainSecret),
    /// Destroys every object with this CKA_ID; answers `Count`.
    Destroy {
        /// The key.
        key: KeyId,
    },
    /// Stores a certificate object beside its key, instead of one with the same bytes; answers `Done`.
    StoreCertificate(CertificateObject),
    /// Imports KEKs by SO and user; only in a worker that has not logged in; answers `KeksImported`.
    ImportKeks(KekImport),
    /// Holds KEKs as session objects until the worker ends or `CloseSessionKeks`; answers `Done`.
    OpenSessionKeks(Vec<KekValue>),
    /// Destroys the session KEKs; answers `Done`.
    CloseSessionKeks,
    /// Wraps a 32-byte content key by RFC 3394 under the inventory KEK; answers `Bytes` (40).
    SealContentKey(ContentKeySeal),
    /// Opens it again; answers `Secret`.
    OpenContentKey(ContentKeyOpen),
}

/// What the worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// What a token says of a key that it made.
    Attestation(Attestation),
    /// Bytes that may be seen: wrapped or encrypted.
    Bytes(Vec<u8>),
    /// What the token can do.
    Capabilities(Capabilities),
    /// How many objects.
    Count(usize),
    /// What the token says of itself.
    Description(TokenDescription),
    /// It is done.
    Done,
    /// KEKs in the token.
    Keks(Vec<TokenKek>),
    /// How the KEKs were imported.
    KeksImported(Vec<ImportedKek>),
    /// One key.
    Key(TokenKey),
    /// Keys of the index.
    Keys(Vec<TokenKey>),
    /// Private key objects.
    Objects(Vec<TokenObject>),
    /// Bytes that must not be seen.
    Secret(PlainSecret),
    /// Signatures, in the order of the inputs.
    Signatures(Vec<Vec<u8>>),
}

impl Operation {
    /// Name for errors and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MakeToken(_) => "make token",
            Self::Open(_) => OPEN,
            Self::Cancel => "cancel",
            Self::Adopt(_) => "adopt",
            Self::Scan { .. } => "scan",
            Self::Login(_) => LOGIN,
            Self::KeepAlive => "keep alive",
            Self::Refresh => "refresh",
            Self::List { .. } => "list",
            Self::ListKeks => "list KEKs",
            Self::Probe => "probe",
            Self::Generate(_) => "generate",
            Self::Sign(_) => "sign",
            Self::Attest { .. } => "attest",
            Self::Managed(job) => job.task.name(),
            Self::Wrap(_) => "wrap",
            Self::Unwrap(_) => "unwrap",
            Self::Prove(_) => "prove",
            Self::Export(_) => "export",
            Self::ChangePin(_) => "change PIN",
            Self::Destroy { .. } => "destroy",
            Self::StoreCertificate(_) => "store certificate",
            Self::ImportKeks(_) => "import KEKs",
            Self::OpenSessionKeks(_) => "open session KEKs",
            Self::CloseSessionKeks => "close session KEKs",
            Self::SealContentKey(_) => "seal content key",
            Self::OpenContentKey(_) => "open content key",
        }
    }

    /// Whether sending it a second time after the worker's death can do no harm.
    #[must_use]
    pub const fn is_repeatable(&self) -> bool {
        matches!(
            self,
            Self::Adopt(_)
                | Self::Attest { .. }
                | Self::Export(_)
                | Self::KeepAlive
                | Self::List { .. }
                | Self::ListKeks
                | Self::OpenContentKey(_)
                | Self::Probe
                | Self::Prove(_)
                | Self::Refresh
                | Self::Scan { .. }
                | Self::SealContentKey(_)
                | Self::Sign(_)
                | Self::Wrap(_)
        )
    }

    /// Whether doing it again in the same worker, after a fault that has been healed, can do no harm. What finds its
    /// own objects and goes on from there can be done again too.
    #[must_use]
    pub const fn is_harmless_twice(&self) -> bool {
        self.is_repeatable()
            || matches!(
                self,
                Self::Destroy { .. } | Self::OpenSessionKeks(_) | Self::StoreCertificate(_) | Self::Unwrap(_)
            )
    }
}

/// Name of the request that sends the PIN, and of the call.
pub(super) const LOGIN: &str = "login";
/// Name of the first request.
pub(super) const OPEN: &str = "open";

impl Answer {
    /// Name for errors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Attestation(_) => "attestation",
            Self::Bytes(_) => "bytes",
            Self::Capabilities(_) => "capabilities",
            Self::Count(_) => "count",
            Self::Description(_) => "description",
            Self::Done => "done",
            Self::Keks(_) => "KEKs",
            Self::KeksImported(_) => "KEKs imported",
            Self::Key(_) => "key",
            Self::Keys(_) => "keys",
            Self::Objects(_) => "objects",
            Self::Secret(_) => "secret",
            Self::Signatures(_) => "signatures",
        }
    }
}
