//! The instance's own keys and certificates: its CA, and the audit key that the CA certifies.
//!
//! `keyward-ca` is backed up and comes back with a restore; `keyward-audit` is new in each token. Both
//! certificates are published in the instance directory: `tls/ca.pem`, `audit/audit.pem` (leaf, then CA).

use super::{CertificateError, add::attach, chain_of};
use crate::base::{
    algorithm::KeyAlgorithm,
    custody::{KeyPolicy, Purpose},
    ids::{InstanceId, KeyLabel, KeySelector},
    principal::Caller,
};
use crate::db::durable::replace;
use crate::keys::{
    KeyRecord, Keys,
    generate::{KeySpec, make, make_in_place_of},
    list::find,
    recorded,
    signer::TokenSigner,
};
use crate::pki::{
    certificate::Certificate,
    issue::{CertificateTemplate, Issuer, issue},
    public_key::PublicKey,
};
use serde_json::json;
use std::{fs, path::Path};

/// Makes both keys and their certificates; `init` of an instance.
///
/// # Errors
/// The token cannot make P-256 keys, or there is no KEK to back the CA up under.
pub async fn establish(keys: &Keys, instance: InstanceId) -> Result<Certificate, CertificateError> {
    let caller = Caller::system();
    let ca = make(keys, &caller, spec(CA, KeyPolicy::BackupOnly, Purpose::Ca)).await?;
    let template = template(keys, &format!("CN=keyward CA {instance}"), Purpose::Ca, CA_DAYS)?;
    let (public_key, signer) = (ca.public_key()?, signer(keys, &ca)?);
    let work = issue(&template, &public_key, Issuer::Itself, &signer);
    let detail = json!({ "subject": template.subject.to_string() });
    let root = recorded(keys, &caller, ("certificate.issue", &ca.object(), detail), work).await?;
    attach(keys, &caller, &ca, std::slice::from_ref(&root)).await?;
    make(keys, &caller, spec(AUDIT, KeyPolicy::TokenOnly, Purpose::Audit)).await?;
    certify_audit_key(keys).await?;
    Ok(root)
}

/// Has the CA certify the audit key, if the audit key's certificate does not lead to it already: after
/// `init`, and after a restore has brought another CA.
///
/// # Errors
/// One of the two keys is missing.
pub async fn certify_audit_key(keys: &Keys) -> Result<(), CertificateError> {
    let (audit, root) = (own_key(keys, AUDIT).await?, root(keys).await?);
    if chain_of(keys, audit.id).await?.first().is_some_and(|leaf| leaf.is_issued_by(&root)) {
        return Ok(());
    }
    let template = template(keys, "CN=keyward audit", Purpose::Audit, AUDIT_DAYS)?;
    let caller = Caller::system();
    let leaf = issue_by_ca(keys, &caller, &template, &audit.public_key()?).await?;
    attach(keys, &caller, &audit, &[leaf, root]).await?;
    Ok(())
}

/// Has the instance's CA certify a key that is not in the token: of a listener, of a client.
///
/// # Errors
/// The token is away.
pub async fn issue_by_ca(
    keys: &Keys,
    caller: &Caller,
    template: &CertificateTemplate,
    public_key: &PublicKey,
) -> Result<Certificate, CertificateError> {
    let (ca, root) = (own_key(keys, CA).await?, root(keys).await?);
    let signer = signer(keys, &ca)?;
    let work = issue(template, public_key, Issuer::Ca(&root), &signer);
    let detail = json!({ "subject": template.subject.to_string() });
    Ok(recorded(keys, caller, ("certificate.issue", &ca.object(), detail), work).await?)
}

/// Whether the token holds the key with this label that the inventory knows.
///
/// # Errors
/// The token is away.
pub async fn is_in_token(keys: &Keys, label: &'static str) -> Result<bool, CertificateError> {
    let key = own_key(keys, label).await?;
    Ok(keys.home().keys().await?.iter().any(|object| object.id == key.id))
}

