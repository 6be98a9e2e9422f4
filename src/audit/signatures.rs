//! Writing the signature log: one record a request, before its answer.

use super::{
    Audit,
    error::AuditError,
    record::{Log, ObjectRef, Outcome, Phase},
};
use crate::base::{
    ids::{RequestId, hex},
    principal::{Caller, Principal, PrincipalKind},
    time::Timestamp,
};
use serde::Serialize;
use std::sync::Arc;

/// What a request signed or decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureRecord {
    /// `key.sign` or `key.decrypt`.
    pub event: &'static str,
    /// By which key.
    pub object: Arc<ObjectRef>,
    /// The signature or decryption algorithm.
    pub algorithm: &'static str,
    /// How many signatures or decryptions.
    pub count: usize,
    /// SHA-256 over the digests (or messages, or ciphertexts) of the request, one behind the other.
    pub digests_sha256: [u8; 32],
}

impl Audit {
    /// Records the use of a key; returns its sequence number once it is written, and only then may the answer leave.
    ///
    /// Durable against a kill on return, against a power cut within 200 ms.
    ///
    /// # Errors
    /// The log cannot be written; then no signature may leave. The next call tries again.
    pub fn signed(&self, caller: &Caller, signed: &SignatureRecord) -> Result<u64, AuditError> {
        let appended = self.0.signatures.append(&Draft::of(caller, signed)?);
        let seq = self.0.tally.note(Log::Signatures, appended)?;
        caller.mark_recorded();
        Ok(seq)
    }
}

/// The line of a signature record up to its number; number and time come last in canonical order.
pub(super) struct Draft(Vec<u8>);

impl Draft {
    /// Writes the line at once, without the value of RFC 8785 in between: the fields below are in canonical order, and
    /// their only number is small.
    pub(super) fn of(caller: &Caller, signed: &SignatureRecord) -> Result<Self, AuditError> {
        let Principal { id, kind, name } = caller.principal();
        let ObjectRef { id: object_id, kind: object_kind, label } = &*signed.object;
        let detail =
            Detail { algorithm: signed.algorithm, count: signed.count, digests_sha256: &hex(&signed.digests_sha256) };
        let fields = Fields {
            code: "",
            detail,
            event: signed.event,
            intent: (),
            log: Log::Signatures,
            object: Object { id: object_id, kind: object_kind, label },
            outcome: Outcome::Ok,
            phase: Phase::Event,
            principal: Who { id, kind: *kind, name },
            request_id: caller.request,
        };
        let mut line = Vec::with_capacity(LINE_BYTES);
        serde_json::to_writer(&mut line, &fields).map_err(|cause| AuditError::RecordUnencodable {
            event: signed.event.to_owned(),
            cause: cause.to_string(),
        })?;
        line.pop();
        Ok(Self(line))
    }

    /// Adds the whole line, with its line end.
    pub(super) fn finish(&self, seq: u64, time: Timestamp, lines: &mut Vec<u8>) {
        lines.extend_from_slice(&self.0);
        lines.extend_from_slice(format!(",\"seq\":{seq},\"time\":\"{time}\"}}\n").as_bytes());
    }
}

#[derive(Serialize)]
struct Fields<'a> {
    code: &'static str,
    detail: Detail<'a>,
    event: &'static str,
    intent: (),
    log: Log,
    object: Object<'a>,
    outcome: Outcome,
    phase: Phase,
    principal: Who<'a>,
    request_id: RequestId,
}

#[derive(Serialize)]
struct Detail<'a> {
    algorithm: &'static str,
    count: usize,
    digests_sha256: &'a str,
}

#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    kind: &'a str,
    label: &'a str,
}

#[derive(Serialize)]
struct Who<'a> {
    id: &'a str,
    kind: PrincipalKind,
    name: &'a str,
}

