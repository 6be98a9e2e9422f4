//! Why something was not done with a key.

use crate::access::AccessError;
use crate::audit::AuditError;
use crate::base::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    custody::{KekPurpose, KeyPolicy, KeyState, Purpose},
    fault::{Entry, Fault},
    ids::{KeyLabel, LabelError},
};
use crate::db::DbError;
use crate::pki::PkiError;
use crate::token::{TokenError, error::KEK_MISSING};

/// Why something was not done with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The caller may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The key cannot make such signatures.
    #[error("{key} is a {algorithm} key and cannot make {signature} signatures")]
    AlgorithmMismatch {
        /// Its label.
        key: KeyLabel,
        /// What it is.
        algorithm: KeyAlgorithm,
        /// What was asked for.
        signature: SignatureAlgorithm,
    },
    /// The record could not be made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The comment is too long.
    #[error("the comment has {characters} characters; 1,024 are allowed")]
    CommentTooLong {
        /// Its length.
        characters: usize,
    },
    /// The inventory cannot be read or written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// An input of the wrong shape.
    #[error("input {position} of the request to sign with {key}: {cause}")]
    InputMalformed {
        /// Its label.
        key: KeyLabel,
        /// Counted from 1.
        position: usize,
        /// What is wrong.
        cause: String,
    },
    /// Keys of keyward's own are not used by others.
    #[error("{key} is one of keyward's own keys ({purpose}); it cannot be used for this")]
    Internal {
        /// Its label.
        key: KeyLabel,
        /// What it is for.
        purpose: Purpose,
    },
    /// There is no KEK to wrap such a key.
    #[error("there is no {purpose} KEK, so a key with this policy could never be backed up")]
    KekMissing {
        /// What it would be for.
        purpose: KekPurpose,
    },
    /// Not a label.
    #[error("`{label}` cannot be a label: {cause}")]
    LabelMalformed {
        /// What was given.
        label: String,
        /// Why not.
        cause: LabelError,
    },
    /// The label is in use.
    #[error("there is a key with the label {label} already")]
    LabelTaken {
        /// The label.
        label: KeyLabel,
    },
    /// Not a page that a list can have.
    #[error("`{given}` is not a limit from 1 to 1,000")]
    LimitMalformed {
        /// What was given.
        given: u32,
    },
    /// Nothing attests such a key.
    #[error("{key} is in no slot of a YubiKey that keyward knows, and token `{token}` attests nothing else")]
    NotAttested {
        /// Its label.
        key: KeyLabel,
        /// Label of its token.
        token: String,
    },
    /// A structure could not be made or read.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The key's purpose excludes this.
    #[error("{key} is for {purpose} and does not sign")]
    PurposeExcludes {
        /// Its label.
        key: KeyLabel,
        /// What it is for.
        purpose: Purpose,
    },
    /// Slots and their policies are for keys in a `YubiKey`.
    #[error("token `{token}` has no slots, so a key there has neither slot nor PIN policy nor touch policy")]
    SlotElsewhere {
        /// Label of the token.
        token: String,
    },
    /// The key's state excludes this.
    #[error("{key} is {state} and cannot be used")]
    StateExcludes {
        /// Its label.
        key: KeyLabel,
        /// Its state.
        state: KeyState,
    },
    /// KEKs are in the instance's own token alone.
    #[error(
        "token `{token}` has no KEKs, which are in `{home}`, so a key there can only be `token-only`, not `{policy}`"
    )]
    KekElsewhere {
        /// Label of the token.
        token: String,
        /// Label of the one that has them.
        home: String,
        /// What was asked for.
        policy: KeyPolicy,
    },
    /// No object of the token is meant.
    #[error("no private key in token `{token}` is {uri}")]
    ObjectUnknown {
        /// What was looked for.
        uri: String,
        /// Label of the token.
        token: String,
    },
    /// The token does not tell the public key of an object.
    #[error("{uri} does not tell its public key, and no public key or certificate lies beside it")]
    PublicKeyUntold {
        /// The object.
        uri: String,
    },
    /// The object is a key of the inventory.
    #[error("{uri} is in the inventory already, as {key}")]
    RecordedAlready {
        /// The object.
        uri: String,
        /// Label of the key.
        key: KeyLabel,
    },
    /// Another token has the label.
    #[error("token `{token}` has the serial number {seen}, not {wanted}")]
    SerialDiffers {
        /// Label of the token.
        token: String,
        /// What the URI says.
        wanted: String,
        /// What the token says.
        seen: String,
    },
    /// The token did not do it.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No token of this instance has this label.
    #[error("keyward.toml names no token `{token}` (it names: {known})")]
    TokenUnknown {
        /// The label.
        token: String,
        /// Labels of those that it names.
        known: String,
    },
    /// A key that cannot be kept as a key of the inventory should be.
    #[error("{uri} cannot be adopted so: {cause}")]
    Unadoptable {
        /// The object.
        uri: String,
        /// What stands against it.
        cause: String,
    },
    /// The token lets keys out that are born to stay.
    #[error("token `{token}` wraps keys that are not EXTRACTABLE, so `{policy}` would be an empty promise there")]
    Unenforceable {
        /// Label of the token.
        token: String,
        /// What was asked for.
        policy: KeyPolicy,
    },
    /// The token cannot hold such a key under such a policy.
    #[error(
        "token `{token}` cannot wrap {algorithm} keys ({cause}), so such a key can only be `token-only`, not `{policy}`"
    )]
    Unwrappable {
        /// Label of the token.
        token: String,
        /// What was asked for.
        algorithm: KeyAlgorithm,
        /// What was asked for.
        policy: KeyPolicy,
        /// What the token answered in the probe.
        cause: String,
    },
    /// The token cannot make such keys at all.
    #[error("token `{token}` cannot make {algorithm} keys ({cause})")]
    Unmakeable {
        /// Label of the token.
        token: String,
        /// What was asked for.
        algorithm: KeyAlgorithm,
        /// What the token answered in the probe.
        cause: String,
    },
    /// No such key.
    #[error("there is no key `{selector}`")]
    Unknown {
        /// Label or id as given.
        selector: String,
    },
    /// Several objects are meant.
    #[error("{count} private keys are meant: {uris}")]
    UriAmbiguous {
        /// How many.
        count: usize,
        /// Which.
        uris: String,
    },
    /// Not a URI of an object.
    #[error("the URI of the object cannot be read: {cause}")]
    UriMalformed {
        /// What is wrong.
        cause: String,
    },
    /// Neither digests nor messages, both, or too many.
    #[error("a request to sign has 1 to 64 digests or 1 to 64 messages; this one has {digests} and {messages}")]
    WrongCount {
        /// Digests given.
        digests: usize,
        /// Messages given.
        messages: usize,
    },
}

