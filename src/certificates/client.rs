//! `credential add --csr`: the instance's CA certifies the key of a caller, who shows the certificate at the listener.

use super::{
    CertificateError,
    authority::{issue_by_ca, root},
};
use crate::access::{Access, Draft, api::AddCredentialAnswer};
use crate::base::{algorithm::KeyAlgorithm, custody::Purpose, principal::Caller};
use crate::keys::Keys;
use crate::pki::{issue::CertificateTemplate, name::SubjectAltName, public_key::PublicKey, request::Request};

/// Issues the certificate and adds it as a credential. Of the CSR only the public key counts: the subject is the name
/// of the credential, and the one alternative name its id.
///
/// # Errors
/// The CSR is not one, or its requester does not hold the key; the listener knows no such keys; the token is away.
pub async fn add(
    keys: &Keys,
    access: &Access,
    caller: &Caller,
    (draft, csr): (Draft, &str),
) -> Result<AddCredentialAnswer, CertificateError> {
    let request = Request::from_pem(csr)?;
    check_usable(request.public_key())?;
    let template = CertificateTemplate {
        subject: format!("CN={}", draft.name()).parse()?,
        names: vec![SubjectAltName::Uri(format!("urn:uuid:{}", draft.id()))],
        purpose: Purpose::Credential,
        not_before: keys.clock.now(),
        days: draft.days(),
    };
    // A kill in between leaves a certificate that is recorded and lets nobody in.
    let certificate = issue_by_ca(keys, caller, &template, request.public_key()).await?;
    let pem = certificate.to_pem()? + &root(keys).await?.to_pem()?;
    Ok(access.add_certificate(caller, draft, (&certificate, pem)).await?)
}

/// What the listener's TLS library verifies (ring); with other keys the handshake would fail.
fn check_usable(key: &PublicKey) -> Result<(), CertificateError> {
    match key.algorithm() {
        algorithm @ (KeyAlgorithm::P521 | KeyAlgorithm::Secp256k1) => {
            Err(CertificateError::ClientKeyUnsuitable { algorithm })
        }
        _ => Ok(()),
    }
}
