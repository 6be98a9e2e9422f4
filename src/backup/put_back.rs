//! A restore at work: a batch of keys between one intent and one transaction.

use super::{
    BackupError, Backups,
    api::{Light, RestoreAnswer, RestoreFailure},
    manifest::ManifestKey,
    offline::reference,
    wrapped::OpenArchive,
};
use crate::audit::{ObjectRef, Verdict};
use crate::base::{
    custody::{Origin, Presence},
    fault::Fault,
    ids::{KeyId, KeySelector},
    principal::Caller,
};
use crate::certificates::add;
use crate::commands::Progress;
use crate::db::{Transaction, commit};
use crate::keys::{KeyError, KeyRecord, list, record::enforcement, restored};
use crate::pki::public_key::PublicKey;
use crate::token::{Token, TokenError, message::TokenKey};
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// What is done, and what came of it so far.
pub(super) struct Restoring<'a> {
    backups: &'a Backups,
    caller: &'a Caller,
    open: &'a OpenArchive<'a>,
    in_token: HashMap<KeyId, Vec<u8>>,
    destroyed: HashSet<String>,
    pub(super) answer: RestoreAnswer,
}

impl<'a> Restoring<'a> {
    pub(super) async fn new(
        backups: &'a Backups,
        caller: &'a Caller,
        open: &'a OpenArchive<'a>,
    ) -> Result<Self, BackupError> {
        let objects = backups.keys.home().keys().await?;
        let stones = restored::tombstones(&backups.keys).await?;
        let answer = RestoreAnswer {
            archive: reference(open.archive),
            state: Light::Green,
            restored: Vec::new(),
            already_there: Vec::new(),
            skipped_destroyed: Vec::new(),
            failed: Vec::new(),
            keks: "in-token".to_owned(),
        };
        Ok(Self {
            backups,
            caller,
            open,
            in_token: objects.into_iter().map(|object| (object.id, object.public_key_der)).collect(),
            destroyed: stones.into_iter().map(|stone| stone.key_id).collect(),
            answer,
        })
    }

    /// Puts some keys back, with one intent before and one transaction after.
    pub(super) async fn put_back(&mut self, some: &[ManifestKey], progress: &Progress) -> Result<(), BackupError> {
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
        let records = self.bring_into_token(&wanted, progress).await?;
        let _changes: Vec<_> = records.iter().map(|record| keys.index.change(record.id)).collect();
        let mut transaction = keys.db.begin().await?;
        for record in &records {
            self.take_in(&mut transaction, record).await?;
        }
        keys.audit.result(&mut transaction, &intent, Verdict::ok(json!({ "restored": records.len() }))).await?;
        commit(transaction).await?;
        self.answer.restored.extend(records.into_iter().map(|record| record.label));
        Ok(())
    }

    async fn is_wanted(&mut self, key: &ManifestKey) -> Result<bool, BackupError> {
        let known = self.open.inventory.key(key.id)?;
        if self.destroyed.contains(&key.id.to_string()) || self.open.inventory.is_destroyed(key.id) {
            let label = known.label.to_string();
            if !self.answer.skipped_destroyed.contains(&label) {
                self.answer.skipped_destroyed.push(label);
            }
            return Ok(false);
        }
        let row = restored::known(&self.backups.keys, key.id).await?;
        let expected = PublicKey::from_pem(&key.public_key_pem)?;
        let object = self.in_token.get(&key.id);
        let row_differs = row.as_ref().is_some_and(|row| row.public_key().ok().as_ref() != Some(&expected));
        let object_differs = object.is_some_and(|object| object != expected.der());
        if row_differs || object_differs {
            let place = if row_differs { "inventory" } else { "token" };
            let detail = format!("the {place} has another public key for this id");
            self.fail(key, "key-mismatch", detail)?;
            return Ok(false);
        }
        if row.is_some() && object.is_some() {
            self.answer.already_there.push(known.label.clone());
            return Ok(false);
        }
        let holder = list::find(&self.backups.keys, &KeySelector::Label(known.label.to_string())).await;
        if holder.is_ok_and(|holder| holder.id != key.id) {
            let error = KeyError::LabelTaken { label: known.label.clone() };
            self.fail(key, error.entry().code, error.to_string())?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Unwraps and proves keys, and stores their certificates beside them; answers the rows of those that are back.
    async fn bring_into_token(
        &mut self,
        wanted: &[&ManifestKey],
        progress: &Progress,
    ) -> Result<Vec<KeyRecord>, BackupError> {
        let mut records = Vec::with_capacity(wanted.len());
        for (key, result) in wanted.iter().zip(self.unwrap(wanted).await?) {
            match result {
                Ok(seen) => records.push(self.with_certificates(key, &seen).await?),
                Err(error) => self.fail(key, error.entry().code, error.to_string())?,
            }
            progress.advance();
        }
        Ok(records)
    }

    async fn unwrap(&self, wanted: &[&ManifestKey]) -> Result<Vec<Result<TokenKey, TokenError>>, BackupError> {
        let mut unwraps = tokio::task::JoinSet::new();
        for (place, key) in wanted.iter().enumerate() {
            let (token, wrapped) = (self.backups.keys.home().clone(), self.open.wrapped(key)?);
            unwraps.spawn(async move { (place, token.unwrap_key(wrapped).await) });
        }
        let mut results = unwraps.join_all().await;
        results.sort_by_key(|(place, _)| *place);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    /// The row of a key that is back. A certificate object that the token refuses is told, and costs no key.
    async fn with_certificates(&mut self, key: &ManifestKey, seen: &TokenKey) -> Result<KeyRecord, BackupError> {
        let keys = &self.backups.keys;
        let record = record_of(self.open, key, seen, keys.home()).await?;
        let certificates = &self.open.inventory.key(key.id)?.certificates;
        if let Err(error) = add::store_objects(keys, &record, certificates).await {
            self.fail(key, error.entry().code, format!("the key is back, a certificate object is not: {error}"))?;
        }
        Ok(record)
    }

    async fn take_in(&self, transaction: &mut Transaction, record: &KeyRecord) -> Result<(), BackupError> {
        let keys = &self.backups.keys;
        match restored::known(keys, record.id).await? {
            Some(_) => restored::refresh(transaction, record).await?,
            None => restored::take_in(transaction, record).await?,
        }
        let certificates = &self.open.inventory.key(record.id)?.certificates;
        Ok(add::take_in(keys, transaction, record, certificates).await?)
    }

    fn fail(&mut self, key: &ManifestKey, code: &str, detail: String) -> Result<(), BackupError> {
        let label = self.open.inventory.key(key.id)?.label.clone();
        self.answer.state = Light::Red;
        self.answer.failed.push(RestoreFailure { id: key.id, label, code: code.to_owned(), detail });
        Ok(())
    }
}

/// The row of a key that came back.
pub(super) async fn record_of(
    open: &OpenArchive<'_>,
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
