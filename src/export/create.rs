//! `export create` in solo mode: asked for, checked, recorded and released in one step.

use super::{
    ExportError,
    api::{AuditPosition, ExportFormat, ExportRequest, ExportView, ExportedKey},
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
use crate::pki::{certificate::Certificate, pkcs12::Pkcs12Profile, private_key::check_passphrase};
use crate::token::{ExportOrder, message::Container};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Releases a key into an encrypted file; answers the file and its record.
///
/// # Errors
/// The policy or missing approvals keep the key in (recorded as denied), a certificate is missing, or
/// the passphrase, alias or reason is not usable. Nothing has left then.
pub async fn create(
    keys: &Keys,
    caller: &Caller,
    request: ExportRequest,
) -> Result<(Vec<u8>, ExportView), ExportError> {
    require(caller, &[Role::Operator])?;
    check_words(&request)?;
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

/// Alias and reason go into records, headers and the file, so they are judged before anything begins.
fn check_words(request: &ExportRequest) -> Result<(), ExportError> {
    let characters = request.reason.chars().count();
    if characters > REASON_MOST {
        return Err(ExportError::ReasonTooLong { characters });
    }
    let fits = |alias: &String| (1..=ALIAS_MOST).contains(&alias.chars().count()) && !alias.chars().any(is_invisible);
    if request.alias.as_ref().is_none_or(fits) { Ok(()) } else { Err(ExportError::AliasMalformed) }
}

/// Control characters, and those that have no shape or turn the text around.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
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
    let profile = match &container {
        Container::Pem { .. } => None,
        Container::Pkcs12 { profile, .. } => Some(*profile),
    };
    let public_key_der = key.public_key()?.der().to_vec();
    let order = ExportOrder { key: key.id, public_key_der, container, passphrase };
    let file = keys.token(&key.token)?.export(permit, order).await?;
    let view = ExportView {
        id: ExportId::new(),
        key: ExportedKey { id: key.id, label: key.label.clone() },
        format: request.format,
        profile,
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
            let profile = request.profile.unwrap_or(Pkcs12Profile::Modern);
            Ok(Container::Pkcs12 { profile, alias: alias.to_owned(), chain })
        }
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

/// Characters of a reason, as of a key's comment.
const REASON_MOST: usize = 1_024;
/// Characters of an alias, as of a label.
const ALIAS_MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn judged(alias: Option<&str>, reason: &str) -> Result<(), ExportError> {
        check_words(&ExportRequest {
            key: "web".to_owned(),
            format: ExportFormat::Pem,
            profile: None,
            alias: alias.map(str::to_owned),
            passphrase: Zeroizing::default(),
            reason: reason.to_owned(),
        })
    }

    #[test]
    fn an_alias_has_1_to_64_printable_characters() {
        assert!(judged(None, "").is_ok());
        assert!(judged(Some(&"ë".repeat(64)), "").is_ok());
        for alias in ["", &"a".repeat(65), "a\nb", "a\u{7f}", "web\u{202e}"] {
            assert!(matches!(judged(Some(alias), ""), Err(ExportError::AliasMalformed)), "{alias:?}");
        }
    }

    #[test]
    fn a_reason_has_at_most_1024_characters() {
        assert!(judged(None, &"ë".repeat(1_024)).is_ok());
        assert!(matches!(judged(None, &"a".repeat(1_025)), Err(ExportError::ReasonTooLong { characters: 1_025 })));
    }
}