crate::catalogue! {
    ALGORITHM_MISMATCH = Invalid, "algorithm-mismatch", "the key cannot make such signatures", "leave the signature algorithm out to have the key's default, or choose one of its family";
    COMMENT_TOO_LONG = Invalid, "comment-too-long", "the comment is too long", "shorten it to 1,024 characters";
    INPUT_MALFORMED = Invalid, "sign-input-malformed", "an input to be signed has the wrong shape", "give base64; a digest must have the length of the algorithm's digest, and Ed25519 takes messages only";
    INTERNAL = Denied, "key-internal", "the key is keyward's own", "use a key of your own; keyward's are used by keyward alone";
    LABEL_MALFORMED = Invalid, "label-malformed", "not a label", "use 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit, not shaped like an id";
    LABEL_TAKEN = Conflict, "label-taken", "the label is in use", "choose another label, or look at the key with `keyward key show LABEL`";
    LIMIT_MALFORMED = Invalid, "limit-malformed", "not a page size", "give a limit from 1 to 1,000";
    NOT_ATTESTED = NotFound, "key-not-attested", "nothing attests the key", "only a YubiKey attests keys, those that it made itself: name it by `yubikey` in a `[[tokens]]` section of keyward.toml, and make the key there";
    OBJECT_UNKNOWN = NotFound, "object-unknown", "there is no such object in the token", "`keyward token scan` lists the private keys of a token with their URIs";
    PUBLIC_KEY_UNTOLD = Invalid, "public-key-untold", "the key's public half is not known", "give it: `keyward key adopt LABEL URI --public-key FILE`, a PEM public key or certificate; the key then proves it by a signature";
    PURPOSE_EXCLUDES = Denied, "purpose-excludes", "the key's purpose excludes this", "use a key made for signing: `--purpose tls`, `signing` or `client`";
    RECORDED_ALREADY = Conflict, "key-recorded-already", "the key is in the inventory", "use it by the label that the message names";
    SERIAL_DIFFERS = Conflict, "token-serial-differs", "another token is there", "plug in the token that the URI means, or take `serial` out of the URI";
    SLOT_ELSEWHERE = Invalid, "slot-not-applicable", "the token has no slots", "leave `--slot`, `--pin-policy` and `--touch-policy` out, or name a YubiKey by `--token`; `keyward token list` shows the tokens";
    STATE_EXCLUDES = Denied, "state-excludes", "the key's state excludes this", "`keyward key show KEY` tells the state; only an active key signs";
    TOKEN_UNKNOWN = NotFound, "token-unknown", "there is no such token", "`keyward token list` shows the tokens of this instance; another is added by a `[[tokens]]` section in keyward.toml and a restart";
    UNADOPTABLE = Unsupported, "key-unadoptable", "the key cannot be adopted so", "choose another `--policy` or `--purpose` that its attributes allow (`keyward token scan`), or make a new key and replace it";
    URI_AMBIGUOUS = Conflict, "uri-ambiguous", "several objects are meant", "name one by its `id`; where ids are the same too, give `--public-key FILE`";
    URI_MALFORMED = Invalid, "uri-malformed", "not the URI of a private key object", "copy it from `keyward token scan`; RFC 7512: `pkcs11:token=T;id=%01%02;object=L;type=private`";
    UNENFORCEABLE = Unsupported, "policy-unenforceable", "the token does not enforce the policy", "use another token, or choose `--policy backup-only`, which keyward then enforces and shows so; `keyward doctor` tells what was tried";
    UNKNOWN = NotFound, "key-unknown", "there is no such key", "`keyward key list` shows labels and ids; a label must be written exactly";
    UNMAKEABLE = Unsupported, "algorithm-unsupported", "the token cannot make such keys", "`keyward doctor` lists the algorithms that this token can make";
    UNWRAPPABLE = Unsupported, "policy-unsupported", "the token cannot wrap such keys", "add `--policy token-only` if a key without backup will do, or choose an algorithm that `keyward doctor` shows as wrappable";
    WRONG_COUNT = Invalid, "sign-count", "nothing to sign, or too much", "give 1 to 64 digests or 1 to 64 messages a request";
}

