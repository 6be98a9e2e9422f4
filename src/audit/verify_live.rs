//! Checking the logs of a running instance against its last checkpoints, and those that were kept elsewhere.

use super::{
    Audit,
    api::{GivenCheckpoint, LogHead, ProblemKind, VerifyReport},
    blocking,
    db::{self, Row},
    error::AuditError,
    publish::{checkpoint_path, last_checkpoint},
    record::{Log, Record},
    segments::LogLines,
    verify::{Expected, LogCheck, Problems, Witnesses, audit_key, remembered},
};
use std::path::{Path, PathBuf};

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
        let gone = self.hear_own_checkpoints(&mut witnesses, &mut problems)?;
        for given in against {
            witnesses.hear(given, &mut problems);
        }
        let logs = vec![
            self.verify_management(witnesses.about(Log::Management), &mut problems).await?,
            self.verify_signatures(witnesses.about(Log::Signatures), &mut problems).await?,
        ];
        // One log may be empty because somebody emptied it; both are before the first checkpoints were made.
        if logs.iter().any(|head| head.size > 0) {
            gone.into_iter().for_each(|(log, path)| miss(log, &path, &mut problems));
        }
        Ok(VerifyReport::new(logs, problems.into_vec()))
    }

    /// Hears `audit/*.checkpoint`; gives those that are not there.
    fn hear_own_checkpoints(
        &self,
        witnesses: &mut Witnesses<'_>,
        problems: &mut Problems,
    ) -> Result<Vec<(Log, PathBuf)>, AuditError> {
        let mut gone = Vec::new();
        for log in Log::ALL.iter().copied() {
            let path = checkpoint_path(&self.0.directory, log);
            if let Some(text) = last_checkpoint(&path)? {
                let name = path.display().to_string();
                witnesses.hear_of(log, &GivenCheckpoint { name, text }, problems);
            } else {
                gone.push((log, path));
            }
        }
        Ok(gone)
    }

    async fn verify_management(
        &self,
        mut expected: Vec<Expected>,
        problems: &mut Problems,
    ) -> Result<LogHead, AuditError> {
        expected.push(remembered(&self.0.heads.lock().await.management));
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

fn miss(log: Log, path: &Path, problems: &mut Problems) {
    let detail = format!("{} is not there: nothing here vouches for the {log} log", path.display());
    problems.add(ProblemKind::CheckpointMissing, Some(log), None, detail);
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

    #[tokio::test]
    async fn a_checkpoint_that_is_gone_is_missed_even_if_its_log_went_with_it() {
        let bench = bench().await;
        fs::remove_file(bench.file("management.checkpoint")).unwrap();
        let without_signatures = |audit: &Path| {
            fs::remove_file(audit.join("signatures.checkpoint")).unwrap();
            fs::remove_file(audit.join("signatures-000001.jsonl")).unwrap();
        };

        let management_gone = found(&bench).await;
        bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        let signatures_gone = found(&bench.reopen(without_signatures).await).await;

        assert_eq!(management_gone, [(ProblemKind::CheckpointMissing, Some(Log::Management), None)]);
        assert_eq!(signatures_gone, [(ProblemKind::CheckpointMissing, Some(Log::Signatures), None)]);
    }

    #[tokio::test]
    async fn a_checkpoint_of_the_other_log_does_not_stand_in_for_the_last_one() {
        let bench = bench().await;
        fs::copy(bench.file("signatures.checkpoint"), bench.file("management.checkpoint")).unwrap();

        let found = found(&bench).await;

        assert_eq!(found, [(ProblemKind::CheckpointOfAnotherLog, Some(Log::Management), None)]);
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
