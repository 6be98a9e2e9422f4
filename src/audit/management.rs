//! Writing the management log: intents, results, and events that are complete in themselves.

use super::{
    Audit, db,
    db::Row,
    error::AuditError,
    record::{Log, ObjectRef, Outcome, Phase, Record, detail_of},
};
use crate::base::{
    fault::{Fault, Kind},
    ids::RequestId,
    principal::{Caller, Identity, Principal},
};
use crate::db::{Transaction, commit};
use serde_json::{Map, Value};

/// What is about to happen; durable. Its result names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its position in the management log.
    pub seq: u64,
    /// Noun and verb.
    pub event: String,
    /// Who wants it.
    pub principal: Principal,
    /// On what.
    pub object: ObjectRef,
    /// In which request.
    pub request: RequestId,
    /// What recovery needs to know after a crash.
    pub detail: Map<String, Value>,
}

/// How an act ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    outcome: Outcome,
    code: String,
    detail: Value,
}

impl Verdict {
    /// Done.
    #[must_use]
    pub const fn ok(detail: Value) -> Self {
        Self { outcome: Outcome::Ok, code: String::new(), detail }
    }

    /// Refused, or failed, as the fault's kind says; its code is in the record, its text is not.
    #[must_use]
    pub fn of_fault(fault: &dyn Fault, detail: Value) -> Self {
        let entry = fault.entry();
        Self::new(Outcome::of_kind(entry.kind), entry.code, detail)
    }

    /// An outcome with a code that is not a fault's.
    #[must_use]
    pub fn new(outcome: Outcome, code: &str, detail: Value) -> Self {
        Self { outcome, code: code.to_owned(), detail }
    }
}

impl Outcome {
    /// How an act ends that meets a fault of this kind.
    #[must_use]
    pub const fn of_kind(kind: Kind) -> Self {
        if matches!(kind, Kind::Denied) { Self::Denied } else { Self::Failed }
    }
}

impl Audit {
    /// Records what is about to happen, in a transaction of its own; durable on return.
    ///
    /// # Errors
    /// The database cannot be written; then the effect must not begin.
    pub async fn intent(
        &self,
        caller: &Caller,
        event: &'static str,
        object: &ObjectRef,
        detail: Value,
    ) -> Result<Intent, AuditError> {
        let intent = self.append_alone(intent_of(caller, event, object, detail)).await.map(Intent::from)?;
        caller.mark_recorded();
        Ok(intent)
    }

    /// Records what is about to happen, in the transaction of a change that makes it necessary; durable with it.
    ///
    /// # Errors
    /// The database cannot be written; then the transaction must not be committed.
    pub async fn intent_in(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
        event: &'static str,
        object: &ObjectRef,
        detail: Value,
    ) -> Result<Intent, AuditError> {
        let written = self.append(transaction, intent_of(caller, event, object, detail)).await;
        self.0.tally.note(Log::Management, written).map(Intent::from)
    }

    /// Records how an intent ended, in the transaction of the change that it was for.
    ///
    /// # Errors
    /// The database cannot be written; then the transaction must not be committed.
    pub async fn result(
        &self,
        transaction: &mut Transaction,
        intent: &Intent,
        verdict: Verdict,
    ) -> Result<u64, AuditError> {
        let written = self.append(transaction, result_of(intent, verdict)).await;
        self.0.tally.note(Log::Management, written).map(|record| record.seq)
    }

    /// Records how an intent ended that changed nothing in the database, in a transaction of its own.
    ///
    /// # Errors
    /// The database cannot be written; then the intent stays open.
    pub async fn conclude(&self, intent: &Intent, verdict: Verdict) -> Result<u64, AuditError> {
        self.append_alone(result_of(intent, verdict)).await.map(|record| record.seq)
    }

    /// Records something complete in itself, in a transaction of its own: refusals, logins.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn event(
        &self,
        caller: &Caller,
        event: &'static str,
        object: &ObjectRef,
        verdict: Verdict,
    ) -> Result<u64, AuditError> {
        let record = Record::draft(Log::Management, event, caller, object).ended(verdict);
        let record = self.append_alone(record).await?;
        caller.mark_recorded();
        Ok(record.seq)
    }

    /// The intents without a result, oldest first: what a crash may have left half-way.
    ///
    /// # Errors
    /// The database cannot be read, or holds a line that is not a record.
    pub async fn open_intents(&self) -> Result<Vec<Intent>, AuditError> {
        let records = db::open_intents(&self.0.db).await?;
        Ok(records.into_iter().map(Intent::from).collect())
    }

    async fn append_alone(&self, record: Record) -> Result<Record, AuditError> {
        let written = async {
            let mut transaction = self.0.db.begin().await?;
            let record = self.append(&mut transaction, record).await?;
            commit(transaction).await?;
            Ok(record)
        };
        self.0.tally.note(Log::Management, written.await)
    }

    async fn append(&self, transaction: &mut Transaction, mut record: Record) -> Result<Record, AuditError> {
        record.seq = db::next_seq(transaction).await?;
        record.time = self.0.clock.now();
        let line = record.to_line()?;
        db::insert(transaction, Row::of(&record, line)).await?;
        Ok(record)
    }
}

