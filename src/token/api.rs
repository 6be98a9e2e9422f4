//! What the API says of a token: what it was seen to do, by trial, and how it agrees with the inventory.
//!
//! Capabilities are stored, and asked before an operation.

use crate::base::{algorithm::KeyAlgorithm, fault::Report};
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
