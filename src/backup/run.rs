//! `backup run`: every key is wrapped by the token, packed with its inventory, signed and stored.

use super::{
    BackupError, Backups,
    api::{BackupView, KekRef, Light, NotCovered, StoredAt},
    archive::{self, Archive, INVENTORY, Members, README, describe, key_member},
    db,
    inventory::Inventory,
    manifest::{Manifest, ManifestCheckpoints, ManifestGap, ManifestInstance, ManifestKey, SCHEMA},
};
use crate::access::require;
use crate::audit::{Intent, ObjectRef, Verdict};
use crate::base::{
    custody::KekPurpose,
    fault::Fault as _,
    ids::{BackupId, hex},
    principal::{Caller, Role},
    secret::Secret,
};
use crate::certificates::authority;
use crate::commands::Progress;
use crate::db::commit;
use crate::keys::{KeyError, KeyRecord, Keys, api::CopyView, copies, keks, list};
use crate::pki::cms;
use crate::token::TokenError;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// What was wrapped, and what was not.
#[derive(Default)]
struct Harvest {
    members: Members,
    keys: Vec<ManifestKey>,
    keks: Vec<KekRef>,
    not_covered: Vec<NotCovered>,
}

/// Makes a backup of every key and stores it.
///
/// # Errors
/// There is no KEK, the token is away, or the destination cannot be written: there is no archive then. If
/// the archive is stored and cannot be recorded, the next start takes it in.
/// A key that cannot be wrapped is no error: the backup is made, and red.
pub async fn run(backups: &Backups, caller: &Caller, progress: &Progress) -> Result<BackupView, BackupError> {
    require(caller, &[Role::Operator, Role::Admin])?;
    let _turn = backups.turn.lock().await;
    let id = BackupId::new();
    let object = ObjectRef::new("backup", id, "");
    let intent = backups.keys.audit.intent(caller, "backup.run", &object, json!({})).await?;
    match make(backups, id, &intent, progress).await {
        Ok(backup) => Ok(backup),
        Err(error) => {
            backups.keys.audit.conclude(&intent, Verdict::of_fault(&error, json!({}))).await?;
            Err(error)
        }
    }
}

async fn make(
    backups: &Backups,
    id: BackupId,
    intent: &Intent,
    progress: &Progress,
) -> Result<BackupView, BackupError> {
    let keys = &backups.keys;
    let records = list::all(keys).await?;
    let mut harvest = wrap_all(backups, &records, progress).await?;
    let inventory_kek = keks::current(keys, KekPurpose::Inventory).await?;
    harvest.keks.push(KekRef { id: inventory_kek.id, purpose: inventory_kek.purpose, kcv: inventory_kek.kcv });
    let sealed = seal_inventory(backups, &records, &harvest).await?;
    harvest.members.insert(INVENTORY.to_owned(), sealed);
    harvest.members.insert(README.to_owned(), README_TEXT.as_bytes().to_vec());

    let manifest = manifest(backups, &harvest).await?;
    let bytes = manifest.to_bytes()?;
    let signer = authority::audit_signer(keys).await?;
    let chain = authority::audit_chain(keys).await?;
    let signature = cms::sign_detached(&bytes, &chain, manifest.created_at, &signer).await?;
    let archive = archive::pack(&bytes, &signature, &harvest.members, manifest.created_at)?;
    let name = archive::name(manifest.instance.id, manifest.created_at, manifest.sequence);
    // An archive that we would refuse ourselves is never announced.
    Archive::open(&archive)?;
    let path = backups.destination.store(&name, &archive)?;

    let gap = harvest.not_covered.iter().any(|key| key.reason != TOKEN_ONLY);
    let backup = BackupView {
        id,
        sequence: manifest.sequence,
        state: if gap { Light::Red } else { Light::Green },
        created_at: manifest.created_at,
        name,
        sha256: hex(&Sha256::digest(&archive)),
        size_bytes: archive.len() as u64,
        keks: harvest.keks,
        keys_wrapped: manifest.keys.len(),
        not_covered: harvest.not_covered,
        destinations: vec![StoredAt {
            name: "local".to_owned(),
            path: path.display().to_string(),
            state: Light::Green,
            code: String::new(),
        }],
    };
    record(backups, intent, &backup, &manifest).await?;
    Ok(backup)
}

async fn wrap_all(backups: &Backups, records: &[KeyRecord], progress: &Progress) -> Result<Harvest, BackupError> {
    let mut harvest = Harvest::default();
    progress.expect(records.len());
    // A few wraps at a time keep every session busy without holding all copies of the queue.
    for some in records.chunks(AT_ONCE) {
        let mut wraps = tokio::task::JoinSet::new();
        for (place, key) in some.iter().enumerate() {
            match key.policy.kek() {
                Some(purpose) => {
                    let (keys, key) = (backups.keys.clone(), key.clone());
                    wraps.spawn(async move { (place, wrap(&keys, &key, purpose).await) });
                }
                None => harvest.leave_out(key, TOKEN_ONLY),
            }
        }
        let mut wrapped: Vec<_> = wraps.join_all().await;
        wrapped.sort_by_key(|(place, _)| *place);
        for (place, result) in wrapped {
            harvest.take(&some[place], result)?;
        }
        some.iter().for_each(|_| progress.advance());
    }
    Ok(harvest)
}

async fn wrap(keys: &Keys, key: &KeyRecord, purpose: KekPurpose) -> Result<(KekRef, Vec<u8>), KeyError> {
    let kek = keks::current(keys, purpose).await?;
    let bytes = keys.token(&key.token)?.wrap(key.id, key.public_key()?.sha256(), kek.id, purpose).await?;
    Ok((KekRef { id: kek.id, purpose, kcv: kek.kcv }, bytes))
}

