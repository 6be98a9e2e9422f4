//! Certificate signing requests (PKCS#10, RFC 2986), and signing of X.509 structures by a key elsewhere.

use super::{
    PkiError,
    error::encoding,
    name::{Subject, SubjectAltName, alternative_names},
    public_key::PublicKey,
    signature::{certificate_signature, signature_algorithm, signature_identifier},
};
use crate::base::{
    algorithm::{KeyAlgorithm, KeyFamily},
    custody::Purpose,
    signing::Signer,
};
use const_oid::AssociatedOid;
use der::{
    AnyRef, Decode, DecodePem, Encode, EncodePem, Sequence,
    asn1::{BitString, BitStringRef},
    flagset::FlagSet,
    pem::LineEnding,
};
use spki::{AlgorithmIdentifierOwned, Document, DynSignatureAlgorithmIdentifier, EncodePublicKey};
use x509_cert::{
    builder::Builder,
    ext::pkix::{self, KeyUsage, KeyUsages},
    request::{CertReq, ExtensionReq, RequestBuilder},
};

/// A request that was read; its signature holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    subject: Subject,
    names: Vec<SubjectAltName>,
    public_key: PublicKey,
}

/// Makes a request in PEM whose key usage is that of the purpose.
///
/// # Errors
/// [`PkiError::Signer`] if the key does not sign; [`PkiError::SignatureInvalid`] if what it gave does not
/// verify under its own public key; [`PkiError::PublicKeyUnsupported`] for secrets under Ed25519.
pub async fn build(
    purpose: Purpose,
    subject: &Subject,
    names: &[SubjectAltName],
    signer: &dyn Signer,
) -> Result<String, PkiError> {
    let public_key = PublicKey::from_der(signer.public_key_der())?;
    let mut builder = RequestBuilder::new(subject.as_name().clone()).map_err(|cause| encoding(REQUEST, cause))?;
    let failed = |cause| encoding(REQUEST, cause);
    if let Some(names) = alternative_names(names)? {
        builder.add_extension(&names).map_err(failed)?;
    }
    builder.add_extension(&key_usage(purpose, public_key.algorithm())?).map_err(failed)?;
    let request = sign(builder, REQUEST, &public_key, signer).await?;
    request.to_pem(LineEnding::LF).map_err(failed)
}

impl Request {
    /// Reads a PEM `CERTIFICATE REQUEST` and verifies its signature.
    ///
    /// # Errors
    /// [`PkiError::RequestMalformed`]; [`PkiError::SignatureInvalid`] if the requester does not hold the key.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let request = CertReq::from_pem(pem.trim_start()).map_err(malformed)?;
        Self::from_der(&request.to_der().map_err(malformed)?)
    }

    /// Reads a DER `CertificationRequest` and verifies its signature.
    ///
    /// # Errors
    /// As [`Request::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        let CertReq { info, .. } = CertReq::from_der(der).map_err(malformed)?;
        let public_key = PublicKey::from_der(&info.public_key.to_der().map_err(malformed)?)?;
        verify_signed(der, &public_key)?;
        let mut names = Vec::new();
        for attribute in info.attributes.iter().filter(|attribute| attribute.oid == ExtensionReq::OID) {
            for value in attribute.values.iter() {
                names.extend(requested_names(&value.decode_as().map_err(malformed)?)?);
            }
        }
        Ok(Self { subject: info.subject.into(), names, public_key })
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The alternative names of the four kinds that keyward writes.
    #[must_use]
    pub fn names(&self) -> &[SubjectAltName] {
        &self.names
    }

    /// The key that the certificate is asked for.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

fn requested_names(extensions: &ExtensionReq) -> Result<Vec<SubjectAltName>, PkiError> {
    let mut names = Vec::new();
    for extension in extensions.0.iter().filter(|extension| extension.extn_id == pkix::SubjectAltName::OID) {
        let found = pkix::SubjectAltName::from_der(extension.extn_value.as_bytes()).map_err(malformed)?;
        names.extend(found.0.iter().filter_map(SubjectAltName::from_general_name));
    }
    Ok(names)
}

