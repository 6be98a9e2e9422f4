//! Checking the logs of a running instance against its last checkpoints, and those that were kept elsewhere.

use super::{
    Audit,
    api::{GivenCheckpoint, LogHead, VerifyReport},
    blocking,
    db::{self, Row},
    error::AuditError,
    merkle::Frontier,
    publish::{checkpoint_path, last_checkpoint},
    record::{Log, Record},
    segments::LogLines,
    verify::{Expected, LogCheck, Problems, Witnesses, audit_key},
};
use std::path::Path;

impl Audit {
    /// Reads both logs from their beginning and reports everything that does not fit.
    ///
    /// Compares with `audit/*.checkpoint`, with what this process has in memory, and with the given checkpoints.
    ///
    /// # Errors
    /// A log cannot be read, or there is no certificate.
    pub async fn verify_live(
        &self,
        certificates: &[u8],
        against: &[GivenCheckpoint],
    ) -> Result<VerifyReport, AuditError> {
        let mut problems = Problems::default();
        let key = audit_key(certificates, &mut problems)?;
        let mut witnesses = Witnesses::new(self.writer().instance, &key);
        for given in self.own_checkpoints()?.iter().chain(against) {
            witnesses.hear(given, &mut problems);
        }
        let logs = vec![
            self.verify_management(witnesses.about(Log::Management), &mut problems).await?,
            self.verify_signatures(witnesses.about(Log::Signatures), &mut problems).await?,
        ];
        Ok(VerifyReport::new(logs, problems.into_vec()))
    }

    fn own_checkpoints(&self) -> Result<Vec<GivenCheckpoint>, AuditError> {
        let mut own = Vec::new();
        for log in Log::ALL {
            let path = checkpoint_path(&self.0.directory, *log);
            let name = path.display().to_string();
            own.extend(last_checkpoint(&path)?.map(|text| GivenCheckpoint { name, text }));
        }
        Ok(own)
    }

    async fn verify_management(
        &self,
        mut expected: Vec<Expected>,
        problems: &mut Problems,
    ) -> Result<LogHead, AuditError> {
        expected.push(remembered(&*self.0.management.lock().await));
        let size = db::size(&self.0.db).await?;
        let mut check = LogCheck::new(Log::Management, expected);
        let mut after = 0;
        loop {
            let rows = db::rows(&self.0.db, after, size).await?;
            let Some(last) = rows.last() else {
                return Ok(check.finish(size, problems));
            };
            after = last.seq.cast_unsigned();
            rows.into_iter().for_each(|row| check_row(&mut check, row));
        }
    }

    async fn verify_signatures(
        &self,
        mut expected: Vec<Expected>,
        problems: &mut Problems,
    ) -> Result<LogHead, AuditError> {
        let head = self.0.signatures.head().await?;
        expected.push(remembered(&head));
        let (directory, size) = (self.0.directory.clone(), head.size());
        let check = blocking(move || check_segments(&directory, size, expected)).await?;
        Ok(check.finish(size, problems))
    }
}

fn remembered(frontier: &Frontier) -> Expected {
    Expected { size: frontier.size(), root: frontier.root(), source: "the memory of the running instance".to_owned() }
}

/// Lists and recovery look at the columns, so these must say what the line says.
fn check_row(check: &mut LogCheck, row: Row) {
    let record = Record::from_line(row.line.as_bytes());
    check.line(row.line.as_bytes(), &record);
    if let Ok(record) = record
        && Row::of(&record, row.line.clone()) != row
    {
        check.last_differs(&format!("the columns of row {} say something else than its line", row.seq));
    }
}

fn check_segments(directory: &Path, size: u64, expected: Vec<Expected>) -> Result<LogCheck, AuditError> {
    let mut check = LogCheck::new(Log::Signatures, expected);
    let mut lines = LogLines::open(directory)?;
    while check.size() < size
        && let Some(line) = lines.next_line()?
    {
        check.line(&line, &Record::from_line(&line));
    }
    Ok(check)
}