/// Makes a new audit key in the place of the recorded one; it has no certificate yet.
///
/// # Errors
/// The token cannot make the key.
pub async fn renew_audit_key(keys: &Keys) -> Result<(), CertificateError> {
    let (former, spec) = (own_key(keys, AUDIT).await?, spec(AUDIT, KeyPolicy::TokenOnly, Purpose::Audit));
    make_in_place_of(keys, &Caller::system(), former.id, spec).await?;
    Ok(())
}

/// Writes `tls/ca.pem` and `audit/audit.pem`, if they are not so already.
///
/// # Errors
/// The instance directory cannot be written.
pub async fn publish(keys: &Keys, directory: &Path) -> Result<(), CertificateError> {
    let root = root(keys).await?.to_pem()?;
    let audit = audit_certificates(keys).await?;
    for (path, text) in [(directory.join("tls/ca.pem"), root), (directory.join("audit/audit.pem"), audit)] {
        write_if_changed(&path, &text).map_err(|source| CertificateError::FileUnwritable { path, source })?;
    }
    Ok(())
}

/// The certificate of the instance's CA; its fingerprint is the root fingerprint of share sheets.
///
/// # Errors
/// The instance has none yet.
pub async fn root(keys: &Keys) -> Result<Certificate, CertificateError> {
    let ca = own_key(keys, CA).await?;
    let certificate = chain_of(keys, ca.id).await?.into_iter().next();
    certificate.filter(Certificate::is_self_signed).ok_or(CertificateError::Uncertified { what: "CA" })
}

/// DER certificates of the audit key: leaf, then CA.
///
/// # Errors
/// The instance has none yet.
pub async fn audit_chain(keys: &Keys) -> Result<Vec<Vec<u8>>, CertificateError> {
    let audit = own_key(keys, AUDIT).await?;
    Ok(chain_of(keys, audit.id).await?.iter().map(|certificate| certificate.der().to_vec()).collect())
}

/// PEM certificates of the audit key: leaf, then CA.
///
/// # Errors
/// The instance has none yet.
pub async fn audit_certificates(keys: &Keys) -> Result<String, CertificateError> {
    let audit = own_key(keys, AUDIT).await?;
    let chain = chain_of(keys, audit.id).await?;
    Ok(chain.iter().map(Certificate::to_pem).collect::<Result<String, _>>()?)
}

/// The audit key, which signs checkpoints, manifests and reports.
///
/// # Errors
/// The instance has none yet.
pub async fn audit_signer(keys: &Keys) -> Result<TokenSigner, CertificateError> {
    signer(keys, &own_key(keys, AUDIT).await?)
}

async fn own_key(keys: &Keys, label: &'static str) -> Result<KeyRecord, CertificateError> {
    Ok(find(keys, &KeySelector::Label(label.to_owned())).await?)
}

fn signer(keys: &Keys, key: &KeyRecord) -> Result<TokenSigner, CertificateError> {
    Ok(TokenSigner::new(keys.home(), key, key.algorithm.default_signature())?)
}

fn spec(label: &'static str, policy: KeyPolicy, purpose: Purpose) -> KeySpec {
    KeySpec {
        label: KeyLabel::internal(label),
        // CMS and older PKCS#11 programs stumble over Ed25519.
        algorithm: KeyAlgorithm::P256,
        policy,
        purpose,
        approvals: 0,
        comment: String::new(),
        token: None,
    }
}

fn template(keys: &Keys, subject: &str, purpose: Purpose, days: u32) -> Result<CertificateTemplate, CertificateError> {
    Ok(CertificateTemplate {
        subject: subject.parse()?,
        names: Vec::new(),
        purpose,
        not_before: keys.clock.now(),
        days,
    })
}

fn write_if_changed(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    replace(path, text.as_bytes())
}

/// Label of the CA key.
pub const CA: &str = "keyward-ca";
/// Label of the audit key.
pub const AUDIT: &str = "keyward-audit";
/// Twenty years: every archive leads to this certificate.
const CA_DAYS: u32 = 7_305;
const AUDIT_DAYS: u32 = 3_652;
