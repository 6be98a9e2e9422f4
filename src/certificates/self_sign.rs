//! `cert self-sign`: a certificate that the key signs for itself.

use super::{
    CertificateError,
    add::attach,
    api::{CertificateView, SelfSignRequest},
};
use crate::access::require;
use crate::base::{
    ids::KeySelector,
    principal::{Caller, Role},
};
use crate::keys::{Keys, index::KeyForUse, list::find, recorded, sign::check_use, signer::TokenSigner};
use crate::pki::{
    issue::{CertificateTemplate, Issuer, issue},
    name::SubjectAltName,
};
use serde_json::json;

/// Makes a self-signed certificate and attaches it.
///
/// # Errors
/// A name does not parse, the lifetime is out of range, or the key may not sign.
pub async fn self_sign(
    keys: &Keys,
    caller: &Caller,
    selector: &KeySelector,
    request: &SelfSignRequest,
) -> Result<CertificateView, CertificateError> {
    require(caller, &[Role::Operator])?;
    let key = find(keys, selector).await?;
    let algorithm = request.signature_algorithm.unwrap_or_else(|| key.algorithm.default_signature());
    check_use(&KeyForUse::of(&key)?, algorithm)?;
    let days = request.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(CertificateError::DaysOutOfRange { days });
    }
    let template = CertificateTemplate {
        subject: request.subject.parse()?,
        names: request.san.iter().map(|name| name.parse()).collect::<Result<Vec<SubjectAltName>, _>>()?,
        purpose: key.purpose,
        not_before: keys.clock.now(),
        days,
    };
    let signer = TokenSigner::new(keys.token(&key.token)?, &key, algorithm)?;
    let public_key = key.public_key()?;
    let work = issue(&template, &public_key, Issuer::Itself, &signer);
    let detail = json!({ "subject": request.subject, "san": request.san, "days": days, "algorithm": algorithm });
    let certificate = recorded(keys, caller, ("certificate.self-sign", &key.object(), detail), work).await?;
    attach(keys, caller, &key, &[certificate]).await
}

const DEFAULT_DAYS: u32 = 365;
const MOST_DAYS: u32 = 36_500;
