//! Issuing X.509 certificates (RFC 5280) with a key that is elsewhere.

use super::{
    PkiError,
    certificate::Certificate,
    error::encoding,
    name::{Subject, SubjectAltName, alternative_names},
    public_key::PublicKey,
    request::{key_usage, sign},
};
use crate::base::{custody::Purpose, signing::Signer, time::Timestamp};
use const_oid::db::rfc5280;
use der::{
    Decode, Encode,
    asn1::{ObjectIdentifier, OctetString},
};
use spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use std::time::{Duration, SystemTime};
use x509_cert::{
    TbsCertificate,
    builder::{CertificateBuilder, profile::BuilderProfile},
    ext::{
        Extension, Extensions, ToExtension,
        pkix::{self, AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier},
    },
    name::Name,
    serial_number::SerialNumber,
    time::{Time, Validity},
};

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct CertificateTemplate {
    /// Whom it is for.
    pub subject: Subject,
    /// Further names.
    pub names: Vec<SubjectAltName>,
    /// Decides basic constraints, key usage and extended key usage.
    pub purpose: Purpose,
    /// From when it is valid; whole seconds count.
    pub not_before: Timestamp,
    /// For how long; it never outlives its issuer.
    pub days: u32,
}

/// Who issues a certificate.
#[derive(Clone, Copy, Debug)]
pub enum Issuer<'a> {
    /// The CA with this certificate, whose key is the signer's.
    Ca(&'a Certificate),
    /// The certified key itself, which is then the signer's.
    Itself,
}

/// Issues a certificate for the key, signed by the signer, with a random serial number.
///
/// # Errors
/// [`PkiError::ChainBroken`] if the signer's key is not the issuer's; [`PkiError::Signer`] if it does not
/// sign; [`PkiError::SignatureInvalid`] if its signature does not verify.
pub async fn issue(
    template: &CertificateTemplate,
    public_key: &PublicKey,
    issuer: Issuer<'_>,
    signer: &dyn Signer,
) -> Result<Certificate, PkiError> {
    let failed = |cause| encoding(CERTIFICATE, cause);
    let issuer_key = PublicKey::from_der(signer.public_key_der())?;
    check_issuer_key(public_key, issuer, &issuer_key)?;
    let profile = Profile::new(template, public_key, issuer)?;
    let info = SubjectPublicKeyInfoOwned::from_der(public_key.der()).map_err(|cause| encoding(CERTIFICATE, cause))?;
    let validity = validity(template, issuer)?;
    let builder = CertificateBuilder::new(profile, random_serial()?, validity, info).map_err(failed)?;
    let certificate = sign(builder, CERTIFICATE, &issuer_key, signer).await?;
    Certificate::from_der(&certificate.to_der().map_err(|cause| encoding(CERTIFICATE, cause))?)
}

fn check_issuer_key(public_key: &PublicKey, issuer: Issuer<'_>, signer: &PublicKey) -> Result<(), PkiError> {
    let (expected, cause) = match issuer {
        Issuer::Ca(certificate) => (certificate.public_key(), "the signing key is not that of the CA's certificate"),
        Issuer::Itself => (public_key, "a self-signed certificate is signed by the key that it certifies"),
    };
    if expected == signer { Ok(()) } else { Err(PkiError::ChainBroken { cause: cause.to_owned() }) }
}

fn validity(template: &CertificateTemplate, issuer: Issuer<'_>) -> Result<Validity, PkiError> {
    let wanted = template.not_before.plus_days(i64::from(template.days));
    let not_after = match issuer {
        Issuer::Ca(certificate) => wanted.min(certificate.not_after()),
        Issuer::Itself => wanted,
    };
    Ok(Validity::new(time(template.not_before)?, time(not_after)?))
}

/// 16 bytes, positive and without leading zero (RFC 5280, section 4.1.2.2).
fn random_serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|cause| encoding(CERTIFICATE, cause))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::new(&bytes).map_err(|cause| encoding(CERTIFICATE, cause))
}

/// The extensions of a certificate that keyward issues.
struct Profile {
    subject: Name,
    issuer: Option<Name>,
    issuer_key_identifier: Option<OctetString>,
    names: Option<pkix::SubjectAltName>,
    usage: KeyUsage,
    purpose: Purpose,
}

impl Profile {
    fn new(template: &CertificateTemplate, key: &PublicKey, issuer: Issuer<'_>) -> Result<Self, PkiError> {
        let ca = match issuer {
            Issuer::Ca(certificate) => Some(certificate),
            Issuer::Itself => None,
        };
        Ok(Self {
            subject: template.subject.as_name().clone(),
            issuer: ca.map(|certificate| certificate.name().clone()),
            issuer_key_identifier: ca.and_then(Certificate::key_identifier),
            names: alternative_names(&template.names)?,
            usage: key_usage(template.purpose, key.algorithm())?,
            purpose: template.purpose,
        })
    }

    fn authority(&self, issuer_key: SubjectPublicKeyInfoRef<'_>) -> der::Result<AuthorityKeyIdentifier> {
        match self.issuer_key_identifier.clone() {
            None => AuthorityKeyIdentifier::try_from(issuer_key),
            found => Ok(AuthorityKeyIdentifier { key_identifier: found, ..AuthorityKeyIdentifier::default() }),
        }
    }
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, subject: &Name) -> Name {
        self.issuer.as_ref().unwrap_or(subject).clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let mut extensions = Extensions::new();
        let mut add = |extension: der::Result<Extension>| extension.map(|extension| extensions.push(extension));
        let constraints = BasicConstraints { ca: self.purpose == Purpose::Ca, path_len_constraint: None };
        add(constraints.to_extension(&self.subject, &[]))?;
        add(self.usage.to_extension(&self.subject, &[]))?;
        if let Some(purposes) = extended_key_usage(self.purpose) {
            add(purposes.to_extension(&self.subject, &[]))?;
        }
        add(SubjectKeyIdentifier::try_from(key)?.to_extension(&self.subject, &[]))?;
        add(self.authority(issuer_key)?.to_extension(&self.subject, &[]))?;
        if let Some(names) = &self.names {
            add(names.to_extension(&self.subject, &[]))?;
        }
        Ok(extensions)
    }
}

/// RFC 5280, section 4.2.1.12; none where programs look at the key usage only.
fn extended_key_usage(purpose: Purpose) -> Option<ExtendedKeyUsage> {
    let purposes: &[ObjectIdentifier] = match purpose {
        Purpose::Agent | Purpose::Tls => &[rfc5280::ID_KP_SERVER_AUTH, rfc5280::ID_KP_CLIENT_AUTH],
        Purpose::Credential => &[rfc5280::ID_KP_CLIENT_AUTH],
        Purpose::Client => &[rfc5280::ID_KP_EMAIL_PROTECTION, rfc5280::ID_KP_CLIENT_AUTH],
        Purpose::Signing => &[rfc5280::ID_KP_CODE_SIGNING],
        Purpose::Audit | Purpose::Ca | Purpose::Secrets => return None,
    };
    Some(ExtendedKeyUsage(purposes.to_vec()))
}

fn time(instant: Timestamp) -> Result<Time, PkiError> {
    let since_1970 = u64::try_from(instant.as_millis()).map_err(|cause| encoding(CERTIFICATE, cause))?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970 / 1000);
    Time::try_from(time).map_err(|cause| encoding(CERTIFICATE, cause))
}

const CERTIFICATE: &str = "certificate";
