//! What can be wrong with keys, names, certificates and containers.

use crate::base::{
    fault::{Entry, Fault},
    signing::SignerError,
};

/// Why bytes could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Not a certificate, or one that breaks X.509.
    #[error("this is not a certificate that can be read: {cause}")]
    CertificateMalformed {
        /// What the parser met.
        cause: String,
    },
    /// Certificates that do not lead from one to the next.
    #[error("the certificates are not one chain: {cause}")]
    ChainBroken {
        /// Where it breaks.
        cause: String,
    },
    /// A CMS structure that cannot be read.
    #[error("this CMS structure cannot be read: {cause}")]
    CmsMalformed {
        /// What the parser met.
        cause: String,
    },
    /// A CMS structure that does not open or verify with this key.
    #[error("the CMS structure does not {action} with this key: {cause}")]
    CmsRefused {
        /// `open` or `verify`.
        action: &'static str,
        /// What did not hold.
        cause: String,
    },
    /// Something of ours could not be encoded.
    #[error("{what} could not be encoded: {cause}")]
    Encoding {
        /// The structure.
        what: &'static str,
        /// What the encoder met.
        cause: String,
    },
    /// A distinguished name or alternative name that does not parse.
    #[error("`{given}` is not a {what}: {cause}")]
    NameMalformed {
        /// What was given.
        given: String,
        /// `distinguished name` or `subject alternative name`.
        what: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// A passphrase that readers could not use.
    #[error("the passphrase cannot be used: {cause}")]
    PassphraseUnsuitable {
        /// Why.
        cause: &'static str,
    },
    /// A private key that cannot be read.
    #[error("this private key cannot be read: {cause}")]
    PrivateKeyMalformed {
        /// What the parser met; never bytes of the key.
        cause: String,
    },
    /// A public key that cannot be read.
    #[error("this public key cannot be read: {cause}")]
    PublicKeyMalformed {
        /// What the parser met.
        cause: String,
    },
    /// A public key of a kind that keyward does not know.
    #[error("public keys of this kind are not supported: {kind}")]
    PublicKeyUnsupported {
        /// Algorithm or curve, as OID or name.
        kind: String,
    },
    /// Not a certificate signing request.
    #[error("this is not a certificate signing request that can be read: {cause}")]
    RequestMalformed {
        /// What the parser met.
        cause: String,
    },
    /// A signature that does not verify.
    #[error("the {algorithm} signature does not verify")]
    SignatureInvalid {
        /// The scheme.
        algorithm: String,
    },
    /// The key did not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// A wrapped key that does not open.
    #[error("the wrapped key does not open under this KEK: another KEK, or changed bytes")]
    WrapRefused,
}

crate::catalogue! {
    CERTIFICATE_MALFORMED = Invalid, "certificate-malformed", "not a readable certificate", "give one certificate, or a chain with the leaf first, as PEM or DER";
    CHAIN_BROKEN = Invalid, "chain-broken", "the certificates are not one chain", "give the leaf and its issuers only, each issued by the next";
    CMS_MALFORMED = Invalid, "cms-malformed", "not a readable CMS structure", "the file is cut or was changed: take another copy";
    CMS_REFUSED = Invalid, "cms-refused", "a CMS structure does not open or verify", "the file was changed, or it belongs to another key: take another copy, and compare the KCVs";
    ENCODING = Internal, "encoding-failed", "a structure could not be encoded", "report it with the request id";
    NAME_MALFORMED = Invalid, "name-malformed", "not a readable name", "a subject is written like `CN=web.example,O=Example`, an alternative name like `dns:web.example`, `ip:192.0.2.1`, `email:a@example.org` or `uri:https://example.org/`";
    PASSPHRASE_UNSUITABLE = Invalid, "passphrase-unsuitable", "a passphrase that readers cannot use", "use at least 8 printable ASCII characters: keytool opens no file with others";
    PRIVATE_KEY_MALFORMED = Invalid, "private-key-malformed", "not a readable private key", "the copy is damaged, or the token gave something else: take another copy";
    PUBLIC_KEY_MALFORMED = Invalid, "public-key-malformed", "not a readable public key", "give a SubjectPublicKeyInfo, as PEM or DER";
    PUBLIC_KEY_UNSUPPORTED = Unsupported, "public-key-unsupported", "a public key of an unknown kind", "keyward knows RSA 2048, 3072, 4096, P-256, P-384, P-521, secp256k1 and Ed25519";
    REQUEST_MALFORMED = Invalid, "csr-malformed", "not a readable certificate signing request", "give one PKCS#10 request, as PEM or DER";
    SIGNATURE_INVALID = Conflict, "signature-invalid", "a signature does not verify", "the signed bytes were changed, or another key signed them";
    WRAP_REFUSED = Conflict, "wrapped-key-refused", "a wrapped key does not open under this KEK", "compare the KCV of the KEK with the one that the copy names; if they match, the copy was changed: take another";
}

impl Fault for PkiError {
    fn entry(&self) -> Entry {
        match self {
            Self::CertificateMalformed { .. } => CERTIFICATE_MALFORMED,
            Self::ChainBroken { .. } => CHAIN_BROKEN,
            Self::CmsMalformed { .. } => CMS_MALFORMED,
            Self::CmsRefused { .. } => CMS_REFUSED,
            Self::Encoding { .. } => ENCODING,
            Self::NameMalformed { .. } => NAME_MALFORMED,
            Self::PassphraseUnsuitable { .. } => PASSPHRASE_UNSUITABLE,
            Self::PrivateKeyMalformed { .. } => PRIVATE_KEY_MALFORMED,
            Self::PublicKeyMalformed { .. } => PUBLIC_KEY_MALFORMED,
            Self::PublicKeyUnsupported { .. } => PUBLIC_KEY_UNSUPPORTED,
            Self::RequestMalformed { .. } => REQUEST_MALFORMED,
            Self::SignatureInvalid { .. } => SIGNATURE_INVALID,
            Self::Signer(error) => error.fault().entry(),
            Self::WrapRefused => WRAP_REFUSED,
        }
    }
}

pub(super) fn encoding(what: &'static str, cause: impl std::fmt::Display) -> PkiError {
    PkiError::Encoding { what, cause: cause.to_string() }
}
