//! `backup restore`: keys come back into a token, each proved by a signature; resumable, nothing overwritten.

use super::{
    BackupError, Backups,
    api::{BackupView, Light, RestoreAnswer, RestoreFailure, RestoreQuery},
    archive::Archive,
    db,
    identity::{Relation, check_age, relation, take_over},
    manifest::ManifestKey,
    offline::reference,
    wrapped::OpenArchive,
};
use crate::access::require;
use crate::audit::{ObjectRef, Verdict};
use crate::base::{
    custody::{Origin, Presence},
    ids::{BackupId, KeyId, KeySelector},
    principal::{Caller, Role},
};
use crate::ceremony::{
    recover::{Provisional, import, kek_values},
    share_file::ShareFile,
};
use crate::certificates::add;
use crate::commands::Progress;
use crate::db::commit;
use crate::keys::{KeyError, KeyRecord, api::CopyView, copies, keks, list, record::enforcement, restored};
use crate::token::{Token, message::TokenKey};
use serde_json::json;
use std::collections::HashSet;

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
    let bytes = if query.latest { backups.destination.read(&backups.destination.latest()?)? } else { given };
    let archive = Archive::open(&bytes)?;
    let share = query.recovery.as_deref().map(|recovery| backups.recoveries.take(recovery)).transpose()?;
    let object = ObjectRef::new("archive", &archive.sha256, archive.name());
    let detail = json!({ "sequence": archive.manifest.sequence, "checkpoints": archive.manifest.checkpoints });
    let intent = backups.keys.audit.intent(caller, "backup.restore", &object, detail).await?;
    match checked_restore(backups, caller, Task { query, archive, share }, progress).await {
        Ok(answer) => {
            let detail = json!({
                "state": answer.state, "restored": answer.restored.len(), "failed": answer.failed.len(),
            });
            backups.keys.audit.conclude(&intent, Verdict::ok(detail)).await?;
            Ok(answer)
        }
        Err(error) => {
            backups.keys.audit.conclude(&intent, Verdict::of_fault(&error, json!({}))).await?;
            Err(error)
        }
    }
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
    let keys = &backups.keys;
    let relation = relation(backups, &task.archive, task.query, task.share.as_ref()).await?;
    check_age(backups, &task.archive, task.query).await?;
    let session = needs_session_keks(backups, &task).await?;
    if let (true, Some(share)) = (session, &task.share) {
        keys.token.open_session_keks(kek_values(&share.secret)?).await?;
    }
    let restored = put_all_back(backups, caller, task.archive, (relation, session, task.query), progress).await;
    if session {
        keys.token.close_session_keks().await?;
    }
    let mut answer = restored?;
    if let (true, Some(share)) = (session, &task.share) {
        answer.keks = bring_keks(backups, caller, share).await?;
    }
    Ok(answer)
}

/// Whether the archive's KEKs must come from the shares, because the token has them not.
async fn needs_session_keks(backups: &Backups, task: &Task<'_>) -> Result<bool, BackupError> {
    let here = keks::all(&backups.keys).await?;
    let missing = task.archive.manifest.keks.iter().find(|kek| !here.iter().any(|there| there.id == kek.id));
    let Some(missing) = missing else { return Ok(false) };
    let differs =
        |kek: &super::api::KekRef| BackupError::KekDiffers { purpose: kek.purpose.to_string(), kcv: kek.kcv.clone() };
    let Some(share) = &task.share else { return Err(differs(missing)) };
    let given = kek_values(&share.secret)?;
    let wrong = task.archive.manifest.keks.iter().find(|kek| {
        !given.iter().any(|value| (value.id, value.purpose, &value.kcv) == (kek.id, kek.purpose, &kek.kcv))
    });
    wrong.map_or(Ok(true), |kek| Err(differs(kek)))
}

/// After a restore by shares the KEKs go into the token, if the SO PIN is at hand.
async fn bring_keks(backups: &Backups, caller: &Caller, share: &ShareFile) -> Result<String, BackupError> {
    if !backups.keys.token.has_so_pin() {
        return Ok("kek-pending".to_owned());
    }
    import(&backups.keys, caller, &share.secret, Provisional::No).await?;
    Ok("imported".to_owned())
}

