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
    time::{Clock, Timestamp},
};
use crate::commands::aside;
use crate::db::commit;
use crate::keys::{
    Keys,
    keks::{self, KekRecord},
};
use crate::token::message::{KekValue, PlainSecret};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Secrets that were put together and wait for their one use by whom they were put together.
///
/// They are dropped, and zeroed with that, after five minutes; the oldest go when there are too many.
#[derive(Clone, Debug, Default)]
pub struct Recoveries(Arc<Mutex<BTreeMap<String, Waiting>>>);

#[derive(Debug)]
struct Waiting {
    file: ShareFile,
    principal: String,
    since: Timestamp,
}

impl Recoveries {
    /// Puts the secret together, records that, and keeps it for one use.
    ///
    /// # Errors
    /// A share is wrong, of another set, or too few were given; or the record cannot be made.
    pub async fn put_together(
        &self,
        keys: &Keys,
        caller: &Caller,
        request: &RecoverRequest,
    ) -> Result<RecoveryView, CeremonyError> {
        require(caller, KEEPERS)?;
        let texts = request.shares.clone();
        // By its iteration exponent a share may ask for seconds of a core.
        let combined = aside(async move {
            let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
            share_file::combine_files(&texts)
        });
        let file = combined.await?;
        let keks: Vec<_> =
            kek::check_values(&file.secret)?.into_iter().map(|(purpose, kcv)| RecoveredKek { purpose, kcv }).collect();
        let whose = file.provenance.instance.map_or_else(String::new, |instance| instance.to_string());
        let detail = json!({ "kcvs": keks.iter().map(|kek| &kek.kcv).collect::<Vec<_>>() });
        let object = ObjectRef::new("ceremony-secret", whose, "");
        keys.audit.event(caller, "ceremony.recover", &object, Verdict::ok(detail)).await?;
        // Ids sort by time, so the first is the oldest.
        let recovery = RequestId::new().to_string();
        let view = RecoveryView {
            recovery: recovery.clone(),
            instance: file.provenance.instance,
            root_sha256: file.provenance.root_sha256.clone(),
            keks,
        };
        self.keep(recovery, Waiting { file, principal: caller.principal().id.clone(), since: keys.clock.now() });
        Ok(view)
    }

    /// Gives the secret out, once, to whoever had it put together.
    ///
    /// # Errors
    /// It was used already, put together by somebody else or more than five minutes ago, or never here.
    pub fn take(&self, clock: &dyn Clock, caller: &Caller, recovery: &str) -> Result<ShareFile, CeremonyError> {
        require(caller, KEEPERS)?;
        let mut waiting = self.waiting();
        waiting.retain(|_, entry| clock.now().as_millis() - entry.since.as_millis() < lifetime_ms());
        let is_theirs = waiting.get(recovery).is_some_and(|entry| entry.principal == caller.principal().id);
        let taken = if is_theirs { waiting.remove(recovery) } else { None };
        taken.map(|entry| entry.file).ok_or_else(|| CeremonyError::RecoveryUnknown { recovery: recovery.to_owned() })
    }

    fn keep(&self, recovery: String, entry: Waiting) {
        let mut waiting = self.waiting();
        waiting.insert(recovery.clone(), entry);
        while waiting.len() > MOST_WAITING {
            waiting.pop_first();
        }
        drop(waiting);
        // Nobody need come back for it to go.
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LIFETIME).await;
            this.waiting().remove(&recovery);
        });
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lifetime_ms() -> i64 {
    i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX)
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
    require(caller, KEEPERS)?;
    let values = kek_values(secret)?;
    let named: Vec<_> = values.iter().map(|kek| (kek.id, kek.purpose, kek.kcv.clone())).collect();
    let detail = json!({ "kcvs": named.iter().map(|(_, _, kcv)| kcv).collect::<Vec<_>>() });
    let object = ObjectRef::new("token", keys.home().label(), keys.home().label());
    let intent = keys.audit.intent(caller, "kek.import", &object, detail).await?;
    let imported = match keys.home().import_keks(values).await {
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

/// Who may put a secret together, and use it.
const KEEPERS: &[Role] = &[Role::Operator, Role::Admin];
/// How long a secret waits.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Secrets that may wait at a time.
const MOST_WAITING: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::principal::{Identity, Principal, PrincipalKind};
    use crate::ceremony::share_file::Provenance;

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }
    }

    fn caller(id: &str, roles: &[Role]) -> Caller {
        let principal = Principal { id: id.to_owned(), kind: PrincipalKind::Person, name: id.to_owned() };
        Caller::new(Identity::new(principal, roles.to_vec()).into(), RequestId::new())
    }

    fn kept() -> Recoveries {
        let recoveries = Recoveries::default();
        let file = ShareFile { secret: Secret::new(vec![7; 32]), provenance: Provenance::default() };
        let entry = Waiting { file, principal: "alice".to_owned(), since: Timestamp::from_millis(0) };
        recoveries.keep("r".to_owned(), entry);
        recoveries
    }

    #[tokio::test]
    async fn a_secret_is_given_once_and_only_to_whom_it_was_put_together_for() {
        let recoveries = kept();
        let (alice, bob) = (caller("alice", &[Role::Admin]), caller("bob", &[Role::Admin]));
        let demoted = caller("alice", &[Role::Auditor]);

        assert!(matches!(recoveries.take(&At(1), &bob, "r"), Err(CeremonyError::RecoveryUnknown { .. })));
        assert!(matches!(recoveries.take(&At(1), &demoted, "r"), Err(CeremonyError::Access(_))));
        assert_eq!(recoveries.take(&At(1), &alice, "r").unwrap().secret.expose(), [7; 32]);
        assert!(matches!(recoveries.take(&At(1), &alice, "r"), Err(CeremonyError::RecoveryUnknown { .. })));
    }

    #[tokio::test]
    async fn a_secret_waits_less_than_five_minutes() {
        let alice = caller("alice", &[Role::Operator]);

        assert!(kept().take(&At(299_999), &alice, "r").is_ok());
        let late = kept();
        assert!(late.take(&At(300_000), &alice, "r").is_err());
        assert!(late.waiting().is_empty());
    }
}