/// Room for a usual line.
const LINE_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::super::{
        api::{Order, RecordFilter},
        record::{Record, detail_of},
        testing::{Bench, StoppedClock, caller, signed},
    };
    use super::*;
    use crate::base::{
        fault::{Fault, Kind},
        principal::Identity,
        time::Clock as _,
    };
    use serde_json::json;
    use std::{fs, os::unix::fs::symlink, path::Path};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_hundred_calls_at_once_are_all_there_in_order_after_a_restart() {
        let bench = Bench::new().await;
        let call = |_| {
            let audit = bench.audit.clone();
            tokio::spawn(async move { audit.signed(&caller(), &signed()).unwrap() })
        };
        let calls: Vec<_> = (0..100).map(call).collect();
        let mut answered = Vec::new();
        for call in calls {
            answered.push(call.await.unwrap());
        }
        answered.sort_unstable();

        let bench = bench.reopen(|_| {}).await;

        assert_eq!(answered, (1..=100).collect::<Vec<_>>());
        assert_eq!(seqs(&bench).await, answered);
        assert_eq!(bench.audit.signed(&caller(), &signed()).unwrap(), 101);
    }

    #[tokio::test]
    async fn an_answered_record_is_there_after_a_kill() {
        let bench = Bench::new().await;
        bench.sign_times(3).await;

        let after = bench.crash().await;

        assert_eq!(seqs(&after).await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn an_unfinished_last_line_is_cut_and_its_number_used_again() {
        let bench = Bench::new().await;
        bench.sign_times(2).await;
        let unfinished = |audit: &Path| {
            let path = audit.join("signatures-000001.jsonl");
            let whole = fs::read_to_string(&path).unwrap();
            fs::write(&path, whole.clone() + &whole[..100]).unwrap();
        };

        let bench = bench.reopen(unfinished).await;

        assert_eq!(seqs(&bench).await, [1, 2]);
        assert_eq!(bench.audit.signed(&caller(), &signed()).unwrap(), 3);
        assert_eq!(seqs(&bench).await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_full_disk_refuses_every_signature_until_there_is_room_again() {
        let bench = Bench::new().await;
        let segment = bench.file("signatures-000001.jsonl");
        symlink("/dev/full", &segment).unwrap();

        for _ in 0..2 {
            let error = bench.audit.signed(&caller(), &signed()).unwrap_err();
            assert_eq!((error.entry().code, error.entry().kind), ("audit-log-unwritable", Kind::Unavailable));
        }
        fs::remove_file(&segment).unwrap();

        assert_eq!(bench.audit.signed(&caller(), &signed()).unwrap(), 1);
        assert_eq!(seqs(&bench).await, [1]);
    }

    #[tokio::test]
    async fn a_record_says_which_algorithm_how_often_and_over_what() {
        let bench = Bench::new().await;
        bench.sign_times(1).await;

        let line = fs::read_to_string(bench.file("signatures-000001.jsonl")).unwrap();

        let digests = "07".repeat(32);
        let detail = format!(r#""detail":{{"algorithm":"ecdsa-sha256","count":1,"digests_sha256":"{digests}"}}"#);
        assert!(line.contains(&detail), "{line}");
        assert!(line.contains(r#""log":"signatures","object":{"id":"0190b2a1-0000-7000-8000-000000000001""#), "{line}");
    }

    #[test]
    fn a_line_that_is_written_at_once_is_the_canonical_line_of_its_record() {
        let principal =
            Principal { id: "a\"\\/\u{7}".to_owned(), kind: PrincipalKind::Service, name: "Zoë\u{2028}".to_owned() };
        let caller = Caller::new(Identity::new(principal, Vec::new()).into(), RequestId::new());
        let signed =
            SignatureRecord { object: ObjectRef::new("key", "\u{1f600}\n", "\u{7f}").into(), count: 64, ..signed() };
        let mut record = Record::draft(Log::Signatures, signed.event, &caller, &signed.object);
        (record.seq, record.time) = ((1 << 53) - 1, StoppedClock.now());
        let (algorithm, count, digests) = (signed.algorithm, signed.count, hex(&signed.digests_sha256));
        record.detail = detail_of(json!({ "algorithm": algorithm, "count": count, "digests_sha256": digests }));

        let mut line = Vec::new();
        Draft::of(&caller, &signed).unwrap().finish(record.seq, record.time, &mut line);

        assert_eq!(String::from_utf8(line).unwrap(), record.to_line().unwrap() + "\n");
    }

    async fn seqs(bench: &Bench) -> Vec<u64> {
        let filter =
            RecordFilter { log: Log::Signatures, order: Order::Oldest, limit: Some(1_000), ..Default::default() };
        bench.audit.list(filter).await.unwrap().items.iter().map(|record| record.seq).collect()
    }
}
