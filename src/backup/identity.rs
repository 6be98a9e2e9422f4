//! Whose archive it is, and how an empty instance takes another's place.

use super::{
    BackupError, Backups, api::RestoreQuery, archive::Archive, db, manifest::ManifestKey, put_back::record_of,
    wrapped::OpenArchive,
};
use crate::audit::{Intent, ObjectRef, Verdict, Writer};
use crate::base::{
    custody::Purpose,
    ids::{InstanceId, KeySelector},
    principal::Caller,
};
use crate::ceremony::share_file::ShareFile;
use crate::certificates::{add, authority};
use crate::db::{commit, instance};
use crate::keys::{KeyRecord, list, restored};
use crate::token::TokenError;
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

/// An archive of this instance, that leads to its root; what is proved of another's says nothing of ours.
pub(super) async fn check_own(backups: &Backups, archive: &Archive) -> Result<(), BackupError> {
    let (theirs, ours) = (archive.manifest.instance.id, *backups.instance.read().await);
    if theirs != ours {
        return Err(BackupError::AnotherInstance { theirs, ours });
    }
    let (found, expected) = (archive.root.fingerprint(), authority::root(&backups.keys).await?.fingerprint());
    if found == expected { Ok(()) } else { Err(BackupError::RootDiffers { found, expected }) }
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
pub(super) async fn take_over(backups: &Backups, caller: &Caller, open: &OpenArchive<'_>) -> Result<(), BackupError> {
    let keys = &backups.keys;
    let theirs = open.archive.manifest.keys.iter().find(|key| key.purpose == Purpose::Ca);
    let theirs = theirs.ok_or_else(|| BackupError::KeyNotInArchive { selector: authority::CA.to_owned() })?;
    let ours = list::find(keys, &KeySelector::Label(authority::CA.to_owned())).await?;
    let (id, former) = (open.archive.manifest.instance.id, *backups.instance.read().await);
    let object = ObjectRef::new("instance", id, "");
    let detail = json!({
        "former": former, "keys": [theirs.id], "checkpoints": open.archive.manifest.checkpoints,
    });
    let restoring = keys.audit.intent(caller, "key.restore", &object, detail).await?;
    let place = Place { theirs, ours: &ours, id, suffix: random_part(&former.to_string()) };
    let destroying = match change_places(backups, caller, open, (&restoring, &place)).await {
        Ok(destroying) => destroying,
        Err(error) => {
            // Nothing was committed, so their CA key is in nobody's inventory; an object that was there before stays.
            let was_there =
                matches!(error, BackupError::Token(TokenError::AnotherKey { .. } | TokenError::WeakerInToken { .. }));
            if !was_there {
                keys.home().destroy(theirs.id).await?;
            }
            keys.audit.conclude(&restoring, Verdict::of_fault(&error, json!({}))).await?;
            return Err(error);
        }
    };
    let objects = keys.home().destroy(ours.id).await?;
    keys.audit.conclude(&destroying, Verdict::ok(json!({ "objects": objects }))).await?;
    *backups.instance.write().await = id;
    keys.audit.rename(Writer { instance: id, suffix: place.suffix });
    sign_in(backups).await
}

/// Who takes whose place.
struct Place<'a> {
    theirs: &'a ManifestKey,
    ours: &'a KeyRecord,
    id: InstanceId,
    suffix: String,
}

/// Their CA key comes in and ours goes out of the inventory, in one transaction with the new id and the intent
/// to destroy ours: before the commit nothing has happened, after it recovery finishes.
async fn change_places(
    backups: &Backups,
    caller: &Caller,
    open: &OpenArchive<'_>,
    (restoring, place): (&Intent, &Place<'_>),
) -> Result<Intent, BackupError> {
    let keys = &backups.keys;
    let seen = keys.home().unwrap_key(open.wrapped(place.theirs)?).await?;
    let record = record_of(open, place.theirs, &seen, keys.home()).await?;
    let certificates = &open.inventory.key(place.theirs.id)?.certificates;
    add::store_objects(keys, &record, certificates).await?;
    let _change = keys.index.change(place.ours.id);
    let mut transaction = keys.db.begin().await?;
    restored::forget(&mut transaction, place.ours.id).await?;
    restored::take_in(&mut transaction, &record).await?;
    add::take_in(keys, &mut transaction, &record, certificates).await?;
    // Backups of the empty instance have nothing to do with the numbers of the one that it becomes.
    db::forget_all(&mut transaction).await?;
    instance::rename(&mut transaction, place.id, &place.suffix).await?;
    let (object, detail) = (place.ours.object(), json!({}));
    let destroying = keys.audit.intent_in(&mut transaction, caller, "key.destroy", &object, detail).await?;
    keys.audit.result(&mut transaction, restoring, Verdict::ok(json!({}))).await?;
    commit(transaction).await?;
    Ok(destroying)
}

/// In a token that does not hold the recorded audit key a new one is made: it is `token-only`, so every token
/// has its own, and its logs go on under a name of their own. Waits for the CA key, which certifies it.
///
/// # Errors
/// The token is away, or an audit log does not hold together and is not signed.
pub async fn settle_audit_key(backups: &Backups) -> Result<(), BackupError> {
    let keys = &backups.keys;
    if !authority::is_in_token(keys, authority::CA).await? {
        return Ok(());
    }
    if !authority::is_in_token(keys, authority::AUDIT).await? {
        authority::renew_audit_key(keys).await?;
    }
    // A key without certificate is new, also if a crash came between its making and this.
    if authority::audit_chain(keys).await?.is_empty() {
        let audit = list::find(keys, &KeySelector::Label(authority::AUDIT.to_owned())).await?;
        let (id, suffix) = (*backups.instance.read().await, random_part(&audit.id.to_string()));
        let mut transaction = keys.db.begin().await?;
        instance::rename(&mut transaction, id, &suffix).await?;
        commit(transaction).await?;
        keys.audit.hand_over(Writer { instance: id, suffix })?;
    }
    sign_in(backups).await
}

/// The audit key gets the CA's certificate, and signs where both logs stand.
async fn sign_in(backups: &Backups) -> Result<(), BackupError> {
    let keys = &backups.keys;
    authority::certify_audit_key(keys).await?;
    authority::publish(keys, &backups.directory).await?;
    keys.audit.checkpoint(&authority::audit_signer(keys).await?).await?;
    Ok(())
}

/// The last part of a UUIDv7 is random; the first would be the same for ids of one minute.
fn random_part(id: &str) -> String {
    id.rsplit('-').next().unwrap_or_default().to_owned()
}
