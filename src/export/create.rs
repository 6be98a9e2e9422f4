//! `export create` in solo mode: asked for, checked, recorded and released in one step.

use super::{
    ExportError,
    api::{AuditPosition, ExportFormat, ExportProfile, ExportRequest, ExportView, ExportedKey},
    db,
};
use crate::access::require;
use crate::audit::{Intent, Verdict};
use crate::base::{
    custody::ReleasePermit,
    ids::{ExportId, KeySelector, hex},
    principal::{Caller, Role},
    secret::Secret,
};
use crate::certificates::chain_of;
use crate::db::commit;
use crate::keys::{KeyRecord, Keys, api::CopyView, copies, list};
use crate::pki::{certificate::Certificate, private_key::check_passphrase};
use crate::token::{ExportOrder, message::Container};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Releases a key into an encrypted file; answers the file and its record.
///
/// # Errors
/// The policy or missing approvals keep the key in (recorded as denied), a certificate is missing, or
/// the passphrase is not usable. Nothing has left then.
pub async fn create(
    keys: &Keys,
    caller: &Caller,
    request: ExportRequest,
) -> Result<(Vec<u8>, ExportView), ExportError> {
    require(caller, &[Role::Operator])?;
    let key = list::find(keys, &KeySelector::from(request.key.as_str())).await?;
    let detail = json!({ "format": request.format, "profile": request.profile, "reason": request.reason });
    let intent = keys.audit.intent(caller, "export.create", &key.object(), detail).await?;
    match release(keys, &key, &request).await {
        Ok((file, view)) => Ok((file, record(keys, &intent, view).await?)),
        Err(error) => {
            keys.audit.conclude(&intent, Verdict::of_fault(&error, json!({}))).await?;
            Err(error)
        }
    }
}

async fn release(keys: &Keys, key: &KeyRecord, request: &ExportRequest) -> Result<(Vec<u8>, ExportView), ExportError> {
    let permit = ReleasePermit::for_key(key.id, key.policy)
        .ok_or_else(|| ExportError::PolicyForbids { key: key.label.clone(), policy: key.policy })?;
    if key.approvals > 0 {
        return Err(ExportError::ApprovalsMissing { key: key.label.clone(), needed: key.approvals });
    }
    let passphrase = Secret::new(request.passphrase.as_bytes().to_vec());
    check_passphrase(&passphrase)?;
    let chain = chain_of(keys, key.id).await?;
    let alias = request.alias.clone().unwrap_or_else(|| key.label.to_string());
    let container = container(key, request, &chain, &alias)?;
    let public_key_der = key.public_key()?.der().to_vec();
    let order = ExportOrder { key: key.id, public_key_der, container, passphrase };
    let file = keys.token.export(permit, order).await?;
    let view = ExportView {
        id: ExportId::new(),
        key: ExportedKey { id: key.id, label: key.label.clone() },
        format: request.format,
        profile: profile(request),
        alias,
        sha256: hex(&Sha256::digest(&file)),
        size_bytes: file.len(),
        certificates: chain.iter().map(Certificate::fingerprint).collect(),
        self_approved: true,
        approvals: Vec::new(),
        reason: request.reason.clone(),
        created_at: keys.clock.now(),
        audit: AuditPosition { log: "management".to_owned(), seq: 0 },
    };
    Ok((file, view))
}

fn container(
    key: &KeyRecord,
    request: &ExportRequest,
    chain: &[Certificate],
    alias: &str,
) -> Result<Container, ExportError> {
    let chain: Vec<Vec<u8>> = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
    match request.format {
        ExportFormat::Pem if request.profile.is_some() => Err(ExportError::ProfileMisplaced),
        ExportFormat::Pem => Ok(Container::Pem { chain }),
        ExportFormat::Pkcs12 if chain.is_empty() => Err(ExportError::CertificateMissing { key: key.label.clone() }),
        ExportFormat::Pkcs12 => {
            let compat = profile(request) == Some(ExportProfile::Compat);
            Ok(Container::Pkcs12 { compat, alias: alias.to_owned(), chain })
        }
    }
}

fn profile(request: &ExportRequest) -> Option<ExportProfile> {
    match request.format {
        ExportFormat::Pem => None,
        ExportFormat::Pkcs12 => Some(request.profile.unwrap_or(ExportProfile::Modern)),
    }
}

async fn record(keys: &Keys, intent: &Intent, mut view: ExportView) -> Result<ExportView, ExportError> {
    let copy = CopyView { kind: "export".to_owned(), holder: view.id.to_string(), made_at: view.created_at };
    let detail = json!({
        "export": view.id, "sha256": view.sha256, "alias": view.alias, "self_approved": view.self_approved,
    });
    let mut transaction = keys.db.begin().await?;
    view.audit.seq = keys.audit.result(&mut transaction, intent, Verdict::ok(detail)).await?;
    db::insert(&mut transaction, &view).await?;
    copies::note(&mut transaction, view.key.id, &copy).await?;
    commit(transaction).await?;
    Ok(view)
}
