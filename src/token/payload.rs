//! What requests and answers are made of: the jobs for the worker, and what it has seen in the token.

use super::{address::TokenAddress, api::ObjectAttributes};
use crate::base::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    custody::{KekPurpose, KeyPolicy, Purpose},
    ids::{KekId, KeyId, KeyLabel},
    piv::{PivSlot, SlotPlan},
    secret::Secret,
};
use crate::pki::pkcs12::Pkcs12Profile;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A token to be made in a free slot.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewToken {
    /// Module, and the label that the token gets.
    pub address: TokenAddress,
    /// Its SO PIN.
    pub so_pin: PlainSecret,
    /// Its user PIN.
    pub pin: PlainSecret,
}

/// Which module and token, and how many sessions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenToken {
    /// Where the token is.
    pub address: TokenAddress,
    /// Session threads.
    pub sessions: usize,
    /// File whose lock a worker holds while it lives, so that a new one never starts beside a dying one.
    pub lock_file: std::path::PathBuf,
}

/// A key pair to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewKey {
    /// Id; its bytes become the CKA_ID.
    pub id: KeyId,
    /// Becomes the CKA_LABEL.
    pub label: KeyLabel,
    /// Type and size.
    pub algorithm: KeyAlgorithm,
    /// Decides SENSITIVE, EXTRACTABLE, WRAP_WITH_TRUSTED.
    pub policy: KeyPolicy,
    /// Decides SIGN, DECRYPT, DERIVE.
    pub purpose: Purpose,
    /// WRAP_WITH_TRUSTED for a `backup-only` key: the token has a trusted KEK.
    pub trusted_kek: bool,
}

/// A key as the token has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenKey {
    /// From the CKA_ID.
    pub id: KeyId,
    /// CKA_LABEL, at most 255 characters of it.
    pub label: String,
    /// What the objects say; none for a kind that keyward does not know.
    pub algorithm: Option<KeyAlgorithm>,
    /// DER SubjectPublicKeyInfo; empty if no public key object is beside the private one.
    pub public_key_der: Vec<u8>,
    /// CKA_SENSITIVE.
    pub sensitive: bool,
    /// CKA_EXTRACTABLE.
    pub extractable: bool,
    /// CKA_WRAP_WITH_TRUSTED.
    pub wrap_with_trusted: bool,
    /// CKA_LOCAL.
    pub local: bool,
    /// CKA_NEVER_EXTRACTABLE.
    pub never_extractable: bool,
    /// `CKA_ALWAYS_AUTHENTICATE`: the key asks for the PIN at each use.
    pub always_authenticate: bool,
}

/// A key of another program that is in the inventory: which object it is.
///
/// The object is found by its public key. One that tells none, and has no public key object, is found by CKA_ID and
/// label, if it is the only one with these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedKey {
    /// Its id in the inventory.
    pub key: KeyId,
    /// CKA_ID, as it was when the key was adopted.
    pub cka_id: Vec<u8>,
    /// CKA_LABEL, likewise.
    pub label: Vec<u8>,
    /// DER SubjectPublicKeyInfo.
    pub public_key_der: Vec<u8>,
}

/// A private key object, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenObject {
    /// CKA_ID; may be empty.
    pub cka_id: Vec<u8>,
    /// CKA_LABEL; may be empty.
    pub label: Vec<u8>,
    /// What the objects say; none for a kind that keyward does not know.
    pub algorithm: Option<KeyAlgorithm>,
    /// DER SubjectPublicKeyInfo; empty if neither the object nor one beside it tells.
    pub public_key_der: Vec<u8>,
    /// What its attributes say.
    pub attributes: ObjectAttributes,
}

/// Signatures to be made by one key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignJob {
    /// The key.
    pub key: KeyId,
    /// SHA-256 of the DER SubjectPublicKeyInfo that the inventory has; the worker signs with no other key.
    pub public_key_sha256: [u8; 32],
    /// The scheme.
    pub algorithm: SignatureAlgorithm,
    /// Digests of the scheme's length; for Ed25519 the messages.
    pub inputs: Vec<Vec<u8>>,
}

/// A key to be wrapped.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WrapJob {
    /// The key.
    pub key: KeyId,
    /// SHA-256 of the DER SubjectPublicKeyInfo that the inventory has; the worker wraps no other key.
    pub public_key_sha256: [u8; 32],
    /// The KEK object.
    pub kek: KekId,
    /// The KEK's purpose, for errors.
    pub purpose: KekPurpose,
    /// From the capabilities.
    pub mechanism: u64,
}

/// A KEK to unwrap with.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum KekSource {
    /// The session KEK of this purpose.
    Session(KekPurpose),
    /// The object in the token.
    Token(KekId, KekPurpose),
}

