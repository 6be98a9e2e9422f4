//! Making checkpoints: the heads of both logs, signed, and kept in the audit folder.

use super::{
    Audit,
    api::CheckpointAnswer,
    blocking,
    checkpoint::{Checkpoint, SignedCheckpoint},
    db, durable,
    error::{AuditError, unusable},
    merkle::Frontier,
    record::Log,
};
use crate::base::signing::Signer;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

impl Audit {
    /// Signs fresh checkpoints of both logs and writes them to `audit/*.checkpoint`.
    ///
    /// # Errors
    /// A log is shorter than at its last checkpoint or has a gap, it cannot be read or made durable, or the
    /// audit key did not sign.
    pub async fn checkpoint(&self, signer: &dyn Signer) -> Result<CheckpointAnswer, AuditError> {
        let mut management = self.0.management.lock().await;
        self.catch_up(&mut management).await?;
        let signatures = self.0.signatures.head().await?;
        Ok(CheckpointAnswer {
            management: self.publish(Log::Management, &management, signer).await?,
            signatures: self.publish(Log::Signatures, &signatures, signer).await?,
        })
    }

    /// Reads the rows that came since the last checkpoint.
    async fn catch_up(&self, frontier: &mut Frontier) -> Result<(), AuditError> {
        let size = db::size(&self.0.db).await?;
        if size < frontier.size() {
            return Err(broken(Log::Management, size + 1, "records that were there are gone".to_owned()));
        }
        while frontier.size() < size {
            let rows = db::rows(&self.0.db, frontier.size(), size).await?;
            if rows.is_empty() {
                return Err(broken(Log::Management, frontier.size() + 1, "it is missing".to_owned()));
            }
            for row in rows {
                if row.seq.cast_unsigned() != frontier.size() + 1 {
                    return Err(broken(Log::Management, frontier.size() + 1, "it is missing".to_owned()));
                }
                frontier.push(row.line.as_bytes());
            }
        }
        Ok(())
    }

    async fn publish(&self, log: Log, frontier: &Frontier, signer: &dyn Signer) -> Result<String, AuditError> {
        let checkpoint = Checkpoint::of(self.writer().origin(log), frontier);
        let path = checkpoint_path(&self.0.directory, log);
        let (before, of) = (checkpoint.clone(), path.clone());
        blocking(move || goes_on_from(log, &of, &before)).await?;
        let note = checkpoint.sign(signer).await?;
        let written = note.clone();
        blocking(move || durable::replace(&path, &written).map_err(unusable("write", &path))).await?;
        Ok(note)
    }
}

/// Where a log's last checkpoint is.
pub(super) fn checkpoint_path(directory: &Path, log: Log) -> PathBuf {
    directory.join(format!("{log}.checkpoint"))
}

/// The last checkpoint of a log, if there is one.
pub(super) fn last_checkpoint(path: &Path) -> Result<Option<String>, AuditError> {
    match fs::read_to_string(path) {
        Ok(note) => Ok(Some(note)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(unusable("read", path)(cause)),
    }
}

/// Refuses to sign a head that the last checkpoint contradicts: that would cover up a cut log.
fn goes_on_from(log: Log, path: &Path, next: &Checkpoint) -> Result<(), AuditError> {
    let Some(note) = last_checkpoint(path)? else {
        return Ok(());
    };
    let unreadable =
        |cause: &dyn std::fmt::Display| broken(log, 1, format!("{} is unreadable: {cause}", path.display()));
    let last = SignedCheckpoint::parse(&note).map_err(|cause| unreadable(&cause))?;
    let last = last.unverified();
    if last.origin != next.origin {
        return Ok(());
    }
    if last.size > next.size {
        let cause = format!("its last checkpoint covers {} records, the log has {}", last.size, next.size);
        return Err(broken(log, next.size + 1, cause));
    }
    if last.size == next.size && last.root != next.root {
        return Err(broken(log, 1, "its last checkpoint was signed over other records".to_owned()));
    }
    Ok(())
}

fn broken(log: Log, seq: u64, cause: String) -> AuditError {
    AuditError::LogBroken { log, seq, cause }
}

#[cfg(test)]
mod tests {
    use super::super::{
        management::Verdict,
        testing::{Bench, SoftwareKey, caller, key},
    };
    use super::*;
    use serde_json::Value;

    #[tokio::test]
    async fn a_checkpoint_covers_both_logs_and_stays_in_the_audit_folder() {
        let bench = bench(3).await;
        bench.sign_times(2).await;

        let answer = bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();

        assert_eq!((head(&answer.management).size, head(&answer.signatures).size), (3, 2));
        assert_eq!(fs::read_to_string(bench.file("management.checkpoint")).unwrap(), answer.management);
        assert_eq!(fs::read_to_string(bench.file("signatures.checkpoint")).unwrap(), answer.signatures);
        assert!(!bench.file("management.checkpoint.new").exists());
    }

    #[tokio::test]
    async fn the_root_is_the_same_whether_rows_were_read_at_once_or_bit_by_bit() {
        let (at_once, bit_by_bit) = (bench(3).await, bench(1).await);
        bit_by_bit.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        act(&bit_by_bit, 2).await;

        let at_once = at_once.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        let bit_by_bit = bit_by_bit.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();

        assert_eq!(head(&at_once.management), head(&bit_by_bit.management));
    }

    #[tokio::test]
    async fn a_log_that_became_shorter_is_not_signed_and_its_checkpoint_stays() {
        let bench = bench(3).await;
        let kept = bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        bench.sql("DELETE FROM audit_records WHERE seq = 3").await;
        bench.sql("UPDATE audit_logs SET size = 2").await;

        let while_running = bench.audit.checkpoint(&SoftwareKey::audit()).await;
        let bench = bench.reopen(|_| {}).await;
        let after_restart = bench.audit.checkpoint(&SoftwareKey::audit()).await;

        for refused in [while_running, after_restart] {
            assert!(matches!(refused, Err(AuditError::LogBroken { log: Log::Management, seq: 3, .. })));
        }
        assert_eq!(fs::read_to_string(bench.file("management.checkpoint")).unwrap(), kept.management);
    }

    #[tokio::test]
    async fn a_log_with_a_gap_is_not_signed() {
        let bench = bench(3).await;
        bench.sql("DELETE FROM audit_records WHERE seq = 2").await;

        let refused = bench.audit.checkpoint(&SoftwareKey::audit()).await;

        assert!(matches!(refused, Err(AuditError::LogBroken { log: Log::Management, seq: 2, .. })));
    }

    async fn bench(records: usize) -> Bench {
        let bench = Bench::new().await;
        act(&bench, records).await;
        bench
    }

    async fn act(bench: &Bench, times: usize) {
        for _ in 0..times {
            bench.audit.event(&caller(), "key.csr", &key(), Verdict::ok(Value::Null)).await.unwrap();
        }
    }

    fn head(note: &str) -> Checkpoint {
        SignedCheckpoint::parse(note).unwrap().unverified().clone()
    }
}