fn intent_of(caller: &Caller, event: &'static str, object: &ObjectRef, detail: Value) -> Record {
    let mut record = Record::draft(Log::Management, event, caller, object);
    record.phase = Phase::Intent;
    record.outcome = None;
    record.detail = detail_of(detail);
    record
}

fn result_of(intent: &Intent, verdict: Verdict) -> Record {
    let asked_by = Caller::new(Identity::new(intent.principal.clone(), Vec::new()).into(), intent.request);
    let mut record = Record::draft(Log::Management, &intent.event, &asked_by, &intent.object);
    record.phase = Phase::Result;
    record.intent = Some(intent.seq);
    record.ended(verdict)
}

impl Record {
    fn ended(mut self, verdict: Verdict) -> Self {
        self.outcome = Some(verdict.outcome);
        self.code = verdict.code;
        self.detail = detail_of(verdict.detail);
        self
    }
}

impl From<Record> for Intent {
    fn from(record: Record) -> Self {
        Self {
            seq: record.seq,
            event: record.event,
            principal: record.principal,
            object: record.object,
            request: record.request_id,
            detail: record.detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, caller, key};
    use super::*;
    use crate::audit::api::RecordFilter;
    use crate::db::commit;
    use serde_json::json;

    #[tokio::test]
    async fn an_intent_is_open_until_a_result_names_it() {
        let bench = Bench::new().await;

        let intent = bench.audit.intent(&caller(), "key.generate", &key(), json!({ "size": 1 })).await.unwrap();
        let open = bench.audit.open_intents().await.unwrap();
        let seq = end(&bench, &intent).await;

        assert_eq!((intent.seq, seq), (1, 2));
        assert_eq!(open.len(), 1);
        assert_eq!(open[0], intent);
        assert_eq!(open[0].detail["size"], 1);
        assert_eq!(bench.audit.open_intents().await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_intent_is_there_after_a_crash() {
        let bench = Bench::new().await;
        let intent = bench.audit.intent(&caller(), "key.generate", &key(), Value::Null).await.unwrap();

        let after = bench.crash().await;

        assert_eq!(after.audit.open_intents().await.unwrap(), [intent]);
    }

    #[tokio::test]
    async fn a_result_is_rolled_back_with_the_change_it_reports_and_leaves_no_gap() {
        let bench = Bench::new().await;
        let intent = bench.audit.intent(&caller(), "key.generate", &key(), Value::Null).await.unwrap();

        let mut transaction = bench.db.begin().await.unwrap();
        let rolled_back = bench.audit.result(&mut transaction, &intent, Verdict::ok(Value::Null)).await.unwrap();
        drop(transaction);
        let kept = end(&bench, &intent).await;

        assert_eq!((rolled_back, kept), (2, 2));
        assert_eq!(bench.audit.list(RecordFilter::default()).await.unwrap().items.len(), 2);
    }

    #[tokio::test]
    async fn a_refusal_is_recorded_with_its_caller_and_code_and_the_caller_knows() {
        let bench = Bench::new().await;
        let caller = caller();

        bench
            .audit
            .event(&caller, "export.create", &key(), Verdict::new(Outcome::Denied, "policy", Value::Null))
            .await
            .unwrap();

        let records = bench.audit.list(RecordFilter::default()).await.unwrap().items;
        assert_eq!((records[0].outcome, records[0].code.as_str()), (Some(Outcome::Denied), "policy"));
        assert_eq!(&records[0].principal, caller.principal());
        assert_eq!(records[0].time.to_string(), "2026-01-02T03:04:05.006Z");
        assert!(caller.is_recorded());
    }

    async fn end(bench: &Bench, intent: &Intent) -> u64 {
        let mut transaction = bench.db.begin().await.unwrap();
        let seq = bench.audit.result(&mut transaction, intent, Verdict::ok(Value::Null)).await.unwrap();
        commit(transaction).await.unwrap();
        seq
    }
}