/// What a key of this purpose may do (RFC 5280, section 4.2.1.3): it signs or decrypts, both only for `client`.
pub(super) fn key_usage(purpose: Purpose, algorithm: KeyAlgorithm) -> Result<KeyUsage, PkiError> {
    // RSA transports a content key, curves agree on one (RFC 5753); Ed25519 does neither.
    let decrypts: FlagSet<KeyUsages> = match algorithm.family() {
        KeyFamily::Edwards => FlagSet::default(),
        KeyFamily::Elliptic => KeyUsages::KeyAgreement.into(),
        KeyFamily::Rsa => KeyUsages::KeyEncipherment.into(),
    };
    match purpose {
        Purpose::Ca => Ok(KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)),
        Purpose::Client => Ok(KeyUsage(decrypts | KeyUsages::DigitalSignature)),
        Purpose::Secrets if decrypts.is_empty() => {
            Err(PkiError::PublicKeyUnsupported { kind: format!("{algorithm} for decryption") })
        }
        Purpose::Secrets => Ok(KeyUsage(decrypts)),
        Purpose::Agent | Purpose::Audit | Purpose::Credential | Purpose::Signing | Purpose::Tls => {
            Ok(KeyUsage(KeyUsages::DigitalSignature.into()))
        }
    }
}

/// Has the bytes of a builder signed elsewhere; what comes back is verified before it is used.
pub(super) async fn sign<B: Builder>(
    mut builder: B,
    what: &'static str,
    public_key: &PublicKey,
    signer: &dyn Signer,
) -> Result<B::Output, PkiError> {
    let failed = |cause| encoding(what, cause);
    let key = RemoteKey {
        public_key: PublicKeyDer(public_key.der().to_vec()),
        algorithm: signature_identifier(signer.algorithm())?,
    };
    let message = builder.finalize(&key).map_err(failed)?;
    let signature = signer.sign(&message).await?;
    public_key.verify(signer.algorithm(), &message, &signature)?;
    let signature = certificate_signature(signer.algorithm(), signature)?;
    let signature = BitString::from_bytes(&signature).map_err(|cause| encoding(what, cause))?;
    builder.assemble(signature, &key).map_err(failed)
}

/// Verifies any X.509 SIGNED structure (certificate, request, CRL) over its bytes as they are.
pub(super) fn verify_signed(der: &[u8], public_key: &PublicKey) -> Result<(), PkiError> {
    let signed = Signed::from_der(der).map_err(malformed)?;
    let content = signed.content.to_der().map_err(malformed)?;
    let signature = signed.signature.as_bytes().ok_or_else(|| malformed("its signature is not of whole bytes"))?;
    public_key.verify(signature_algorithm(&signed.algorithm)?, &content, signature)
}

#[derive(Sequence)]
struct Signed<'a> {
    content: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}

/// What the builder wants to know of a key; the signature itself does not pass through it.
struct RemoteKey {
    public_key: PublicKeyDer,
    algorithm: AlgorithmIdentifierOwned,
}

#[derive(Clone)]
struct PublicKeyDer(Vec<u8>);

impl EncodePublicKey for PublicKeyDer {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.0.as_slice())?)
    }
}

impl signature::Keypair for RemoteKey {
    type VerifyingKey = PublicKeyDer;

    fn verifying_key(&self) -> PublicKeyDer {
        self.public_key.clone()
    }
}

impl DynSignatureAlgorithmIdentifier for RemoteKey {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(self.algorithm.clone())
    }
}

fn malformed(cause: impl std::fmt::Display) -> PkiError {
    PkiError::RequestMalformed { cause: cause.to_string() }
}

