//! `backup drill`: each key is unwrapped to a session object, signs, is compared and destroyed; a signed report.

use super::{
    BackupError, Backups,
    api::{ArchiveRef, DrillAnswer, DrillQuery, DrillResult, DrilledKey, LastProof, Light, ReportFiles},
    archive::Archive,
    db,
    identity::check_own,
    offline::reference,
    wrapped::{KekPlace, OpenArchive},
};
use crate::access::require;
use crate::audit::{Intent, ObjectRef, Verdict};
use crate::base::{
    fault::Fault as _,
    ids::DrillId,
    principal::{Caller, Role},
    time::Timestamp,
};
use crate::certificates::authority;
use crate::commands::Progress;
use crate::db::commit;
use crate::pki::cms;
use serde_json::json;
use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Proves every key of an archive: the one given, or the newest at the destination.
///
/// # Errors
/// The archive is damaged or its KEKs are not in the token. A key that is not proved is no error: the
/// drill is red.
pub async fn drill(
    backups: &Backups,
    caller: &Caller,
    query: &DrillQuery,
    given: Vec<u8>,
    progress: &Progress,
) -> Result<DrillAnswer, BackupError> {
    require(caller, &[Role::Operator, Role::Admin])?;
    let archive = Archive::open(&backups.latest_or(query.latest, given).await?)?;
    let id = DrillId::new();
    let object = ObjectRef::new("drill", id, archive.name());
    let detail = json!({ "sha256": archive.sha256 });
    let intent = backups.keys.audit.intent(caller, "backup.drill", &object, detail).await?;
    let outcome = drill_own(backups, &intent, (id, &archive), progress).await;
    if let Err(error) = &outcome {
        backups.keys.audit.conclude(&intent, Verdict::of_fault(error, json!({}))).await?;
    }
    outcome
}

async fn drill_own(
    backups: &Backups,
    intent: &Intent,
    (id, archive): (DrillId, &Archive),
    progress: &Progress,
) -> Result<DrillAnswer, BackupError> {
    check_own(backups, archive).await?;
    let started_at = backups.keys.clock.now();
    let keys = prove_all(backups, archive, progress).await?;
    let answer = report(backups, Drilled { id, archive: reference(archive), started_at, keys }).await?;
    record(backups, intent, &answer).await?;
    Ok(answer)
}

struct Drilled {
    id: DrillId,
    archive: ArchiveRef,
    started_at: Timestamp,
    keys: Vec<DrilledKey>,
}

async fn prove_all(backups: &Backups, archive: &Archive, progress: &Progress) -> Result<Vec<DrilledKey>, BackupError> {
    let open = OpenArchive::open(&backups.keys, archive, KekPlace::Token).await?;
    let entries = open.archive.manifest.keys.clone();
    progress.expect(entries.len());
    let mut drilled = Vec::with_capacity(entries.len());
    for some in entries.chunks(AT_ONCE) {
        let mut proofs = tokio::task::JoinSet::new();
        for (place, key) in some.iter().enumerate() {
            let (token, wrapped) = (backups.keys.home().clone(), open.wrapped(key)?);
            proofs.spawn(async move { (place, token.prove(wrapped).await) });
        }
        let mut proved = proofs.join_all().await;
        proved.sort_by_key(|(place, _)| *place);
        for (place, result) in proved {
            let key = open.inventory.key(some[place].id)?;
            drilled.push(DrilledKey {
                id: key.id,
                label: key.label.to_string(),
                result: if result.is_ok() { DrillResult::Proved } else { DrillResult::Failed },
                proof: result.is_ok().then(|| "signature".to_owned()),
                code: result.err().map_or_else(String::new, |error| error.entry().code.to_owned()),
            });
            progress.advance();
        }
    }
    Ok(drilled)
}

/// Writes the report and its signature, and makes the answer.
async fn report(backups: &Backups, drilled: Drilled) -> Result<DrillAnswer, BackupError> {
    let proved = drilled.keys.iter().filter(|key| key.result == DrillResult::Proved).count();
    let file = |ending: &str| backups.directory.join(format!("drills/drill-{}.{ending}", drilled.id));
    let answer = DrillAnswer {
        id: drilled.id,
        archive: drilled.archive,
        mode: "online".to_owned(),
        started_at: drilled.started_at,
        finished_at: backups.keys.clock.now(),
        state: if proved == drilled.keys.len() { Light::Green } else { Light::Red },
        keys_total: drilled.keys.len(),
        keys_proved: proved,
        keys: drilled.keys,
        report: ReportFiles {
            file: file("json").display().to_string(),
            signature_file: file("json.p7s").display().to_string(),
        },
    };
    let mut text = serde_json::to_value(&answer).unwrap_or_default();
    if let Some(object) = text.as_object_mut() {
        object.remove("report");
    }
    let text = serde_json::to_vec_pretty(&text).unwrap_or_default();
    let signer = authority::audit_signer(&backups.keys).await?;
    let chain = authority::audit_chain(&backups.keys).await?;
    let signature = cms::sign_detached(&text, &chain, answer.finished_at, &signer).await?;
    write_new(&file("json"), &text)?;
    write_new(&file("json.p7s"), &signature)?;
    Ok(answer)
}

async fn record(backups: &Backups, intent: &Intent, answer: &DrillAnswer) -> Result<(), BackupError> {
    let proof = LastProof { at: answer.finished_at, drill: answer.id };
    let detail = json!({
        "state": answer.state, "keys_total": answer.keys_total, "keys_proved": answer.keys_proved,
    });
    let mut transaction = backups.keys.db.begin().await?;
    db::insert_drill(&mut transaction, answer).await?;
    for key in answer.keys.iter().filter(|key| key.result == DrillResult::Proved) {
        db::note_proof(&mut transaction, key.id, &proof).await?;
    }
    backups.keys.audit.result(&mut transaction, intent, Verdict::ok(detail)).await?;
    Ok(commit(transaction).await?)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let write = || {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| BackupError::DestinationFailed { action: "writing", path: path.to_owned(), source })
}

/// Proofs under way at a time.
const AT_ONCE: usize = 64;