#[cfg(test)]
mod tests {
    use super::super::{
        api::ProblemKind,
        management::Verdict,
        testing::{Bench, SoftwareKey, caller, certificates, key},
    };
    use super::*;
    use serde_json::Value;
    use std::fs;

    #[tokio::test]
    async fn untouched_logs_are_valid_with_and_without_a_checkpoint() {
        let (signed, new) = (bench().await, Bench::new().await);

        let report = signed.audit.verify_live(certificates().as_bytes(), &[]).await.unwrap();
        let empty = new.audit.verify_live(certificates().as_bytes(), &[]).await.unwrap();

        assert_eq!(report.problems, []);
        assert_eq!(report.logs.iter().map(|head| head.size).collect::<Vec<_>>(), [4, 4]);
        assert!(report.valid && empty.valid);
    }

    #[tokio::test]
    async fn a_changed_line_of_either_log_contradicts_the_last_checkpoint() {
        let bench = bench().await;
        bench.sql("UPDATE audit_records SET line = replace(line, 'web', 'wob') WHERE seq = 2").await;
        let first_signature = |audit: &Path| {
            let segment = audit.join("signatures-000001.jsonl");
            fs::write(&segment, fs::read_to_string(&segment).unwrap().replacen("web", "wob", 1)).unwrap();
        };

        let found = found(&bench.reopen(first_signature).await).await;

        let expected = [
            (ProblemKind::LogRewritten, Some(Log::Management), Some(1)),
            (ProblemKind::LogRewritten, Some(Log::Signatures), Some(1)),
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_line_changed_behind_a_running_instance_contradicts_its_memory() {
        let bench = bench().await;
        let segment = bench.file("signatures-000001.jsonl");
        let lines = fs::read_to_string(&segment).unwrap();
        // The fourth record is in no checkpoint yet.
        let (covered, fourth) = lines.split_at(lines.len() * 3 / 4);
        fs::write(&segment, covered.to_owned() + &fourth.replacen("web", "wob", 1)).unwrap();

        let found = found(&bench).await;

        assert_eq!(found, [(ProblemKind::LogRewritten, Some(Log::Signatures), Some(4))]);
    }

    #[tokio::test]
    async fn a_removed_row_and_a_cut_log_are_named() {
        let bench = bench().await;
        bench.sql("DELETE FROM audit_records WHERE seq = 2 OR seq = 4").await;

        let found = found(&bench).await;

        assert!(found.contains(&(ProblemKind::RecordMissing, Some(Log::Management), Some(2))), "{found:?}");
        assert!(found.contains(&(ProblemKind::LogCut, Some(Log::Management), Some(3))), "{found:?}");
    }

    #[tokio::test]
    async fn a_column_that_says_something_else_than_its_line_is_named() {
        let bench = bench().await;
        bench.sql("UPDATE audit_records SET outcome = 'denied' WHERE seq = 3").await;

        let found = found(&bench).await;

        assert_eq!(found, [(ProblemKind::RowDiffers, Some(Log::Management), Some(3))]);
    }

    async fn found(bench: &Bench) -> Vec<(ProblemKind, Option<Log>, Option<u64>)> {
        let report = bench.audit.verify_live(certificates().as_bytes(), &[]).await.unwrap();
        assert!(!report.valid);
        report.problems.iter().map(|problem| (problem.kind, problem.log, problem.seq)).collect()
    }

    /// Three records in each log under a checkpoint, and one behind it.
    async fn bench() -> Bench {
        let bench = Bench::new().await;
        for round in 1..=4 {
            bench.audit.event(&caller(), "key.csr", &key(), Verdict::ok(Value::Null)).await.unwrap();
            bench.sign_times(1).await;
            if round == 3 {
                bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
            }
        }
        bench
    }
}
