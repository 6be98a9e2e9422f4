//! Looking at the logs, a page at a time.

use super::{
    Audit,
    api::{Order, RecordFilter, RecordPage},
    blocking, db,
    error::AuditError,
    record::{Log, Record},
    segments::LogLines,
};
use std::{collections::VecDeque, path::Path};

impl Audit {
    /// The records that a filter lets through, a page at a time.
    ///
    /// # Errors
    /// A log cannot be read, or holds a line that is not a record.
    pub async fn list(&self, filter: RecordFilter) -> Result<RecordPage, AuditError> {
        let limit = filter.limit() as usize;
        let items = match filter.log {
            Log::Management => db::list(&self.0.db, &filter).await?,
            Log::Signatures => {
                let directory = self.0.directory.clone();
                blocking(move || list_signatures(&directory, &filter)).await?
            }
        };
        let next = if items.len() == limit { items.last().map(|record| record.seq) } else { None };
        Ok(RecordPage { items, next })
    }
}

fn list_signatures(directory: &Path, filter: &RecordFilter) -> Result<Vec<Record>, AuditError> {
    let limit = filter.limit() as usize;
    let mut found = VecDeque::new();
    let mut lines = LogLines::open(directory)?;
    let mut seq = 0;
    while let Some(line) = lines.next_line()? {
        seq += 1;
        match filter.order {
            Order::Newest if seq >= filter.start() => break,
            Order::Oldest if found.len() == limit => break,
            Order::Oldest if seq <= filter.start() => continue,
            Order::Newest | Order::Oldest => {}
        }
        if may_match(&line, filter) {
            found.push_back((seq, line));
        }
        if found.len() > limit {
            found.pop_front();
        }
    }
    let mut records: Vec<_> = found.into_iter().map(|(seq, line)| read(seq, &line)).collect::<Result<_, _>>()?;
    if filter.order == Order::Newest {
        records.reverse();
    }
    Ok(records)
}

/// Decides on the line's bytes: parsing a million lines for one page would take seconds.
///
/// Exact, because inside a text of canonical JSON every quote is escaped.
fn may_match(line: &[u8], filter: &RecordFilter) -> bool {
    let has = |text: String| line.windows(text.len()).any(|window| window == text.as_bytes());
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let event = filter.event.as_deref().is_none_or(|event| {
        let event = quoted(event);
        has(format!("\"event\":{}", event.trim_end_matches('"')))
    });
    event && filter.object.as_deref().is_none_or(|id| has(format!("\"object\":{{\"id\":{}", quoted(id))))
}

fn read(seq: u64, line: &[u8]) -> Result<Record, AuditError> {
    Record::from_line(line).map_err(|cause| AuditError::RecordUnreadable {
        log: Log::Signatures,
        seq,
        cause: cause.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{
        management::Verdict,
        record::{ObjectRef, Outcome},
        signatures::SignatureRecord,
        testing::{Bench, caller, key, signed},
    };
    use super::*;
    use serde_json::Value;

    #[tokio::test]
    async fn both_logs_are_paged_from_either_end() {
        let bench = Bench::new().await;
        for _ in 0..5 {
            bench.audit.event(&caller(), "key.csr", &key(), Verdict::ok(Value::Null)).await.unwrap();
            bench.sign_times(1).await;
        }

        for log in [Log::Management, Log::Signatures] {
            let newest = RecordFilter { log, limit: Some(2), ..Default::default() };
            assert_eq!(page(&bench, &newest, None).await, (vec![5, 4], Some(4)));
            assert_eq!(page(&bench, &newest, Some(4)).await, (vec![3, 2], Some(2)));
            assert_eq!(page(&bench, &newest, Some(2)).await, (vec![1], None));
            let oldest = RecordFilter { order: Order::Oldest, ..newest };
            assert_eq!(page(&bench, &oldest, None).await, (vec![1, 2], Some(2)));
            assert_eq!(page(&bench, &oldest, Some(4)).await, (vec![5], None));
        }
    }

    #[tokio::test]
    async fn both_logs_are_filtered_by_event_and_object() {
        let bench = Bench::new().await;
        for object in [&key(), &ObjectRef::new("key", "other", "x\"y"), &key()] {
            bench
                .audit
                .event(&caller(), "key.sign", object, Verdict::new(Outcome::Denied, "", Value::Null))
                .await
                .unwrap();
            bench.audit.signed(&caller(), &SignatureRecord { object: object.clone().into(), ..signed() }).unwrap();
        }

        for log in [Log::Management, Log::Signatures] {
            let filter = |event: &str, object: &str| RecordFilter {
                log,
                event: Some(event.to_owned()),
                object: Some(object.to_owned()),
                ..Default::default()
            };
            assert_eq!(page(&bench, &filter("key.", "other"), None).await.0, [2]);
            assert_eq!(page(&bench, &filter("key.sign", &key().id), None).await.0, [3, 1]);
            assert_eq!(page(&bench, &filter("ey.sign", "other"), None).await.0, [0; 0]);
            assert_eq!(page(&bench, &filter("key", "othe"), None).await.0, [0; 0]);
        }
    }

    async fn page(bench: &Bench, filter: &RecordFilter, after: Option<u64>) -> (Vec<u64>, Option<u64>) {
        let page = bench.audit.list(RecordFilter { after, ..filter.clone() }).await.unwrap();
        (page.items.iter().map(|record| record.seq).collect(), page.next)
    }
}
