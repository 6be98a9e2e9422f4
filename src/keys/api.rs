//! Requests and answers about keys, as the API has them.

use crate::base::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    custody::{Enforcement, KekPurpose, KeyPolicy, KeyState, Origin, Presence, Purpose},
    ids::{KekId, KeyId, KeyLabel},
    time::Timestamp,
};
use crate::token::api::ObjectAttributes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use std::fmt;
use utoipa::{IntoParams, ToSchema};

/// A list, and where its next page begins.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Give it as `after` to have the next page; null on the last.
    pub next: Option<String>,
}

/// Which part of a list.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next` of the page before.
    pub after: Option<String>,
    /// Entries a page: 100 if not said, never more than 1,000.
    #[param(minimum = 0, maximum = 4294967295_u32)]
    pub limit: Option<u32>,
}

/// `POST keys`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateRequest {
    /// Unique name. Text here, so that a bad one is refused with its own code.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub label: String,
    /// Type and size.
    pub algorithm: KeyAlgorithm,
    /// `backup-only` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<KeyPolicy>,
    /// `tls` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Approvals that an export needs; 0 in a rig, 1 in production if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 4294967295_u32)]
    pub approvals: Option<u32>,
    /// Free text, at most 1,024 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(max_length = 1024)]
    pub comment: String,
    /// Label of the token to make it in; default the instance's own, which alone has KEKs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Id, also CKA_ID.
    pub id: KeyId,
    /// Unique name.
    pub label: KeyLabel,
    /// Type and size.
    pub algorithm: KeyAlgorithm,
    /// What may leave.
    pub policy: KeyPolicy,
    /// Who sees to that.
    pub enforcement: Enforcement,
    /// What it is for.
    pub purpose: Purpose,
    /// Approvals that an export needs.
    pub approvals: u32,
    /// Where it came from.
    pub origin: Origin,
    /// SP 800-57 state.
    pub state: KeyState,
    /// When the token was last seen.
    pub presence: Presence,
    /// Label of its token.
    pub token: String,
    /// PEM SubjectPublicKeyInfo.
    pub public_key_pem: String,
    /// Ids (SHA-256) of its certificates, newest first.
    pub certificates: Vec<String>,
    /// Free text.
    pub comment: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How it was adopted, if another program made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<AdoptionView>,
}

/// Takes a key of another program into the inventory. Its object is not changed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptRequest {
    /// Unique name in the inventory; the object keeps its own.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub label: String,
    /// RFC 7512 URI of the private key object: `id`, `object`, or both, and the `token`.
    pub uri: String,
    /// Default what its attributes allow: `backup-only` if it can be wrapped, else `token-only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<KeyPolicy>,
    /// Default `tls`, or `secrets` if it cannot sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Approvals that an export needs; default 0 in a rig, 1 in production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 4294967295_u32)]
    pub approvals: Option<u32>,
    /// Free text, at most 1,024 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(max_length = 1024)]
    pub comment: String,
    /// PEM public key or certificate of the key, if neither the object nor one beside it tells; the key must prove it by a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_pem: Option<String>,
}

/// How a key came into the inventory that another program made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdoptionView {
    /// RFC 7512 URI of the object, as it was then.
    pub uri: String,
    /// What it said of itself then.
    pub attributes: ObjectAttributes,
    /// When.
    pub adopted_at: Timestamp,
}

/// `POST keys/{key}/csr`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CsrRequest {
    /// `CN=web.example,O=Example`.
    pub subject: String,
    /// `dns:…`, `ip:…`, `email:…`, `uri:…`.
    #[serde(default)]
    pub san: Vec<String>,
    /// The key's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<SignatureAlgorithm>,
}

/// A PEM text.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PemAnswer {
    /// The text.
    pub pem: String,
}

/// `POST keys/{key}/sign`: 1 to 64 digests or messages, not both.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignRequest {
    /// The key's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<SignatureAlgorithm>,
    /// Base64 digests, of the length that the algorithm asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "inputs")]
    #[schema(max_items = 64)]
    pub digests: Vec<String>,
    /// Base64 messages, which keyward hashes.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "inputs")]
    #[schema(max_items = 64)]
    pub messages: Vec<String>,
}

/// Digests or messages a request may have.
pub const MOST_INPUTS: usize = 64;

/// Keeps one more than there may be, so that it is seen, and passes over the rest: a body of some bytes must not
/// become ten times as much memory.
fn inputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Inputs;

    impl<'de> Visitor<'de> for Inputs {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() <= MOST_INPUTS {
                match list.next_element()? {
                    Some(input) => kept.push(input),
                    None => return Ok(kept),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }

    deserializer.deserialize_seq(Inputs)
}

/// Signatures, in the order of the request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SignAnswer {
    /// The key.
    pub key: KeyId,
    /// The scheme.
    pub algorithm: SignatureAlgorithm,
    /// Base64.
    pub signatures: Vec<String>,
}

/// What `key destroy` did.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DestroyAnswer {
    /// The key that was.
    pub id: KeyId,
    /// Its name; free again.
    pub label: KeyLabel,
    /// When.
    pub destroyed_at: Timestamp,
    /// Objects that went from the token.
    pub objects: usize,
    /// Where copies still are.
    pub copies: Vec<CopyView>,
}

/// Where a copy of a key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopyView {
    /// `backup` or `export`.
    pub kind: String,
    /// Name of the archive, or id of the export.
    pub holder: String,
    /// When it was made.
    pub made_at: Timestamp,
}

/// A KEK.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KekView {
    /// Id, also CKA_ID and CMS KEKIdentifier.
    pub id: KekId,
    /// What it wraps.
    pub purpose: KekPurpose,
    /// Six hex digits.
    #[schema(pattern = "^[0-9a-f]{6}$")]
    pub kcv: String,
    /// Whether the token has it as TRUSTED.
    pub trusted: bool,
    /// Made by `init` of a rig, not by a ceremony.
    pub provisional: bool,
    /// Whether new copies are wrapped under it.
    pub current: bool,
    /// When it came into this token.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_inputs_than_there_may_be_one_too_many_is_kept_and_all_have_to_be_json() {
        let read = |count: usize, end: &str| {
            let list = vec!["\"\""; count].join(",");
            serde_json::from_str::<SignRequest>(&format!("{{\"digests\":[{list}{end}]}}"))
        };

        assert_eq!(read(64, "").unwrap().digests.len(), 64);
        assert_eq!(read(100_000, "").unwrap().digests.len(), 65);
        assert!(read(100_000, ",").is_err());
    }
}
