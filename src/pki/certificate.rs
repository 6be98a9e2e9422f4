//! X.509 certificates (RFC 5280) as they are read; [`issue`](super::issue) makes them.
//!
//! Invariant: a [`Certificate`] keeps the bytes that it was read from, and its public key is of a kind
//! that keyward knows. Whether its signature holds is asked with its issuer ([`Certificate::is_issued_by`]).

use super::{
    PkiError,
    error::encoding,
    name::{Subject, SubjectAltName},
    public_key::PublicKey,
    request::verify_signed,
};
use crate::base::{ids::hex, time::Timestamp};
use der::{
    Decode, Encode,
    asn1::{ObjectIdentifier, OctetString},
    pem::LineEnding,
};
use sha2::{Digest, Sha256};
use spki::Document;
use std::fmt;
use x509_cert::{
    ext::pkix::{self, SubjectKeyIdentifier},
    name::Name,
    time::Time,
};

/// A certificate, with the bytes that it was read from.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
    public_key: PublicKey,
}

impl Certificate {
    /// Reads one DER certificate.
    ///
    /// # Errors
    /// [`PkiError::CertificateMalformed`], or [`PkiError::PublicKeyUnsupported`] for a key of another kind.
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let info = parsed.tbs_certificate().subject_public_key_info().to_der().map_err(malformed)?;
        Ok(Self { der: der.to_vec(), public_key: PublicKey::from_der(&info)?, parsed })
    }

    /// Reads one PEM `CERTIFICATE`; text before and after it is ignored.
    ///
    /// # Errors
    /// As [`Certificate::from_der`], also if there are several.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let mut certificates = certificates_from_pem(pem)?;
        match (certificates.pop(), certificates.len()) {
            (Some(only), 0) => Ok(only),
            (_, others) => Err(malformed(format_args!("the file has {} certificates instead of one", others + 1))),
        }
    }

    /// Reads one certificate in DER, or one or several in PEM, in the order of the file.
    ///
    /// # Errors
    /// As [`Certificate::from_der`], also if there is none.
    pub fn chain_from_bytes(bytes: &[u8]) -> Result<Vec<Self>, PkiError> {
        if bytes.first() == Some(&DER_SEQUENCE) {
            return Ok(vec![Self::from_der(bytes)?]);
        }
        certificates_from_pem(&String::from_utf8_lossy(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM `CERTIFICATE`.
    ///
    /// # Errors
    /// [`PkiError::Encoding`]; does not happen for a certificate that was read.
    pub fn to_pem(&self) -> Result<String, PkiError> {
        der::pem::encode_string("CERTIFICATE", LineEnding::LF, &self.der).map_err(|cause| encoding(CERTIFICATE, cause))
    }

    /// SHA-256 of the DER, in lower hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(&self.der))
    }

    /// Whom it is for.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.parsed.tbs_certificate().subject().clone().into()
    }

    /// Who signed it, by its own word.
    #[must_use]
    pub fn issuer(&self) -> Subject {
        self.parsed.tbs_certificate().issuer().clone().into()
    }

    /// The serial number, in lower hexadecimal.
    #[must_use]
    pub fn serial(&self) -> String {
        hex(self.parsed.tbs_certificate().serial_number().as_bytes())
    }

    /// From when it is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        instant(self.parsed.tbs_certificate().validity().not_before)
    }

    /// Until when it is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        instant(self.parsed.tbs_certificate().validity().not_after)
    }

    /// The key that it certifies.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The alternative names of the four kinds that keyward writes.
    #[must_use]
    pub fn names(&self) -> Vec<SubjectAltName> {
        let extension = self.parsed.tbs_certificate().get_extension::<pkix::SubjectAltName>();
        let names = extension.ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
        names.iter().filter_map(SubjectAltName::from_general_name).collect()
    }

    /// Whether the other certificate's name is its issuer's, and the other's key made its signature.
    #[must_use]
    pub fn is_issued_by(&self, issuer: &Self) -> bool {
        let same_name = self.parsed.tbs_certificate().issuer() == issuer.parsed.tbs_certificate().subject();
        // RFC 5280, section 4.1.1.2: both places must name the same algorithm.
        let same_algorithm = self.parsed.tbs_certificate().signature() == self.parsed.signature_algorithm();
        same_name && same_algorithm && verify_signed(&self.der, &issuer.public_key).is_ok()
    }

    /// Whether it is its own issuer, by name and signature.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.is_issued_by(self)
    }

    /// Whether it says that it may issue certificates (RFC 5280, section 4.2.1.9).
    #[must_use]
    pub fn is_ca(&self) -> bool {
        let constraints = self.parsed.tbs_certificate().get_extension::<pkix::BasicConstraints>();
        constraints.ok().flatten().is_some_and(|(_, constraints)| constraints.ca)
    }

    /// Whether it is for signing records of keyward's own and for nothing else: digitalSignature alone, and no
    /// extended purpose, which every certificate of a server, person or program has.
    #[must_use]
    pub fn is_for_audit(&self) -> bool {
        let certificate = self.parsed.tbs_certificate();
        let usage = certificate.get_extension::<pkix::KeyUsage>().ok().flatten();
        let signature_alone = pkix::KeyUsage(pkix::KeyUsages::DigitalSignature.into());
        let signs_alone = usage.is_some_and(|(_, usage)| usage == signature_alone);
        let purposes = certificate.get_extension::<pkix::ExtendedKeyUsage>();
        signs_alone && !self.is_ca() && matches!(purposes, Ok(None))
    }

    /// The value of an extension; none if it has no such one.
    pub(super) fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let extensions = self.parsed.tbs_certificate().extensions()?;
        extensions.iter().find(|extension| extension.extn_id == oid).map(|extension| extension.extn_value.as_bytes())
    }

    /// The subject as certificates issued by it name it.
    pub(super) fn name(&self) -> &Name {
        self.parsed.tbs_certificate().subject()
    }

    /// The key identifier that certificates issued by it point at.
    pub(super) fn key_identifier(&self) -> Option<OctetString> {
        let extension = self.parsed.tbs_certificate().get_extension::<SubjectKeyIdentifier>();
        extension.ok().flatten().map(|(_, identifier)| identifier.0)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, sha256 {})", self.subject(), self.fingerprint())
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