impl Fault for KeyError {
    fn entry(&self) -> Entry {
        match self {
            Self::Access(error) => error.entry(),
            Self::AlgorithmMismatch { .. } => ALGORITHM_MISMATCH,
            Self::Audit(error) => error.entry(),
            Self::CommentTooLong { .. } => COMMENT_TOO_LONG,
            Self::Database(error) => error.entry(),
            Self::InputMalformed { .. } => INPUT_MALFORMED,
            Self::Internal { .. } => INTERNAL,
            Self::KekElsewhere { .. } | Self::KekMissing { .. } => KEK_MISSING,
            Self::LabelMalformed { .. } => LABEL_MALFORMED,
            Self::LabelTaken { .. } => LABEL_TAKEN,
            Self::LimitMalformed { .. } => LIMIT_MALFORMED,
            Self::NotAttested { .. } => NOT_ATTESTED,
            Self::ObjectUnknown { .. } => OBJECT_UNKNOWN,
            Self::Pki(error) => error.entry(),
            Self::PublicKeyUntold { .. } => PUBLIC_KEY_UNTOLD,
            Self::PurposeExcludes { .. } => PURPOSE_EXCLUDES,
            Self::SlotElsewhere { .. } => SLOT_ELSEWHERE,
            Self::RecordedAlready { .. } => RECORDED_ALREADY,
            Self::SerialDiffers { .. } => SERIAL_DIFFERS,
            Self::StateExcludes { .. } => STATE_EXCLUDES,
            Self::Token(error) => error.entry(),
            Self::TokenUnknown { .. } => TOKEN_UNKNOWN,
            Self::Unadoptable { .. } => UNADOPTABLE,
            Self::UriAmbiguous { .. } => URI_AMBIGUOUS,
            Self::UriMalformed { .. } => URI_MALFORMED,
            Self::Unenforceable { .. } => UNENFORCEABLE,
            Self::Unknown { .. } => UNKNOWN,
            Self::Unmakeable { .. } => UNMAKEABLE,
            Self::Unwrappable { .. } => UNWRAPPABLE,
            Self::WrongCount { .. } => WRONG_COUNT,
        }
    }
}