impl Harvest {
    /// Takes a wrapped key in, or notes the gap; a fault of the whole token ends the backup.
    fn take(&mut self, key: &KeyRecord, result: Result<(KekRef, Vec<u8>), KeyError>) -> Result<(), BackupError> {
        match result {
            Ok((kek, bytes)) => {
                let name = key_member(key.id);
                let member = describe(&name, &bytes);
                self.keys.push(ManifestKey {
                    id: key.id,
                    algorithm: key.algorithm,
                    policy: key.policy,
                    purpose: key.purpose,
                    kek: kek.id,
                    format: "rfc5649".to_owned(),
                    size: member.size,
                    sha256: member.sha256,
                    public_key_pem: key.public_key_pem.clone(),
                });
                self.members.insert(name, bytes);
                if !self.keks.contains(&kek) {
                    self.keks.push(kek);
                }
            }
            Err(
                error @ KeyError::Token(
                    TokenError::AnotherKey { .. }
                    | TokenError::NotCapable { .. }
                    | TokenError::ObjectMissing { .. }
                    | TokenError::Refused { .. },
                ),
            ) => self.leave_out(key, error.entry().code),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn leave_out(&mut self, key: &KeyRecord, reason: &str) {
        self.not_covered.push(NotCovered { id: key.id, label: key.label.clone(), reason: reason.to_owned() });
    }
}

async fn seal_inventory(backups: &Backups, records: &[KeyRecord], harvest: &Harvest) -> Result<Vec<u8>, BackupError> {
    let inventory = Inventory::collect(&backups.keys, records).await?.to_bytes()?;
    let kek = harvest.keks.iter().find(|kek| kek.purpose == KekPurpose::Inventory);
    let kek = kek.ok_or(KeyError::KekMissing { purpose: KekPurpose::Inventory })?;
    let mut content_key = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *content_key)
        .map_err(|error| BackupError::ArchiveInvalid { cause: format!("no random content key: {error}") })?;
    let wrapped = backups.keys.home().seal_content_key(kek.id, Secret::new(content_key.to_vec())).await?;
    Ok(cms::seal(&inventory, kek.id.as_bytes(), &wrapped, &content_key)?)
}

async fn manifest(backups: &Backups, harvest: &Harvest) -> Result<Manifest, BackupError> {
    let keys = &backups.keys;
    let previous = db::newest(&keys.db).await?;
    let signer = authority::audit_signer(keys).await?;
    let checkpoints = keys.audit.checkpoint(&signer).await?;
    let gap = |key: &NotCovered| ManifestGap { id: key.id, reason: key.reason.clone() };
    Ok(Manifest {
        schema: SCHEMA,
        instance: ManifestInstance {
            id: *backups.instance.read().await,
            root_sha256: authority::root(keys).await?.fingerprint(),
        },
        sequence: previous.as_ref().map_or(0, |backup| backup.sequence) + 1,
        previous_sha256: previous.map(|backup| backup.sha256),
        created_at: keys.clock.now(),
        keks: harvest.keks.clone(),
        checkpoints: ManifestCheckpoints { management: checkpoints.management, signatures: checkpoints.signatures },
        keys: harvest.keys.clone(),
        not_covered: harvest.not_covered.iter().map(gap).collect(),
        members: harvest.members.iter().map(|(name, bytes)| describe(name, bytes)).collect(),
    })
}

async fn record(
    backups: &Backups,
    intent: &Intent,
    backup: &BackupView,
    manifest: &Manifest,
) -> Result<(), BackupError> {
    let keys = &backups.keys;
    let copy = CopyView { kind: "backup".to_owned(), holder: backup.name.clone(), made_at: backup.created_at };
    let detail = json!({
        "name": backup.name, "sequence": backup.sequence, "sha256": backup.sha256, "state": backup.state,
        "keys_wrapped": backup.keys_wrapped,
    });
    let mut transaction = keys.db.begin().await?;
    db::insert(&mut transaction, backup).await?;
    for key in &manifest.keys {
        copies::note(&mut transaction, key.id, &copy).await?;
    }
    keys.audit.result(&mut transaction, intent, Verdict::ok(detail)).await?;
    Ok(commit(transaction).await?)
}

/// Why a key that never leaves is not in an archive: this is no gap.
pub const TOKEN_ONLY: &str = "token-only";
/// Wraps under way at a time.
const AT_ONCE: usize = 64;
const README_TEXT: &str = "\
This is a backup of keyward, a key store (format version 1).

manifest.json   what is in here, in clear
manifest.p7s    its signature (detached CMS), with the certificates of the instance
keys/ID.kwp     one private key each: PKCS#8, wrapped by AES-256 key wrap with padding (RFC 5649)
inventory.cms   labels, certificates and states, sealed (CMS AuthEnvelopedData, AES-256-GCM)

The wrapping keys come from a ceremony secret that custodians hold in shares (SLIP-39). With the secret,
OpenSSL alone opens everything; docs/backup-format.md of keyward has the commands. In short:

  KEK=$(openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:SECRET \\
        -kdfopt info:keyward/kek/v1/backup-only HKDF | tr -d ':\\n')
  openssl enc -d -id-aes256-wrap-pad -K $KEK -iv A65959A6 -in keys/ID.kwp | openssl pkey -inform DER

Instead of backup-only take the policy that manifest.json names for the key.

With keyward: `keyward init` in a new directory, then `keyward backup restore FILE --share-file F`.
";
