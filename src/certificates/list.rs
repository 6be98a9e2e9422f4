//! `cert list`, `cert show`; and the certificates of a key for those who need them.

use super::{CertificateError, api::CertificateView, db};
use crate::base::ids::KeyId;
use crate::keys::Keys;
use crate::pki::certificate::Certificate;

/// Every certificate, the one that expires first at the top.
///
/// # Errors
/// The database cannot be read.
pub async fn all(keys: &Keys) -> Result<Vec<CertificateView>, CertificateError> {
    Ok(db::list(&keys.db, None).await?)
}

/// The certificate with this fingerprint.
///
/// # Errors
/// There is none.
pub async fn find(keys: &Keys, id: &str) -> Result<CertificateView, CertificateError> {
    db::find(&keys.db, id).await?.ok_or_else(|| CertificateError::Unknown { id: id.to_owned() })
}

/// Ids of a key's certificates, the newest first.
///
/// # Errors
/// The database cannot be read.
pub async fn ids_of(keys: &Keys, key: KeyId) -> Result<Vec<String>, CertificateError> {
    Ok(db::list(&keys.db, Some(key)).await?.into_iter().map(|certificate| certificate.id).collect())
}

/// PEM texts of a key's certificates with their chains, the newest first.
///
/// # Errors
/// The database cannot be read.
pub async fn pems_of(keys: &Keys, key: KeyId) -> Result<Vec<String>, CertificateError> {
    Ok(db::list(&keys.db, Some(key)).await?.into_iter().map(|certificate| certificate.pem).collect())
}

/// The key's newest certificate with its chain, leaf first; empty if it has none.
///
/// # Errors
/// The database cannot be read, or holds something else.
pub async fn chain_of(keys: &Keys, key: KeyId) -> Result<Vec<Certificate>, CertificateError> {
    match pems_of(keys, key).await?.first() {
        Some(pem) => Ok(Certificate::chain_from_bytes(pem.as_bytes())?),
        None => Ok(Vec::new()),
    }
}
