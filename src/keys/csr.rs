//! `key csr`: a PKCS#10 request (RFC 2986) signed by the key in the token.

use super::{KeyError, Keys, api::CsrRequest, index::KeyForUse, list, recorded, sign::check_use, signer::TokenSigner};
use crate::access::require;
use crate::base::{
    ids::KeySelector,
    principal::{Caller, Role},
};
use crate::pki::{
    name::{Subject, SubjectAltName},
    request,
};
use serde_json::json;

/// Builds a CSR; answers PEM.
///
/// # Errors
/// A name does not parse, or the key may not sign.
pub async fn build(
    keys: &Keys,
    caller: &Caller,
    selector: &KeySelector,
    request: &CsrRequest,
) -> Result<String, KeyError> {
    require(caller, &[Role::Operator])?;
    let key = list::find(keys, selector).await?;
    let algorithm = request.signature_algorithm.unwrap_or_else(|| key.algorithm.default_signature());
    check_use(&KeyForUse::of(&key)?, algorithm)?;
    let subject: Subject = request.subject.parse()?;
    let names = request.san.iter().map(|name| name.parse()).collect::<Result<Vec<SubjectAltName>, _>>()?;
    let signer = TokenSigner::new(keys.token(&key.token)?, &key, algorithm)?;
    let work = request::build(key.purpose, &subject, &names, &signer);
    let detail = json!({ "subject": request.subject, "san": request.san, "algorithm": algorithm });
    recorded(keys, caller, ("key.csr", &key.object(), detail), work).await
}
