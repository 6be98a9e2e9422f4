//! `backup coverage`: for each key, whether it could be lost today.

use super::{
    BackupError, Backups,
    api::{BackupView, CoverageAnswer, CoverageSummary, CoverageView, LastBackup, LastProof, Light},
    db,
};
use crate::base::{custody::KeyPolicy, time::Timestamp};
use crate::keys::{KeyRecord, api::CopyView, list};
use std::collections::HashMap;

/// Every key with its newest backup and proof.
///
/// # Errors
/// The database cannot be read.
pub async fn coverage(backups: &Backups) -> Result<CoverageAnswer, BackupError> {
    let keys = &backups.keys;
    // A backup whose archive is gone from where it was stored covers nothing any more.
    let is_there = |backup: &BackupView| backup.destinations.is_empty() || backups.destination.holds(&backup.name);
    let known = db::list(&keys.db).await?.into_iter().filter(is_there);
    let sequences: HashMap<String, u64> = known.map(|backup| (backup.name, backup.sequence)).collect();
    let mut proofs = db::proofs(&keys.db).await?;
    let (now, mut items) = (keys.clock.now(), Vec::new());
    for key in list::all(keys).await? {
        let last_backup = newest(&list::copies(keys, key.id).await?, &sequences);
        let last_proof = proofs.remove(&key.id.to_string());
        items.push(judge(key, last_backup, last_proof, now));
    }
    Ok(CoverageAnswer { summary: sum(&items), items, next: None })
}

fn newest(copies: &[CopyView], sequences: &HashMap<String, u64>) -> Option<LastBackup> {
    let backups = copies.iter().filter(|copy| copy.kind == "backup");
    backups
        .filter_map(|copy| Some(LastBackup { sequence: *sequences.get(&copy.holder)?, at: copy.made_at }))
        .max_by_key(|backup| backup.sequence)
}

fn judge(
    key: KeyRecord,
    last_backup: Option<LastBackup>,
    last_proof: Option<LastProof>,
    now: Timestamp,
) -> CoverageView {
    let (state, reason) = match (key.policy, &last_backup, &last_proof) {
        (KeyPolicy::TokenOnly, _, _) => (Light::TokenOnly, "never leaves its token"),
        (_, None, _) => (Light::Red, "in no backup"),
        (_, Some(backup), _) if backup.at.plus_days(BACKUP_DAYS) < now => (Light::Amber, "backup older than 7 days"),
        (_, Some(_), None) => (Light::Amber, "never proved by a drill"),
        (_, Some(_), Some(proof)) if proof.at.plus_days(PROOF_DAYS) < now => (Light::Amber, "proof older than 30 days"),
        (_, Some(_), Some(_)) => (Light::Green, "backed up and proved"),
    };
    CoverageView {
        id: key.id,
        label: key.label,
        policy: key.policy,
        state,
        reason: reason.to_owned(),
        last_backup,
        last_proof,
    }
}

fn sum(items: &[CoverageView]) -> CoverageSummary {
    let mut summary = CoverageSummary::default();
    for item in items {
        *match item.state {
            Light::Green => &mut summary.green,
            Light::Amber => &mut summary.amber,
            Light::Red => &mut summary.red,
            Light::TokenOnly => &mut summary.token_only,
        } += 1;
    }
    summary
}

const BACKUP_DAYS: i64 = 7;
const PROOF_DAYS: i64 = 30;
