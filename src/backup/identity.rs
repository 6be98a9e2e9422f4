//! Whose archive it is, and how an empty instance takes another's place.

use super::{BackupError, Backups, api::RestoreQuery, archive::Archive, db, restore::record_of, wrapped::OpenArchive};
use crate::audit::{ObjectRef, Verdict, Writer};
use crate::base::{custody::Purpose, ids::KeySelector, principal::Caller};
use crate::ceremony::share_file::ShareFile;
use crate::certificates::{add, authority};
use crate::db::{commit, instance};
use crate::keys::{list, restored};
use serde_json::json;

/// What an archive is to this instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Its own.
    Own,
    /// Another's, whose place it takes: it has no keys yet.
    TakesOver,
}

/// Whose archive it is; that it leads to the right root is checked here.
pub(super) async fn relation(
    backups: &Backups,
    archive: &Archive,
    query: &RestoreQuery,
    share: Option<&ShareFile>,
) -> Result<Relation, BackupError> {
    let found = archive.root.fingerprint();
    let (theirs, ours) = (archive.manifest.instance.id, *backups.instance.read().await);
    let own_root = authority::root(&backups.keys).await?.fingerprint();
    let shared_root = share.and_then(|share| share.provenance.root_sha256.clone());
    let expected = [query.root_fingerprint.as_deref(), shared_root.as_deref()];
    if let Some(expected) = expected.into_iter().flatten().find(|expected| !expected.eq_ignore_ascii_case(&found)) {
        return Err(BackupError::RootDiffers { found, expected: expected.to_owned() });
    }
    if theirs == ours {
        return if found == own_root {
            Ok(Relation::Own)
        } else {
            Err(BackupError::RootDiffers { found, expected: own_root })
        };
    }
    if list::all(&backups.keys).await?.iter().any(|key| !key.purpose.is_internal()) {
        return Err(BackupError::AnotherInstance { theirs, ours });
    }
    if expected.iter().all(Option::is_none) {
        return Err(BackupError::RootUnconfirmed { found });
    }
    Ok(Relation::TakesOver)
}

/// An archive that is older than one that is known needs a word of the caller.
pub(super) async fn check_age(backups: &Backups, archive: &Archive, query: &RestoreQuery) -> Result<(), BackupError> {
    let newest = db::newest(&backups.keys.db).await?.map_or(0, |backup| backup.sequence);
    let sequence = archive.manifest.sequence;
    if sequence < newest && !query.older_than_known {
        return Err(BackupError::OlderThanKnown { sequence, newest });
    }
    Ok(())
}

/// Takes the archive's instance over: its CA key takes the place of the new one, its id that of ours. The
/// audit key stays, is certified anew, and writes under a name of its own.
pub(super) async fn take_over(backups: &Backups, caller: &Caller, open: &OpenArchive) -> Result<(), BackupError> {
    let keys = &backups.keys;
    let theirs = open.archive.manifest.keys.iter().find(|key| key.purpose == Purpose::Ca);
    let theirs = theirs.ok_or_else(|| BackupError::KeyNotInArchive { selector: authority::CA.to_owned() })?;
    let ours = list::find(keys, &KeySelector::Label(authority::CA.to_owned())).await?;
    let (id, former) = (open.archive.manifest.instance.id, *backups.instance.read().await);
    // The last part of a UUIDv7 is random; the first would be the same for instances of one minute.
    let writer = former.to_string().rsplit('-').next().unwrap_or_default().to_owned();

    let object = ObjectRef::new("instance", id, "");
    let detail = json!({
        "former": former, "keys": [theirs.id], "checkpoints": open.archive.manifest.checkpoints,
    });
    let restoring = keys.audit.intent(caller, "key.restore", &object, detail).await?;
    let seen = keys.token.unwrap_key(open.wrapped(theirs)?).await?;
    let record = record_of(open, theirs, &seen, &keys.token).await?;

    let mut transaction = keys.db.begin().await?;
    restored::replace(&mut transaction, ours.id, &record).await?;
    add::take_in(keys, &mut transaction, &record, &open.inventory.key(theirs.id)?.certificates).await?;
    instance::rename(&mut transaction, id, &writer).await?;
    // In the same transaction: our CA key may go only once the other has taken its place.
    let destroying = keys.audit.intent_in(&mut transaction, caller, "key.destroy", &ours.object(), json!({})).await?;
    keys.audit.result(&mut transaction, &restoring, Verdict::ok(json!({}))).await?;
    commit(transaction).await?;

    let objects = keys.token.destroy(ours.id).await?;
    keys.audit.conclude(&destroying, Verdict::ok(json!({ "objects": objects }))).await?;
    *backups.instance.write().await = id;
    keys.audit.rename(Writer { instance: id, suffix: writer });
    authority::certify_audit_key(keys).await?;
    keys.audit.checkpoint(&authority::audit_signer(keys).await?).await?;
    authority::publish(keys, &backups.directory).await?;
    Ok(())
}
