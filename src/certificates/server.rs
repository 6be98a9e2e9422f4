//! The certificate of the TLS listener, under the instance's CA: `tls/server.pem` (leaf, then CA), `tls/server.key`.

use super::{
    CertificateError,
    authority::{issue_by_ca, root},
};
use crate::base::{custody::Purpose, principal::Caller, secret::Secret};
use crate::db::durable::replace;
use crate::keys::Keys;
use crate::pki::{certificate::Certificate, issue::CertificateTemplate, name::SubjectAltName, tls_key};
use std::{fs, path::Path};

/// Makes key and certificate anew if there are none, if they are of another CA or for other names, or if they end
/// soon; answers whether it did. Takes the token only then.
///
/// # Errors
/// The token is away, or the files cannot be written; what was there stays.
pub async fn ensure(keys: &Keys, directory: &Path, names: &[SubjectAltName]) -> Result<bool, CertificateError> {
    let (chain_path, key_path) = (directory.join(CERTIFICATE), directory.join(KEY));
    let root = root(keys).await?;
    if key_path.exists() && is_good(keys, (&chain_path, &key_path), &root, names) {
        return Ok(false);
    }
    let (key, public_key) = tls_key::generate()?;
    let template = CertificateTemplate {
        subject: "CN=keyward server".parse()?,
        names: names.to_vec(),
        purpose: Purpose::Tls,
        not_before: keys.clock.now(),
        days: DAYS,
    };
    let leaf = issue_by_ca(keys, &Caller::system(), &template, &public_key).await?;
    let chain = leaf.to_pem()? + &root.to_pem()?;
    // A kill in between leaves a key that is not the certificate's, which `is_good` sees.
    write(&key_path, key.expose())?;
    write(&chain_path, chain.as_bytes())?;
    Ok(true)
}

fn is_good(keys: &Keys, (chain, key): (&Path, &Path), root: &Certificate, names: &[SubjectAltName]) -> bool {
    let Ok(chain) = fs::read(chain).map_err(drop).and_then(|bytes| Certificate::chain_from_bytes(&bytes).map_err(drop))
    else {
        return false;
    };
    let Some(leaf) = chain.first() else { return false };
    let key = fs::read(key).map(Secret::new).map_err(drop).and_then(|key| tls_key::public_key(&key).map_err(drop));
    leaf.is_issued_by(root)
        && leaf.names() == names
        && leaf.not_after() > keys.clock.now().plus_days(RENEW_DAYS)
        && key.is_ok_and(|key| key == *leaf.public_key())
}

fn write(path: &Path, content: &[u8]) -> Result<(), CertificateError> {
    replace(path, content).map_err(|source| CertificateError::FileUnwritable { path: path.to_owned(), source })
}

/// PEM: the listener's certificate, then the CA's.
pub const CERTIFICATE: &str = "tls/server.pem";
/// PEM PKCS#8.
pub const KEY: &str = "tls/server.key";
/// A little over a year, as the public web has it.
const DAYS: u32 = 397;
const RENEW_DAYS: i64 = 30;