async fn put_all_back(
    backups: &Backups,
    caller: &Caller,
    archive: Archive,
    (relation, session, query): (Relation, bool, &RestoreQuery),
    progress: &Progress,
) -> Result<RestoreAnswer, BackupError> {
    let keys = &backups.keys;
    let open = OpenArchive::open(keys, archive, session).await?;
    if relation == Relation::TakesOver {
        take_over(backups, caller, &open).await?;
    }
    take_tombstones_in(backups, &open).await?;
    let wanted = select(&open, query)?;
    let mut work = Restoring::new(backups, caller, &open).await?;
    progress.expect(wanted.len());
    for some in wanted.chunks(AT_ONCE) {
        work.put_back(some, progress).await?;
    }
    note_archive(backups, &open).await?;
    Ok(work.answer)
}

/// The archive's keys, or those that were asked for.
fn select(open: &OpenArchive, query: &RestoreQuery) -> Result<Vec<ManifestKey>, BackupError> {
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

async fn take_tombstones_in(backups: &Backups, open: &OpenArchive) -> Result<(), BackupError> {
    let mut transaction = backups.keys.db.begin().await?;
    for stone in &open.inventory.tombstones {
        restored::take_in_tombstone(&mut transaction, stone).await?;
    }
    Ok(commit(transaction).await?)
}

/// The archive becomes a known backup, so that numbers go on after it and coverage knows it.
async fn note_archive(backups: &Backups, open: &OpenArchive) -> Result<(), BackupError> {
    let (manifest, named) = (&open.archive.manifest, reference(&open.archive));
    let backup = BackupView {
        id: BackupId::new(),
        sequence: manifest.sequence,
        state: Light::Green,
        created_at: manifest.created_at,
        name: named.name.clone(),
        sha256: named.sha256,
        size_bytes: 0,
        keks: manifest.keks.clone(),
        keys_wrapped: manifest.keys.len(),
        not_covered: Vec::new(),
        destinations: Vec::new(),
    };
    let copy = CopyView { kind: "backup".to_owned(), holder: named.name, made_at: manifest.created_at };
    let mut transaction = backups.keys.db.begin().await?;
    db::insert(&mut transaction, &backup).await?;
    for key in &manifest.keys {
        copies::note(&mut transaction, key.id, &copy).await?;
    }
    Ok(commit(transaction).await?)
}

/// A restore at work.
struct Restoring<'a> {
    backups: &'a Backups,
    caller: &'a Caller,
    open: &'a OpenArchive,
    in_token: HashSet<KeyId>,
    destroyed: HashSet<String>,
    answer: RestoreAnswer,
}

impl<'a> Restoring<'a> {
    async fn new(backups: &'a Backups, caller: &'a Caller, open: &'a OpenArchive) -> Result<Self, BackupError> {
        let in_token = backups.keys.token.keys().await?.into_iter().map(|key| key.id).collect();
        let stones = restored::tombstones(&backups.keys).await?;
        let answer = RestoreAnswer {
            archive: reference(&open.archive),
            state: Light::Green,
            restored: Vec::new(),
            already_there: Vec::new(),
            skipped_destroyed: Vec::new(),
            failed: Vec::new(),
            keks: "in-token".to_owned(),
        };
        let destroyed = stones.into_iter().map(|stone| stone.key_id).collect();
        Ok(Self { backups, caller, open, in_token, destroyed, answer })
    }

