//! Making checkpoints: the heads of both logs, signed, and kept in the audit folder.

use super::{
    Audit,
    api::CheckpointAnswer,
    blocking,
    checkpoint::Checkpoint,
    continuity::Heads,
    error::{AuditError, unusable},
    merkle::Frontier,
    record::Log,
};
use crate::base::signing::Signer;
use crate::db::durable;
use crate::pki::public_key::PublicKey;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

impl Audit {
    /// Signs fresh checkpoints of both logs and writes them to `audit/*.checkpoint`.
    ///
    /// # Errors
    /// A log is not the one that its last checkpoint was signed over or has a gap, that checkpoint is not by
    /// this key, a log cannot be read or made durable, or the audit key did not sign.
    pub async fn checkpoint(&self, signer: &dyn Signer) -> Result<CheckpointAnswer, AuditError> {
        let key = PublicKey::from_der(signer.public_key_der()).map_err(AuditError::Certificate)?;
        let mut heads = self.0.heads.lock().await;
        let management = self.management_head(&mut heads, &key).await?;
        let signatures = self.signatures_head(&mut heads, &key).await?;
        Ok(CheckpointAnswer {
            management: self.publish(&mut heads, Log::Management, &management, signer).await?,
            signatures: self.publish(&mut heads, Log::Signatures, &signatures, signer).await?,
        })
    }

    async fn publish(
        &self,
        heads: &mut Heads,
        log: Log,
        frontier: &Frontier,
        signer: &dyn Signer,
    ) -> Result<String, AuditError> {
        let checkpoint = Checkpoint::of(self.writer().origin(log), frontier);
        let path = checkpoint_path(&self.0.directory, log);
        let note = checkpoint.sign(signer).await?;
        let written = note.clone();
        blocking(move || durable::replace(&path, written.as_bytes()).map_err(unusable("write", &path))).await?;
        heads.know(log, checkpoint.size, checkpoint.root);
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

#[cfg(test)]
mod tests {
    use super::super::{
        Writer,
        checkpoint::SignedCheckpoint,
        management::Verdict,
        testing::{Bench, SoftwareKey, caller, key},
    };
    use super::*;
    use crate::base::ids::InstanceId;
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

    #[tokio::test]
    async fn rows_changed_under_a_checkpoint_are_never_signed_over() {
        let bench = bench(3).await;
        let kept = bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        bench.sql("UPDATE audit_records SET line = replace(line, 'web', 'wob') WHERE seq = 2").await;

        let bench = bench.reopen(|_| {}).await;
        act(&bench, 1).await;

        for _ in 0..2 {
            let refused = bench.audit.checkpoint(&SoftwareKey::audit()).await;
            assert!(matches!(refused, Err(AuditError::LogBroken { log: Log::Management, seq: 1, .. })), "{refused:?}");
        }
        assert_eq!(fs::read_to_string(bench.file("management.checkpoint")).unwrap(), kept.management);
    }

    #[tokio::test]
    async fn signatures_changed_under_a_checkpoint_are_never_signed_over() {
        let bench = bench(1).await;
        bench.sign_times(3).await;
        let kept = bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();

        let bench = bench.reopen(change_first_signature).await;
        bench.sign_times(1).await;
        let refused = bench.audit.checkpoint(&SoftwareKey::audit()).await;

        assert!(matches!(refused, Err(AuditError::LogBroken { log: Log::Signatures, seq: 1, .. })), "{refused:?}");
        assert_eq!(fs::read_to_string(bench.file("signatures.checkpoint")).unwrap(), kept.signatures);
    }

    #[tokio::test]
    async fn a_checkpoint_under_a_former_name_binds_as_any_other() {
        let (whole, changed) = (bench(3).await, bench(3).await);
        for bench in [&whole, &changed] {
            bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        }
        changed.sql("UPDATE audit_records SET line = replace(line, 'web', 'wob') WHERE seq = 2").await;
        let renamed = |bench: Bench| async {
            let bench = bench.reopen(|_| {}).await;
            bench.audit.rename(Writer { instance: InstanceId::from_bytes([7; 16]), suffix: "b".to_owned() });
            act(&bench, 1).await;
            bench.audit.checkpoint(&SoftwareKey::audit()).await
        };

        let refused = renamed(changed).await;
        let signed = renamed(whole).await.unwrap();

        assert!(matches!(refused, Err(AuditError::LogBroken { log: Log::Management, .. })), "{refused:?}");
        assert_eq!(head(&signed.management).origin, "keyward/07070707-0707-0707-0707-070707070707/management/b");
    }

    #[tokio::test]
    async fn a_last_checkpoint_that_was_changed_or_is_not_of_this_key_and_log_is_not_believed() {
        let bench = bench(3).await;
        let empty_signatures = bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        let genuine = empty_signatures.management;
        let by_another_key = head(&genuine).sign(&SoftwareKey::other()).await.unwrap();
        let cases =
            [empty_signatures.signatures, genuine.replacen("\n3\n", "\n1\n", 1), by_another_key, "none".to_owned()];

        for text in cases {
            fs::write(bench.file("management.checkpoint"), &text).unwrap();
            let refused = bench.audit.checkpoint(&SoftwareKey::audit()).await;
            assert!(matches!(refused, Err(AuditError::LogBroken { log: Log::Management, .. })), "{text} {refused:?}");
        }
        fs::write(bench.file("management.checkpoint"), &genuine).unwrap();
        assert_eq!(bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap().management.lines().nth(1), Some("3"));
    }

    #[tokio::test]
    async fn an_earlier_checkpoint_put_back_while_running_does_not_hide_what_memory_knows() {
        let bench = bench(2).await;
        bench.sign_times(2).await;
        let early = bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        act(&bench, 2).await;
        bench.sign_times(2).await;
        bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        let put_back = || {
            fs::write(bench.file("management.checkpoint"), &early.management).unwrap();
            fs::write(bench.file("signatures.checkpoint"), &early.signatures).unwrap();
        };

        put_back();
        let unchanged = bench.audit.checkpoint(&SoftwareKey::audit()).await.unwrap();
        put_back();
        bench.sql("UPDATE audit_records SET line = replace(line, 'web', 'wob') WHERE seq = 4").await;
        let changed = bench.audit.checkpoint(&SoftwareKey::audit()).await;

        assert_eq!((head(&unchanged.management).size, head(&unchanged.signatures).size), (4, 4));
        assert!(matches!(changed, Err(AuditError::LogBroken { log: Log::Management, .. })), "{changed:?}");
    }

    fn change_first_signature(audit: &Path) {
        let segment = audit.join("signatures-000001.jsonl");
        fs::write(&segment, fs::read_to_string(&segment).unwrap().replacen("web", "wob", 1)).unwrap();
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
