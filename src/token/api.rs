//! What the API says of a token: what it was seen to do, by trial, and how it agrees with the inventory.
//!
//! Capabilities are stored, and asked before an operation.

use crate::base::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    fault::Report,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// What one token can do. Mechanism lists lie; every line here was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capabilities {
    /// One entry for each algorithm keyward knows.
    pub algorithms: Vec<AlgorithmCapability>,
    /// Raw number of the mechanism that made RFC 5649 bytes in a trial; 0x210A and 0x210B are both in use.
    pub key_wrap: Option<u64>,
    /// Whether `CKM_AES_KEY_WRAP` wrapped a 32-byte content key by RFC 3394.
    pub content_key_wrap: bool,
    /// Whether a key unwrapped against UNWRAP_TEMPLATE was refused.
    pub unwrap_template: bool,
    /// Whether an object that is not EXTRACTABLE was refused by `C_WrapKey`.
    pub honours_extractable: bool,
    /// Whether `C_WrapKey` refused a WRAP_WITH_TRUSTED key under an untrusted KEK.
    pub honours_wrap_with_trusted: bool,
    /// Whether any mechanism that was tried wraps a private key. Where none does, no key can leave, and nothing can
    /// be seen of EXTRACTABLE.
    pub wraps_keys: bool,
    /// Whether a key can be made that signs and does not decrypt.
    pub limits_usage: bool,
    /// Whether objects can live as long as a session only. Where not, trials are made with objects of the token, which
    /// are destroyed at once.
    pub session_objects: bool,
    /// Whether an AES key could be made from its value, as a KEK is.
    pub secret_keys: bool,
    /// The module.
    pub module: ModuleFacts,
    /// What the token says of itself.
    pub condition: TokenCondition,
}

/// What a module says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModuleFacts {
    /// Who made it.
    pub manufacturer: String,
    /// What it is.
    pub description: String,
    /// Version of the library.
    pub version: String,
    /// Version of PKCS#11 that it follows.
    pub cryptoki: String,
}

/// What a token says of itself, and how much it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenCondition {
    /// Mechanisms in its list.
    pub mechanisms: usize,
    /// Mechanisms that keyward would use and the list lacks.
    pub lacking: Vec<String>,
    /// Objects in it, of every kind and program.
    pub objects: usize,
    /// Free memory for private objects, in bytes; none if the token does not say.
    pub free_bytes: Option<u64>,
    /// Sessions at a time; none if the token does not say, or has no limit.
    pub most_sessions: Option<u64>,
    /// Sessions that were open at once in a trial, of 32.
    pub opened_sessions: usize,
    /// Flags of the user PIN that are worth knowing, by their names in the standard.
    pub pin_flags: Vec<String>,
}

/// What the token can do with one algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlgorithmCapability {
    /// The algorithm.
    pub algorithm: KeyAlgorithm,
    /// A pair was made and a signature of it verified.
    pub sign: bool,
    /// The private key was wrapped, opened in software, unwrapped, and signed again.
    pub wrap: bool,
    /// What the token answered where one of the two is false.
    pub cause: Option<String>,
    /// Signature algorithms of which a signature verified.
    pub signatures: Vec<SignatureAlgorithm>,
    /// Signatures a second by one session, with the first of them; none where it was not measured.
    pub per_second: Option<u32>,
}

impl Capabilities {
    /// What was seen for this algorithm.
    #[must_use]
    pub fn algorithm(&self, algorithm: KeyAlgorithm) -> Option<&AlgorithmCapability> {
        self.algorithms.iter().find(|capability| capability.algorithm == algorithm)
    }
}

/// `GET token`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Label.
    pub label: String,
    /// RFC 7512 URI, without PIN.
    pub uri: String,
    /// Path of the module.
    pub module: String,
    /// Manufacturer.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Firmware version.
    pub firmware: String,
    /// How inventory and token agree.
    pub keys: ComparisonView,
}

/// A private key object in a token, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectView {
    /// RFC 7512: what `key adopt` takes.
    pub uri: String,
    /// CKA_LABEL, as text.
    pub label: String,
    /// CKA_ID in hex; may be empty.
    pub id: String,
    /// None for a kind that keyward does not know.
    pub algorithm: Option<KeyAlgorithm>,
    /// None if neither the object nor one beside it tells.
    pub public_key_pem: Option<String>,
    /// What its attributes say.
    pub attributes: ObjectAttributes,
    /// Label of the key in the inventory that it is.
    pub key: Option<String>,
}

/// The private keys of a token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ObjectList {
    /// In the order of their labels.
    pub items: Vec<ObjectView>,
    /// Always none: a token holds no more than an answer.
    pub next: Option<String>,
}

/// Attributes of a private key object. What cannot be read counts as the weaker value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectAttributes {
    /// CKA_SENSITIVE: its value cannot be read in clear.
    pub sensitive: bool,
    /// CKA_EXTRACTABLE: it can be wrapped.
    pub extractable: bool,
    /// CKA_WRAP_WITH_TRUSTED: by a trusted key only.
    pub wrap_with_trusted: bool,
    /// CKA_LOCAL: it was made in this token.
    pub local: bool,
    /// CKA_NEVER_EXTRACTABLE.
    pub never_extractable: bool,
    /// `CKA_ALWAYS_AUTHENTICATE`: the PIN is asked for each use.
    pub always_authenticate: bool,
    /// `CKA_SIGN`.
    pub signs: bool,
}

/// The tokens of an instance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// The instance's own first.
    pub items: Vec<TokenSummary>,
    /// Always none: there are few.
    pub next: Option<String>,
}

/// A token among others.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenSummary {
    /// Label.
    pub label: String,
    /// Whether it is the instance's own, with the CA's key, the audit key and the KEKs.
    pub home: bool,
    /// Path of the module.
    pub module: String,
    /// RFC 7512, with the serial number; none if the token cannot be used now.
    pub uri: Option<String>,
    /// Why it cannot be used now.
    pub problem: Option<Report>,
}

/// `POST tokens/TOKEN/unlock`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlockRequest {
    /// The user PIN, used until `seal` or the end of the process; without it the source in keyward.toml is used again.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "password")]
    pub pin: Option<Zeroizing<String>>,
}

/// `POST tokens/TOKEN/pin`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePinRequest {
    /// The new user PIN.
    #[schema(value_type = String, format = "password")]
    pub new_pin: Zeroizing<String>,
}

/// Whether a token waits for its PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealAnswer {
    /// Label of the token.
    pub token: String,
    /// Whether it is sealed: nothing uses it until `unlock`.
    pub sealed: bool,
}

/// What has the new PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangePinAnswer {
    /// Label of the token, which has it.
    pub token: String,
    /// What keyward.toml names as the source of the PIN.
    pub source: String,
    /// Whether the source has it too; if not, somebody must put it there before the next start.
    pub stored: bool,
}

/// How inventory and token agree.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ComparisonView {
    /// Keys in both.
    pub present: usize,
    /// Labels of keys that are not in the token.
    pub missing: Vec<String>,
    /// Labels of keys whose object has another public key.
    pub replaced: Vec<String>,
    /// Labels of objects that are not in the inventory.
    pub unrecorded: Vec<String>,
}