    /// Puts some keys back, with one intent before and one transaction after.
    async fn put_back(&mut self, some: &[ManifestKey], progress: &Progress) -> Result<(), BackupError> {
        let mut wanted = Vec::new();
        for key in some {
            if self.is_wanted(key).await? {
                wanted.push(key);
            } else {
                progress.advance();
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let keys = &self.backups.keys;
        let object = ObjectRef::new("archive", &self.open.archive.sha256, self.open.archive.name());
        let detail = json!({ "keys": wanted.iter().map(|key| key.id.to_string()).collect::<Vec<_>>() });
        let intent = keys.audit.intent(self.caller, "key.restore", &object, detail).await?;
        let unwrapped = self.unwrap(&wanted).await?;
        let mut transaction = keys.db.begin().await?;
        let before = self.answer.restored.len();
        for (key, result) in wanted.iter().zip(unwrapped) {
            match result {
                Ok(seen) => self.take_in(&mut transaction, key, &seen).await?,
                Err(error) => self.fail(key, &error)?,
            }
            progress.advance();
        }
        let detail = json!({ "restored": self.answer.restored.len() - before });
        keys.audit.result(&mut transaction, &intent, Verdict::ok(detail)).await?;
        Ok(commit(transaction).await?)
    }

    async fn is_wanted(&mut self, key: &ManifestKey) -> Result<bool, BackupError> {
        let known = self.open.inventory.key(key.id)?;
        if self.destroyed.contains(&key.id.to_string()) || self.open.inventory.is_destroyed(key.id) {
            self.answer.skipped_destroyed.push(known.label.clone());
            return Ok(false);
        }
        let row = restored::known(&self.backups.keys, key.id).await?;
        if let (Some(row), true) = (&row, self.in_token.contains(&key.id)) {
            if row.public_key_pem == key.public_key_pem {
                self.answer.already_there.push(known.label.clone());
            } else {
                let detail = "the inventory has another public key for this id".to_owned();
                self.push_failure(key, "key-mismatch", detail)?;
            }
            return Ok(false);
        }
        let holder = list::find(&self.backups.keys, &KeySelector::Label(known.label.to_string())).await;
        if holder.is_ok_and(|holder| holder.id != key.id) {
            let error = KeyError::LabelTaken { label: known.label.clone() };
            self.fail(key, &error)?;
            return Ok(false);
        }
        Ok(true)
    }

    async fn unwrap(
        &self,
        wanted: &[&ManifestKey],
    ) -> Result<Vec<Result<TokenKey, crate::token::TokenError>>, BackupError> {
        let mut unwraps = tokio::task::JoinSet::new();
        for (place, key) in wanted.iter().enumerate() {
            let (token, wrapped) = (self.backups.keys.token.clone(), self.open.wrapped(key)?);
            unwraps.spawn(async move { (place, token.unwrap_key(wrapped).await) });
        }
        let mut results = unwraps.join_all().await;
        results.sort_by_key(|(place, _)| *place);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    async fn take_in(
        &mut self,
        transaction: &mut crate::db::Transaction,
        key: &ManifestKey,
        seen: &TokenKey,
    ) -> Result<(), BackupError> {
        let keys = &self.backups.keys;
        let record = record_of(self.open, key, seen, &keys.token).await?;
        if restored::known(keys, key.id).await?.is_none() {
            restored::take_in(transaction, &record).await?;
        }
        add::take_in(keys, transaction, &record, &self.open.inventory.key(key.id)?.certificates).await?;
        self.answer.restored.push(record.label);
        Ok(())
    }

    fn fail(&mut self, key: &ManifestKey, error: &dyn crate::base::fault::Fault) -> Result<(), BackupError> {
        self.push_failure(key, error.entry().code, error.to_string())
    }

    fn push_failure(&mut self, key: &ManifestKey, code: &str, detail: String) -> Result<(), BackupError> {
        let label = self.open.inventory.key(key.id)?.label.clone();
        self.answer.state = Light::Red;
        self.answer.failed.push(RestoreFailure { id: key.id, label, code: code.to_owned(), detail });
        Ok(())
    }
}

/// The row of a key that came back.
pub(super) async fn record_of(
    open: &OpenArchive,
    key: &ManifestKey,
    seen: &TokenKey,
    token: &Token,
) -> Result<KeyRecord, BackupError> {
    let known = open.inventory.key(key.id)?;
    Ok(KeyRecord {
        id: key.id,
        label: known.label.clone(),
        algorithm: known.algorithm,
        policy: known.policy,
        enforcement: enforcement(known.policy, seen, &token.capabilities().await?),
        purpose: known.purpose,
        approvals: known.approvals,
        origin: Origin::Unwrapped,
        state: known.state,
        presence: Presence::Present,
        token: token.label().to_owned(),
        public_key_pem: key.public_key_pem.clone(),
        comment: known.comment.clone(),
        created_at: known.created_at,
    })
}

/// Keys that are unwrapped between two commits.
const AT_ONCE: usize = 64;
