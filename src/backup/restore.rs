//! `backup restore`: keys come back into a token, each proved by a signature; resumable, nothing overwritten.

use super::{
    BackupError, Backups,
    api::{KekRef, RestoreAnswer, RestoreQuery},
    archive::Archive,
    identity::{Relation, check_age, relation, settle_audit_key, take_over},
    known::note_archive,
    manifest::ManifestKey,
    put_back::Restoring,
    wrapped::{KekPlace, OpenArchive},
};
use crate::access::require;
use crate::audit::{ObjectRef, Verdict};
use crate::base::{
    fault::Fault as _,
    ids::{KeyId, KeySelector},
    principal::{Caller, Role},
};
use crate::ceremony::{
    provisional::supersede,
    recover::{import, kek_values},
    share_file::ShareFile,
};
use crate::commands::Progress;
use crate::db::commit;
use crate::keys::{destroy::destroy, presence::compare, restored};
use serde_json::json;

/// Puts the keys of an archive back: of the one given, or of the newest at the destination.
///
/// A key that is there already is left alone, a destroyed one stays destroyed; each key that comes back
/// has signed before it counts. Giving the same restore again goes on where it was.
///
/// # Errors
/// The archive is damaged, of another instance, root or KEK, or older than one that is known: nothing was
/// changed. A key that cannot be put back is no error: the answer names it, and is red.
pub async fn restore(
    backups: &Backups,
    caller: &Caller,
    query: &RestoreQuery,
    given: Vec<u8>,
    progress: &Progress,
) -> Result<RestoreAnswer, BackupError> {
    require(caller, &[Role::Operator])?;
    let _turn = backups.turn.lock().await;
    let archive = Archive::open(&backups.latest_or(query.latest, given).await?)?;
    let take = |recovery| backups.recoveries.take(backups.keys.clock.as_ref(), caller, recovery);
    let share = query.recovery.as_deref().map(take).transpose()?;
    let object = ObjectRef::new("archive", &archive.sha256, archive.name());
    let detail = json!({ "sequence": archive.manifest.sequence, "checkpoints": archive.manifest.checkpoints });
    let intent = backups.keys.audit.intent(caller, "backup.restore", &object, detail).await?;
    let outcome = checked_restore(backups, caller, Task { query, archive, share }, progress).await;
    let verdict = match &outcome {
        Ok(answer) => Verdict::ok(json!({
            "state": answer.state, "restored": answer.restored.len(), "failed": answer.failed.len(),
            "keks": answer.keks,
        })),
        Err(error) => Verdict::of_fault(error, json!({})),
    };
    backups.keys.audit.conclude(&intent, verdict).await?;
    outcome
}

struct Task<'a> {
    query: &'a RestoreQuery,
    archive: Archive,
    share: Option<ShareFile>,
}

async fn checked_restore(
    backups: &Backups,
    caller: &Caller,
    task: Task<'_>,
    progress: &Progress,
) -> Result<RestoreAnswer, BackupError> {
    let relation = relation(backups, &task.archive, task.query, task.share.as_ref()).await?;
    if relation == Relation::Own {
        check_age(backups, &task.archive, task.query).await?;
    }
    let place = kek_place(backups, &task).await?;
    if let (KekPlace::Session, Some(share)) = (place, &task.share) {
        backups.keys.home().open_session_keks(kek_values(&share.secret)?).await?;
    }
    let restored = put_all_back(backups, caller, &task, (relation, place), progress).await;
    if place == KekPlace::Session {
        backups.keys.home().close_session_keks().await?;
    }
    let mut answer = restored?;
    if let (KekPlace::Session, Some(share)) = (place, &task.share) {
        answer.keks = bring_keks(backups, caller, share).await;
    }
    Ok(answer)
}

