//! `cert add`: a certificate is attached to the key that it certifies, in the inventory and in the token.

use super::{
    CertificateError,
    api::{AddRequest, CertificateView, KeyRef},
    db,
};
use crate::access::require;
use crate::audit::Verdict;
use crate::base::{
    ids::KeySelector,
    principal::{Caller, Role},
};
use crate::db::{Transaction, commit};
use crate::keys::{KeyError, KeyRecord, Keys, list::find};
use crate::pki::{certificate::Certificate, chain};
use crate::token::message::CertificateObject;
use serde_json::json;

/// Attaches a certificate and its chain.
///
/// # Errors
/// The key is keyward's own, the certificate is another key's, the chain does not hold together, or the token
/// refuses the object.
pub async fn add(
    keys: &Keys,
    caller: &Caller,
    selector: &KeySelector,
    request: &AddRequest,
) -> Result<CertificateView, CertificateError> {
    require(caller, &[Role::Operator])?;
    let key = find(keys, selector).await?;
    // Manifests, checkpoints and the root hang on the certificates of these; nobody may put others in their place.
    if key.purpose.is_internal() {
        return Err(KeyError::Internal { key: key.label, purpose: key.purpose }.into());
    }
    let given = Certificate::chain_from_bytes(request.pem.as_bytes())?;
    let chain = for_key(&key, &given)?;
    attach(keys, caller, &key, &chain).await
}

/// The given certificates in order, if the first certifies this key.
fn for_key(key: &KeyRecord, given: &[Certificate]) -> Result<Vec<Certificate>, CertificateError> {
    let public_key = key.public_key()?;
    let leaf = given.iter().find(|certificate| *certificate.public_key() == public_key);
    let Some(leaf) = leaf else {
        let subject = given.first().map_or_else(String::new, |certificate| certificate.subject().to_string());
        return Err(CertificateError::KeyMismatch { key: key.label.clone(), subject });
    };
    Ok(chain::order(leaf, given)?)
}

/// Stores the leaf beside the key in the token, and the chain in the inventory.
pub(super) async fn attach(
    keys: &Keys,
    caller: &Caller,
    key: &KeyRecord,
    chain: &[Certificate],
) -> Result<CertificateView, CertificateError> {
    let view = view(keys, key, chain)?;
    let detail = json!({ "certificate": view.id, "subject": view.subject, "issuer": view.issuer });
    let token = keys.token(&key.token)?;
    let intent = keys.audit.intent(caller, "certificate.add", &key.object(), detail).await?;
    if let Err(error) = token.store_certificate(object(key, chain)).await {
        keys.audit.conclude(&intent, Verdict::of_fault(&error, json!({}))).await?;
        return Err(error.into());
    }
    let mut transaction = keys.db.begin().await?;
    db::insert(&mut transaction, &view).await?;
    keys.audit.result(&mut transaction, &intent, Verdict::ok(json!({}))).await?;
    commit(transaction).await?;
    Ok(view)
}

/// Stores a key's certificates that came back from a backup beside it in the token, the oldest first.
///
/// # Errors
/// A text holds no certificate, or the token refuses an object.
pub async fn store_objects(keys: &Keys, key: &KeyRecord, pems: &[String]) -> Result<(), CertificateError> {
    for pem in pems.iter().rev() {
        let chain = Certificate::chain_from_bytes(pem.as_bytes())?;
        keys.token(&key.token)?.store_certificate(object(key, &chain)).await?;
    }
    Ok(())
}

/// Takes a key's certificates that came back from a backup into the inventory, the oldest first.
///
/// # Errors
/// A text holds no certificate, or the inventory cannot be written.
pub async fn take_in(
    keys: &Keys,
    transaction: &mut Transaction,
    key: &KeyRecord,
    pems: &[String],
) -> Result<(), CertificateError> {
    for pem in pems.iter().rev() {
        let chain = Certificate::chain_from_bytes(pem.as_bytes())?;
        db::insert(transaction, &view(keys, key, &chain)?).await?;
    }
    Ok(())
}

fn object(key: &KeyRecord, chain: &[Certificate]) -> CertificateObject {
    let der = chain.first().map_or_else(Vec::new, |leaf| leaf.der().to_vec());
    CertificateObject { key: key.id, label: key.label.clone(), der }
}

fn view(keys: &Keys, key: &KeyRecord, chain: &[Certificate]) -> Result<CertificateView, CertificateError> {
    let leaf = chain.first().ok_or_else(|| CertificateError::Unknown { id: String::new() })?;
    Ok(CertificateView {
        id: leaf.fingerprint(),
        key: KeyRef { id: key.id, label: key.label.clone() },
        subject: leaf.subject().to_string(),
        issuer: leaf.issuer().to_string(),
        serial: leaf.serial(),
        not_before: leaf.not_before(),
        not_after: leaf.not_after(),
        pem: chain.iter().map(Certificate::to_pem).collect::<Result<String, _>>()?,
        created_at: keys.clock.now(),
    })
}
