//! Archives that the instance did not record itself: restored ones, and ones that a crash left unrecorded.

use super::{
    BackupError, Backups,
    api::{BackupView, Light, NotCovered, StoredAt},
    archive::Archive,
    db,
    inventory::Inventory,
    manifest::ManifestGap,
    offline::reference,
    run::TOKEN_ONLY,
};
use crate::audit::{ObjectRef, Verdict};
use crate::base::{
    ids::{BackupId, KeyId, KeyLabel},
    principal::Caller,
};
use crate::certificates::authority;
use crate::db::commit;
use crate::keys::{api::CopyView, copies, list};
use serde_json::json;
use std::collections::HashMap;

/// Makes an archive a known backup: numbers go on after it, coverage and `key destroy` know its copies.
pub(super) async fn note_archive(
    backups: &Backups,
    archive: &Archive,
    inventory: Option<&Inventory>,
) -> Result<(), BackupError> {
    let (manifest, named) = (&archive.manifest, reference(archive));
    let labels: HashMap<KeyId, KeyLabel> =
        list::all(&backups.keys).await?.into_iter().map(|key| (key.id, key.label)).collect();
    let in_archive = |id| inventory.and_then(|inventory| inventory.key(id).ok()).map(|key| key.label.clone());
    // A gap whose key is known nowhere any more is nobody's concern.
    let gap = |gap: &ManifestGap| {
        let label = in_archive(gap.id).or_else(|| labels.get(&gap.id).cloned())?;
        Some(NotCovered { id: gap.id, label, reason: gap.reason.clone() })
    };
    let not_covered: Vec<_> = manifest.not_covered.iter().filter_map(gap).collect();
    let is_whole = not_covered.iter().all(|key| key.reason == TOKEN_ONLY);
    let stored_here = backups.destination.holds(&named.name);
    let stored = StoredAt {
        name: "local".to_owned(),
        path: backups.destination.path().join(&named.name).display().to_string(),
        state: Light::Green,
        code: String::new(),
    };
    let backup = BackupView {
        id: BackupId::new(),
        sequence: manifest.sequence,
        state: if is_whole { Light::Green } else { Light::Red },
        created_at: manifest.created_at,
        name: named.name.clone(),
        sha256: named.sha256,
        size_bytes: archive.size_bytes,
        keks: manifest.keks.clone(),
        keys_wrapped: manifest.keys.len(),
        not_covered,
        destinations: if stored_here { vec![stored] } else { Vec::new() },
    };
    let copy = CopyView { kind: "backup".to_owned(), holder: named.name, made_at: manifest.created_at };
    let mut transaction = backups.keys.db.begin().await?;
    db::insert(&mut transaction, &backup).await?;
    for key in &manifest.keys {
        copies::note(&mut transaction, key.id, &copy).await?;
    }
    Ok(commit(transaction).await?)
}

/// Takes in archives of this instance that were stored whole and not recorded, because keyward ended between
/// the two. What is not an archive of ours is left alone.
///
/// # Errors
/// The destination or the database cannot be read.
pub async fn adopt_unrecorded(backups: &Backups) -> Result<(), BackupError> {
    let newest = db::newest(&backups.keys.db).await?.map_or(0, |backup| backup.sequence);
    let instance = *backups.instance.read().await;
    let unrecorded = backups.destination.newer_than(instance, newest)?;
    if unrecorded.is_empty() {
        return Ok(());
    }
    let root = authority::root(&backups.keys).await?;
    for name in unrecorded {
        match Archive::open(&backups.destination.read(&name)?) {
            Ok(archive) if archive.root == root && archive.name() == name => {
                tracing::warn!(archive.name = name, "an archive that was stored and not recorded is taken in");
                note_archive(backups, &archive, None).await?;
                let object = ObjectRef::new("archive", &archive.sha256, &name);
                let detail = json!({ "sequence": archive.manifest.sequence });
                backups.keys.audit.event(&Caller::system(), "backup.adopt", &object, Verdict::ok(detail)).await?;
            }
            Ok(_) | Err(_) => tracing::warn!(archive.name = name, "a file that is no archive of this instance"),
        }
    }
    Ok(())
}
