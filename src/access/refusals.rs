//! Callers who were not let in are counted by source and recorded together, once a minute: who knocks a million times
//! a minute writes one record, not a million. A kill of the process loses the counts of the last minute.

use super::{Access, Inner};
use crate::audit::{AuditError, ObjectRef, Outcome, Verdict};
use crate::base::{
    ids::RequestId,
    principal::{Caller, Identity, Principal},
    time::Timestamp,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// What was refused since the last record.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<(String, String), Count>>);

/// The refusals of one source and, if it is known, one caller.
#[derive(Debug)]
struct Count {
    source: String,
    who: Option<Principal>,
    since: Timestamp,
    by_code: BTreeMap<&'static str, u64>,
}

impl Access {
    /// Counts a refusal. The source is an address or a uid; the caller is known if the credential was.
    pub fn count_refusal(&self, source: &str, who: Option<&Principal>, code: &'static str) {
        self.0.refusals.add(source, who, code, self.0.clock.now());
    }

    /// Records what was counted: one event for each source.
    pub(super) async fn record_refusals(&self) {
        for count in self.0.refusals.take() {
            if let Err(error) = self.record(&count).await {
                tracing::error!(source = count.source, %error, "refusals could not be recorded");
            }
        }
    }

    async fn record(&self, count: &Count) -> Result<(), AuditError> {
        let caller = count
            .who
            .clone()
            .map_or_else(Caller::system, |who| Caller::new(Arc::new(Identity::new(who, Vec::new())), RequestId::new()));
        let code = count.by_code.iter().max_by_key(|(_, times)| **times).map_or("", |(code, _)| code);
        let total: u64 = count.by_code.values().sum();
        let detail = json!({ "count": total, "codes": count.by_code, "since": count.since });
        let (object, verdict) =
            (ObjectRef::new("source", &count.source, ""), Verdict::new(Outcome::Denied, code, detail));
        self.0.audit.event(&caller, "access.refuse", &object, verdict).await?;
        Ok(())
    }
}

impl Refusals {
    fn add(&self, source: &str, who: Option<&Principal>, code: &'static str, now: Timestamp) {
        let mut counts = self.counts();
        let mut key = (source.to_owned(), who.map_or_else(String::new, |who| who.id.clone()));
        let mut who = who;
        if counts.len() >= MOST && !counts.contains_key(&key) {
            (key, who) = ((OTHERS.to_owned(), String::new()), None);
        }
        let source = key.0.clone();
        let new = || Count { source, who: who.cloned(), since: now, by_code: BTreeMap::new() };
        *counts.entry(key).or_insert_with(new).by_code.entry(code).or_default() += 1;
    }

    fn take(&self) -> Vec<Count> {
        std::mem::take(&mut *self.counts()).into_values().collect()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<(String, String), Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records once a minute, as long as anybody may come in.
pub(super) async fn record_each_minute(access: Weak<Inner>) {
    let mut ticks = interval(Duration::from_secs(60));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Some(inner) = access.upgrade() else { return };
        Access(inner).record_refusals().await;
    }
}

/// Sources that are counted one by one; all further ones of the same minute are counted together.
const MOST: usize = 256;
const OTHERS: &str = "others";
