//! The secret is put together from shares, for one use: its KEKs go into a token, or serve one restore.

use super::{
    CeremonyError,
    api::{RecoverRequest, RecoveredKek, RecoveryView},
    kek, share_file,
    share_file::ShareFile,
};
use crate::access::require;
use crate::audit::{ObjectRef, Verdict};
use crate::base::{
    custody::{KekPurpose, Posture},
    ids::RequestId,
    principal::{Caller, Role},
    secret::Secret,
};
use crate::db::commit;
use crate::keys::{
    Keys,
    keks::{self, KekRecord},
};
use crate::token::message::{KekValue, PlainSecret};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Secrets that were put together and wait for their one use; the oldest go when there are too many.
#[derive(Clone, Debug, Default)]
pub struct Recoveries(Arc<Mutex<BTreeMap<String, ShareFile>>>);

impl Recoveries {
    /// Puts the secret together and keeps it for one use.
    ///
    /// # Errors
    /// A share is wrong, of another set, or too few were given.
    pub fn put_together(&self, caller: &Caller, request: &RecoverRequest) -> Result<RecoveryView, CeremonyError> {
        require(caller, &[Role::Operator, Role::Admin])?;
        let texts: Vec<&str> = request.shares.iter().map(|text| text.as_str()).collect();
        let file = share_file::combine_files(&texts)?;
        let keks =
            kek::check_values(&file.secret)?.into_iter().map(|(purpose, kcv)| RecoveredKek { purpose, kcv }).collect();
        // Ids sort by time, so the first is the oldest.
        let recovery = RequestId::new().to_string();
        let view = RecoveryView {
            recovery: recovery.clone(),
            instance: file.provenance.instance,
            root_sha256: file.provenance.root_sha256.clone(),
            keks,
        };
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(recovery, file);
        while waiting.len() > MOST_WAITING {
            waiting.pop_first();
        }
        Ok(view)
    }

    /// Gives the secret out, once.
    ///
    /// # Errors
    /// It was used already, or never put together here.
    pub fn take(&self, recovery: &str) -> Result<ShareFile, CeremonyError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(recovery).ok_or_else(|| CeremonyError::RecoveryUnknown { recovery: recovery.to_owned() })
    }
}

/// The three KEKs of a secret, ready for a token.
///
/// # Errors
/// The secret has not 32 bytes.
pub fn kek_values(secret: &Secret) -> Result<Vec<KekValue>, CeremonyError> {
    KekPurpose::ALL
        .iter()
        .map(|&purpose| {
            let value = kek::derive(secret, purpose)?;
            let kcv = kek::kcv(value.expose())?;
            Ok(KekValue { id: kek::id(secret, purpose)?, purpose, kcv, value: PlainSecret(value) })
        })
        .collect()
}

/// Brings the KEKs of a secret into the token; new copies are wrapped under them from now on.
///
/// # Errors
/// The SO PIN is not at hand or refused, or the token takes no KEK.
pub async fn import(keys: &Keys, caller: &Caller, secret: &Secret) -> Result<Vec<KekRecord>, CeremonyError> {
    require(caller, &[Role::Operator, Role::Admin])?;
    let values = kek_values(secret)?;
    let named: Vec<_> = values.iter().map(|kek| (kek.id, kek.purpose, kek.kcv.clone())).collect();
    let detail = json!({ "kcvs": named.iter().map(|(_, _, kcv)| kcv).collect::<Vec<_>>() });
    let object = ObjectRef::new("token", keys.token.label(), keys.token.label());
    let intent = keys.audit.intent(caller, "kek.import", &object, detail).await?;
    let imported = match keys.token.import_keks(values).await {
        Ok(imported) => imported,
        Err(error) => {
            keys.audit.conclude(&intent, Verdict::of_fault(&error, json!({}))).await?;
            return Err(error.into());
        }
    };
    let created_at = keys.clock.now();
    let record = |(id, purpose, kcv): (_, _, String)| KekRecord {
        id,
        purpose,
        kcv,
        trusted: imported.iter().any(|kek| kek.id == id && kek.trusted),
        // A rig knows no ceremony: its secret is one share in a file, whichever file that is.
        provisional: keys.posture == Posture::Rig,
        current: true,
        created_at,
    };
    let records: Vec<KekRecord> = named.into_iter().map(record).collect();
    let mut transaction = keys.db.begin().await?;
    for kek in &records {
        keks::add(&mut transaction, kek).await?;
    }
    keys.audit.result(&mut transaction, &intent, Verdict::ok(json!({}))).await?;
    commit(transaction).await?;
    Ok(records)
}

/// Secrets that may wait at a time.
const MOST_WAITING: usize = 4;