const REQUEST: &str = "certificate signing request";

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{OpensslKey, openssl, signers},
        *,
    };

    fn names() -> Vec<SubjectAltName> {
        let text = "dns:web.example,ip:2001:db8::1,email:admin@example.org,uri:https://web.example/a,b";
        SubjectAltName::parse_list(text).unwrap()
    }

    fn subject() -> Subject {
        "CN=web.example,O=Müller \\+ Söhne,C=DE".parse().unwrap()
    }

    /// The future must be usable by a server that moves it between threads.
    fn sent<T: Send>(future: T) -> T {
        future
    }

    #[tokio::test]
    async fn openssl_verifies_a_request_of_every_kind_of_key() {
        let directory = tempfile::tempdir().unwrap();
        for key in signers() {
            let pem = sent(build(Purpose::Tls, &subject(), &names(), &key)).await.unwrap();

            std::fs::write(directory.path().join("request.pem"), &pem).unwrap();
            openssl(directory.path(), &["req", "-in", "request.pem", "-verify", "-noout"]);
        }
    }

    #[tokio::test]
    async fn openssl_sees_subject_names_and_usage_as_they_were_given() {
        let directory = tempfile::tempdir().unwrap();
        let key = OpensslKey::generate(KeyAlgorithm::P256);

        let pem = build(Purpose::Tls, &subject(), &names(), &key).await.unwrap();

        std::fs::write(directory.path().join("request.pem"), &pem).unwrap();
        let show = ["req", "-in", "request.pem", "-noout", "-text", "-nameopt", "RFC2253,-esc_msb,utf8"];
        let text = String::from_utf8(openssl(directory.path(), &show)).unwrap();
        assert!(text.contains("Subject: CN=web.example,O=Müller \\+ Söhne,C=DE\n"), "{text}");
        let expected =
            "DNS:web.example, IP Address:2001:DB8:0:0:0:0:0:1, email:admin@example.org, URI:https://web.example/a,b";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("X509v3 Key Usage: critical\n                    Digital Signature\n"), "{text}");
    }

    #[tokio::test]
    async fn a_request_reads_back_as_it_was_built() {
        let key = OpensslKey::generate(KeyAlgorithm::Ed25519);
        let pem = build(Purpose::Client, &subject(), &names(), &key).await.unwrap();

        let request = Request::from_pem(&pem).unwrap();

        assert_eq!(request.subject().to_string(), subject().to_string());
        assert_eq!(request.names(), names());
        assert_eq!(request.public_key(), key.public_key());
    }

    #[tokio::test]
    async fn a_request_without_alternative_names_is_one_too() {
        let directory = tempfile::tempdir().unwrap();
        let key = OpensslKey::generate(KeyAlgorithm::P256);

        let pem = build(Purpose::Secrets, &subject(), &[], &key).await.unwrap();

        std::fs::write(directory.path().join("request.pem"), &pem).unwrap();
        openssl(directory.path(), &["req", "-in", "request.pem", "-verify", "-noout"]);
        assert!(Request::from_pem(&pem).unwrap().names().is_empty());
    }

    #[tokio::test]
    async fn the_key_usage_is_to_sign_unless_the_purpose_says_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let key = OpensslKey::generate(KeyAlgorithm::Rsa2048);
        let plain = build(Purpose::Signing, &subject(), &names(), &key).await.unwrap();
        let secrets = build(Purpose::Secrets, &subject(), &names(), &key).await.unwrap();

        for (pem, expected) in [(plain, "Digital Signature"), (secrets, "Key Encipherment")] {
            std::fs::write(directory.path().join("request.pem"), &pem).unwrap();
            let text = openssl(directory.path(), &["req", "-in", "request.pem", "-verify", "-noout", "-text"]);
            let text = String::from_utf8(text).unwrap();
            let usage = text.lines().skip_while(|line| !line.contains("X509v3 Key Usage: critical")).nth(1).unwrap();
            assert_eq!(usage.trim(), expected);
        }
    }

    #[tokio::test]
    async fn a_changed_request_is_refused() {
        let key = OpensslKey::generate(KeyAlgorithm::P256);
        let pem = build(Purpose::Tls, &subject(), &names(), &key).await.unwrap();
        let mut der = CertReq::from_pem(&pem).unwrap().to_der().unwrap();
        let position = der.windows(3).position(|bytes| bytes == b"web").unwrap();
        der[position] = b'W';

        let error = Request::from_der(&der).unwrap_err();

        assert_eq!(error.to_string(), "the ecdsa-sha256 signature does not verify");
        assert!(matches!(Request::from_der(&der[1..]), Err(PkiError::RequestMalformed { .. })));
    }

    #[tokio::test]
    async fn what_a_faulty_key_signs_is_not_released() {
        let key = OpensslKey::generate(KeyAlgorithm::P256).signing_with(KeyAlgorithm::Rsa2048.default_signature());

        let error = build(Purpose::Tls, &subject(), &names(), &key).await.unwrap_err();

        assert_eq!(error.to_string(), "the rsa-pkcs1-sha256 signature does not verify");
    }

    #[test]
    fn a_key_for_secrets_never_may_sign() {
        for kind in KeyAlgorithm::ALL.iter().filter(|kind| **kind != KeyAlgorithm::Ed25519) {
            assert!(!key_usage(Purpose::Secrets, *kind).unwrap().digital_signature());
        }
        assert!(key_usage(Purpose::Secrets, KeyAlgorithm::Ed25519).is_err());
    }
}