/// A wrapped key to be unwrapped and proved.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnwrapJob {
    /// RFC 5649.
    pub wrapped: Vec<u8>,
    /// Under which KEK.
    pub kek: KekSource,
    /// From the capabilities.
    pub mechanism: u64,
    /// What the object will be; `trusted_kek` gives WRAP_WITH_TRUSTED to a `backup-only` key.
    pub key: NewKey,
    /// DER SubjectPublicKeyInfo that the key must prove to have, by a signature.
    pub public_key_der: Vec<u8>,
}

/// An export to be built inside the worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportJob {
    /// The key.
    pub key: KeyId,
    /// DER SubjectPublicKeyInfo that the inventory has; the key that comes out must have it.
    pub public_key_der: Vec<u8>,
    /// From the capabilities: RFC 5649, by which the key leaves the token for the worker's memory.
    pub mechanism: u64,
    /// The file to be built.
    pub container: Container,
    /// Encrypts the file.
    pub passphrase: PlainSecret,
}

/// The file formats in which a key can leave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Container {
    /// PEM with encrypted PKCS#8 (PBES2), the chain after it.
    Pem {
        /// DER certificates, leaf first; may be empty.
        chain: Vec<Vec<u8>>,
    },
    /// PKCS#12.
    Pkcs12 {
        /// For which readers.
        profile: Pkcs12Profile,
        /// friendlyName of the key.
        alias: String,
        /// DER certificates, leaf first; at least the leaf.
        chain: Vec<Vec<u8>>,
    },
}

/// A change of a slot, and what lets one make it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ManagedJob {
    /// The management key of the PIV application, as hexadecimal text.
    pub management_key: PlainSecret,
    /// The change.
    pub task: SlotTask,
}

/// What can be changed in the slots of a PIV application.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum SlotTask {
    /// Deletes a key; answers `Count`.
    Destroy {
        /// The key.
        key: KeyId,
    },
    /// Makes a key in an empty slot; answers `Key`.
    Generate(NewKey, SlotPlan),
    /// Puts a certificate into the slot of the key that it certifies; answers `Done`.
    StoreCertificate(CertificateObject),
}

impl SlotTask {
    /// Name for errors and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Destroy { .. } => "destroy",
            Self::Generate(..) => "generate",
            Self::StoreCertificate(_) => "store certificate",
        }
    }
}

/// What a device says of a key that it made itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Where the key is.
    pub slot: PivSlot,
    /// DER certificate of the key, signed by the device's own key.
    pub certificate: Vec<u8>,
    /// DER certificate of the device's own key.
    pub device: Vec<u8>,
}

/// A certificate to be stored beside its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateObject {
    /// Gives the CKA_ID.
    pub key: KeyId,
    /// Gives the CKA_LABEL.
    pub label: KeyLabel,
    /// DER certificate.
    pub der: Vec<u8>,
}

/// KEKs to be imported with both PINs.
#[derive(Debug, Serialize, Deserialize)]
pub struct KekImport {
    /// Sets TRUSTED; without it the KEK is imported untrusted.
    pub so_pin: Option<PlainSecret>,
    /// Makes the KEKs private objects.
    pub pin: PlainSecret,
    /// The KEKs.
    pub keks: Vec<KekValue>,
    /// Whether the token honours UNWRAP_TEMPLATE; where it does not, the KEK gets no UNWRAP.
    pub unwrap_template: bool,
}

/// What a worker calls the source of the SO PIN when the token refuses it; the pool knows the real one.
pub const SO_PIN_SOURCE: &str = "the SO PIN source";

/// A KEK with its value.
#[derive(Debug, Serialize, Deserialize)]
pub struct KekValue {
    /// Becomes the CKA_ID.
    pub id: KekId,
    /// Decides attributes and label.
    pub purpose: KekPurpose,
    /// Six hex digits, for the label `keyward-kek-PURPOSE-KCV`.
    pub kcv: String,
    /// 32 bytes.
    pub value: PlainSecret,
}

/// How a KEK came into the token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportedKek {
    /// Its id.
    pub id: KekId,
    /// CKA_TRUSTED as read back.
    pub trusted: bool,
}

/// A KEK as the token has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenKek {
    /// From the CKA_ID.
    pub id: KekId,
    /// CKA_LABEL.
    pub label: String,
    /// CKA_TRUSTED.
    pub trusted: bool,
}

/// A content key to be wrapped.
#[derive(Debug, Serialize, Deserialize)]
pub struct ContentKeySeal {
    /// The inventory KEK.
    pub kek: KekId,
    /// 32 bytes.
    pub content_key: PlainSecret,
}

/// A content key to be opened.
#[derive(Debug, Serialize, Deserialize)]
pub struct ContentKeyOpen {
    /// The inventory KEK.
    pub kek: KekSource,
    /// 40 bytes, RFC 3394.
    pub wrapped: Vec<u8>,
}

/// A secret on its way over the socketpair: the only place where one is serialised.
#[derive(Debug)]
pub struct PlainSecret(pub Secret);

impl Serialize for PlainSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for PlainSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::new(<&[u8]>::deserialize(deserializer)?.to_vec())))
    }
}