fn certificates_from_pem(text: &str) -> Result<Vec<Certificate>, PkiError> {
    let (mut certificates, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find(PEM_BEGIN) {
        let end = rest[start..].find(PEM_END).ok_or_else(|| malformed("a PEM block has no end"))?;
        let end = start + end + PEM_END.len();
        let (_, document) = Document::from_pem(&rest[start..end]).map_err(malformed)?;
        certificates.push(Certificate::from_der(document.as_bytes())?);
        rest = &rest[end..];
    }
    if certificates.is_empty() { Err(malformed("there is no PEM `CERTIFICATE` in it")) } else { Ok(certificates) }
}

fn instant(time: Time) -> Timestamp {
    let seconds = time.to_unix_duration().as_secs();
    Timestamp::from_millis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000))
}

fn malformed(cause: impl fmt::Display) -> PkiError {
    PkiError::CertificateMalformed { cause: cause.to_string() }
}

const CERTIFICATE: &str = "certificate";
const DER_SEQUENCE: u8 = 0x30;
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{OpensslKey, openssl, signers},
        *,
    };
    use crate::base::algorithm::KeyAlgorithm;
    use crate::base::custody::Purpose;
    use crate::pki::issue::{CertificateTemplate, Issuer, issue};
    use std::path::Path;

    /// 2026-01-02T03:04:05.006Z, and a day later in seconds.
    const NOT_BEFORE: Timestamp = Timestamp::from_millis(1_767_323_045_006);
    const DAY_AFTER: &str = "1767409445";

    fn template(subject: &str, purpose: Purpose) -> CertificateTemplate {
        let names = "dns:web.example,ip:192.0.2.1,email:admin@example.org,uri:https://web.example/";
        CertificateTemplate {
            subject: subject.parse().unwrap(),
            names: SubjectAltName::parse_list(names).unwrap(),
            purpose,
            not_before: NOT_BEFORE,
            days: 30,
        }
    }

    fn ca_template() -> CertificateTemplate {
        CertificateTemplate { names: Vec::new(), days: 365, ..template("CN=Test CA,O=Example", Purpose::Ca) }
    }

    async fn self_signed(template: &CertificateTemplate, key: &OpensslKey) -> Certificate {
        issue(template, key.public_key(), Issuer::Itself, key).await.unwrap()
    }

    fn write(directory: &Path, name: &str, certificate: &Certificate) {
        std::fs::write(directory.join(name), certificate.to_pem().unwrap()).unwrap();
    }

    fn verify_strictly(directory: &Path, root: &Certificate, certificate: &Certificate, purpose: &str) {
        write(directory, "root.pem", root);
        write(directory, "leaf.pem", certificate);
        let options = ["verify", "-x509_strict", "-check_ss_sig", "-attime", DAY_AFTER, "-purpose", purpose];
        openssl(directory, &[&options[..], &["-CAfile", "root.pem", "leaf.pem"]].concat());
    }

    #[tokio::test]
    async fn openssl_verifies_self_signed_and_issued_certificates_of_every_kind_of_key_strictly() {
        let directory = tempfile::tempdir().unwrap();
        let leaf_template = template("CN=web.example,O=Müller \\+ Söhne,C=DE", Purpose::Tls);
        for key in signers() {
            let alone = self_signed(&leaf_template, &key).await;
            let ca = self_signed(&ca_template(), &key).await;
            let leaf = issue(&leaf_template, key.public_key(), Issuer::Ca(&ca), &key).await.unwrap();

            verify_strictly(directory.path(), &alone, &alone, "sslserver");
            verify_strictly(directory.path(), &ca, &ca, "any");
            verify_strictly(directory.path(), &ca, &leaf, "sslserver");
            assert!(alone.is_self_signed() && leaf.is_issued_by(&ca) && !leaf.is_self_signed());
        }
    }

    #[tokio::test]
    async fn a_certificate_says_what_its_purpose_allows_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let (rsa, p256) = (OpensslKey::generate(KeyAlgorithm::Rsa2048), OpensslKey::generate(KeyAlgorithm::P256));
        let signature = "X509v3 Key Usage: critical\nDigital Signature\n";
        let end_entity = "X509v3 Basic Constraints: critical\nCA:FALSE\n";
        for (key, purpose, expected) in [
            (
                &rsa,
                Purpose::Tls,
                format!(
                    "{end_entity}{signature}X509v3 Extended Key Usage:\nTLS Web Server Authentication, TLS Web Client Authentication\n"
                ),
            ),
            (
                &rsa,
                Purpose::Client,
                format!(
                    "{end_entity}X509v3 Key Usage: critical\nDigital Signature, Key Encipherment\nX509v3 Extended Key Usage:\nE-mail Protection, TLS Web Client Authentication\n"
                ),
            ),
            (
                &p256,
                Purpose::Client,
                format!(
                    "{end_entity}X509v3 Key Usage: critical\nDigital Signature, Key Agreement\nX509v3 Extended Key Usage:\nE-mail Protection, TLS Web Client Authentication\n"
                ),
            ),
            (&p256, Purpose::Signing, format!("{end_entity}{signature}X509v3 Extended Key Usage:\nCode Signing\n")),
            (&rsa, Purpose::Secrets, format!("{end_entity}X509v3 Key Usage: critical\nKey Encipherment\n")),
            (&p256, Purpose::Secrets, format!("{end_entity}X509v3 Key Usage: critical\nKey Agreement\n")),
            (&p256, Purpose::Audit, format!("{end_entity}{signature}")),
            (
                &p256,
                Purpose::Ca,
                "X509v3 Basic Constraints: critical\nCA:TRUE\nX509v3 Key Usage: critical\nCertificate Sign, CRL Sign\n"
                    .to_owned(),
            ),
        ] {
            write(directory.path(), "leaf.pem", &self_signed(&template("CN=a", purpose), key).await);

            let shown = "basicConstraints,keyUsage,extendedKeyUsage";
            let text = openssl(directory.path(), &["x509", "-in", "leaf.pem", "-noout", "-ext", shown]);

            let lines =
                String::from_utf8(text).unwrap().lines().map(|line| format!("{}\n", line.trim())).collect::<String>();
            assert_eq!(lines, expected, "{purpose}");
        }
    }

    #[tokio::test]
    async fn what_a_certificate_says_is_read_as_openssl_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let key = OpensslKey::generate(KeyAlgorithm::P384);
        let made = self_signed(&template("CN=web.example,O=Example", Purpose::Tls), &key).await;
        write(directory.path(), "leaf.pem", &made);

        let read = Certificate::from_pem(&std::fs::read_to_string(directory.path().join("leaf.pem")).unwrap()).unwrap();

        let show = ["x509", "-in", "leaf.pem", "-noout", "-serial", "-fingerprint", "-sha256"];
        let text = String::from_utf8(openssl(directory.path(), &show)).unwrap().to_lowercase().replace(':', "");
        assert!(text.contains(&format!("serial={}\n", read.serial())), "{text}");
        assert!(text.contains(&format!("fingerprint={}\n", read.fingerprint())), "{text}");
        assert_eq!(read, made);
        assert_eq!(read.subject().to_string(), "CN=web.example,O=Example");
        assert_eq!(read.issuer().to_string(), "CN=web.example,O=Example");
        assert_eq!(read.not_before().to_string(), "2026-01-02T03:04:05.000Z");
        assert_eq!(read.not_after().to_string(), "2026-02-01T03:04:05.000Z");
        assert_eq!(read.names(), template("CN=a", Purpose::Tls).names);
        assert_eq!(read.public_key(), key.public_key());
    }

    #[tokio::test]
    async fn a_serial_number_is_16_bytes_and_never_the_same() {
        let key = OpensslKey::generate(KeyAlgorithm::P256);
        let first = self_signed(&ca_template(), &key).await.serial();
        let second = self_signed(&ca_template(), &key).await.serial();

        assert_eq!((first.len(), second.len()), (32, 32));
        assert!(first.as_bytes()[0] < b'8');
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_certificate_does_not_outlive_its_issuer() {
        let key = OpensslKey::generate(KeyAlgorithm::P256);
        let ca = self_signed(&ca_template(), &key).await;
        let longer = CertificateTemplate { days: 3650, ..template("CN=a", Purpose::Tls) };

        let leaf = issue(&longer, key.public_key(), Issuer::Ca(&ca), &key).await.unwrap();

        assert_eq!(leaf.not_after(), ca.not_after());
    }

    #[tokio::test]
    async fn a_certificate_is_not_issued_by_a_key_that_is_not_the_issuers() {
        let (key, another) = (OpensslKey::generate(KeyAlgorithm::P256), OpensslKey::generate(KeyAlgorithm::P256));
        let ca = self_signed(&ca_template(), &key).await;
        let leaf = template("CN=a", Purpose::Tls);

        let by_another = issue(&leaf, key.public_key(), Issuer::Ca(&ca), &another).await;
        let by_itself = issue(&leaf, key.public_key(), Issuer::Itself, &another).await;

        assert!(matches!(by_another, Err(PkiError::ChainBroken { .. })));
        assert!(matches!(by_itself, Err(PkiError::ChainBroken { .. })));
    }

    #[tokio::test]
    async fn the_same_name_with_another_key_is_not_the_issuer_and_a_changed_certificate_has_none() {
        let (key, another) = (OpensslKey::generate(KeyAlgorithm::P256), OpensslKey::generate(KeyAlgorithm::P256));
        let ca = self_signed(&ca_template(), &key).await;
        let impostor = self_signed(&ca_template(), &another).await;
        let leaf = issue(&template("CN=aaa", Purpose::Tls), key.public_key(), Issuer::Ca(&ca), &key).await.unwrap();
        let mut der = leaf.der().to_vec();
        let position = der.windows(3).position(|bytes| bytes == b"aaa").unwrap();
        der[position] = b'b';

        assert!(leaf.is_issued_by(&ca));
        assert!(!leaf.is_issued_by(&impostor));
        assert!(!Certificate::from_der(&der).unwrap().is_issued_by(&ca));
    }

    #[tokio::test]
    async fn a_file_gives_all_its_certificates_in_order_whatever_stands_between() {
        let key = OpensslKey::generate(KeyAlgorithm::P256);
        let first = self_signed(&template("CN=first", Purpose::Tls), &key).await;
        let second = self_signed(&template("CN=second", Purpose::Tls), &key).await;
        let text = format!(
            "Bag Attributes\n  friendlyName: Müller\n{}subject=CN = second\n{}\r\n",
            first.to_pem().unwrap(),
            second.to_pem().unwrap().replace('\n', "\r\n"),
        );

        let pair = [first.clone(), second];
        assert_eq!(Certificate::chain_from_bytes(text.as_bytes()).unwrap(), pair);
        assert_eq!(Certificate::chain_from_bytes(first.der()).unwrap(), pair[..1]);
        let error = Certificate::from_pem(&text).unwrap_err().to_string();
        assert_eq!(error, "this is not a certificate that can be read: the file has 2 certificates instead of one");
    }

    #[test]
    fn what_is_no_certificate_is_an_error_and_no_panic() {
        let cut = format!("{PEM_BEGIN}\nMIIB");
        for bytes in [&b""[..], b"text", b"\x30", b"\x30\x03\x02\x01\x01", cut.as_bytes()] {
            assert!(matches!(Certificate::chain_from_bytes(bytes), Err(PkiError::CertificateMalformed { .. })));
        }
    }
}