/// Where the archive's KEKs are: in the token, or to be made from the shares for this restore.
async fn kek_place(backups: &Backups, task: &Task<'_>) -> Result<KekPlace, BackupError> {
    let here = backups.keys.home().keks().await?;
    let needed = &task.archive.manifest.keks;
    let Some(missing) = needed.iter().find(|kek| !here.iter().any(|there| there.id == kek.id)) else {
        return Ok(KekPlace::Token);
    };
    let differs = |kek: &KekRef| BackupError::KekDiffers { purpose: kek.purpose.to_string(), kcv: kek.kcv.clone() };
    let share = task.share.as_ref().ok_or_else(|| differs(missing))?;
    let given = kek_values(&share.secret)?;
    let is_given = |kek: &&KekRef| {
        given.iter().any(|value| (value.id, value.purpose, &value.kcv) == (kek.id, kek.purpose, &kek.kcv))
    };
    match needed.iter().find(|kek| !is_given(kek)) {
        Some(wrong) => Err(differs(wrong)),
        None => Ok(KekPlace::Session),
    }
}

/// After a restore by shares the KEKs go into the token, if the SO PIN is at hand. The keys are back in any
/// case, so that this fails is told, and is not a failure of the restore.
async fn bring_keks(backups: &Backups, caller: &Caller, share: &ShareFile) -> String {
    let pending = "kek-pending".to_owned();
    if !backups.keys.home().has_so_pin() {
        return pending;
    }
    match import(&backups.keys, caller, &share.secret).await {
        Ok(_) => {
            supersede(&backups.directory, &share.secret);
            "imported".to_owned()
        }
        Err(error) => {
            tracing::error!(request.id = %caller.request, code = error.entry().code, %error, "the KEKs were not imported");
            pending
        }
    }
}

async fn put_all_back(
    backups: &Backups,
    caller: &Caller,
    task: &Task<'_>,
    (relation, place): (Relation, KekPlace),
    progress: &Progress,
) -> Result<RestoreAnswer, BackupError> {
    let open = OpenArchive::open(&backups.keys, &task.archive, place).await?;
    let wanted = select(&open, task.query)?;
    if relation == Relation::TakesOver {
        take_over(backups, caller, &open).await?;
    }
    let destroyed = take_tombstones_in(backups, caller, &open).await?;
    let mut work = Restoring::new(backups, caller, &open).await?;
    work.answer.skipped_destroyed = destroyed;
    progress.expect(wanted.len());
    for some in wanted.chunks(AT_ONCE) {
        work.put_back(some, progress).await?;
    }
    settle_audit_key(backups).await?;
    note_archive(backups, &task.archive, Some(&open.inventory)).await?;
    // What did not come back, since it never leaves a token, shows as missing from now on.
    compare(&backups.keys, backups.keys.home()).await?;
    Ok(work.answer)
}

/// The archive's keys, or those that were asked for.
fn select(open: &OpenArchive<'_>, query: &RestoreQuery) -> Result<Vec<ManifestKey>, BackupError> {
    let all = &open.archive.manifest.keys;
    let Some(names) = &query.keys else { return Ok(all.clone()) };
    names
        .split(',')
        .map(|name| {
            let is_it = |id: KeyId| match KeySelector::from(name) {
                KeySelector::Id(wanted) => wanted == id,
                KeySelector::Label(label) => open.inventory.key(id).is_ok_and(|key| key.label.as_str() == label),
            };
            let found = all.iter().find(|key| is_it(key.id)).cloned();
            found.ok_or_else(|| BackupError::KeyNotInArchive { selector: name.to_owned() })
        })
        .collect()
}

/// Takes the archive's tombstones in. A key that lives here and is destroyed there is destroyed: this
/// instance is an older copy of the one that made the archive.
async fn take_tombstones_in(
    backups: &Backups,
    caller: &Caller,
    open: &OpenArchive<'_>,
) -> Result<Vec<String>, BackupError> {
    let mut destroyed = Vec::new();
    for stone in &open.inventory.tombstones {
        let Ok(id) = stone.key_id.parse::<KeyId>() else { continue };
        if restored::known(&backups.keys, id).await?.is_some() {
            destroy(&backups.keys, caller, &KeySelector::Id(id)).await?;
            destroyed.push(stone.label.clone());
        }
    }
    let mut transaction = backups.keys.db.begin().await?;
    for stone in &open.inventory.tombstones {
        restored::take_in_tombstone(&mut transaction, stone).await?;
    }
    commit(transaction).await?;
    Ok(destroyed)
}

/// Keys that are unwrapped between two commits.
const AT_ONCE: usize = 64;
