//! Whether a log still is the one that its last checkpoint was signed over; only then may it be signed again.
//!
//! A process that has just begun knows nothing of a log. It reads the lines up to the size of the last
//! checkpoint, compares the root there, and goes on from what it read. A checkpoint that memory is known
//! to go on from is not compared again, so that memory keeps contradicting lines that change behind it.

use super::{
    Audit, Writer, blocking,
    checkpoint::{Checkpoint, SignedCheckpoint},
    db,
    error::AuditError,
    merkle::{Frontier, Hash},
    publish::{checkpoint_path, last_checkpoint},
    record::Log,
    segments::LogLines,
    verify::{Expected, remembered},
};
use crate::pki::public_key::PublicKey;
use std::{collections::BTreeMap, path::Path};

/// What checkpoints are made of, as far as this process knows it.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// The management log as far as checkpoints have read it.
    pub(super) management: Frontier,
    /// Size and root of the checkpoint of each log that memory is known to go on from.
    known: BTreeMap<Log, (u64, Hash)>,
}

impl Heads {
    /// Memory goes on from this head.
    pub(super) fn know(&mut self, log: Log, size: u64, root: Hash) {
        self.known.insert(log, (size, root));
    }

    fn knows(&self, log: Log, last: &Checkpoint) -> bool {
        self.known.get(&log) == Some(&(last.size, last.root))
    }
}

impl Audit {
    /// The head of the management log, which goes on from the last checkpoint that this key signed.
    pub(super) async fn management_head(&self, heads: &mut Heads, key: &PublicKey) -> Result<Frontier, AuditError> {
        let size = db::size(&self.0.db).await?;
        let mut frontier = heads.management.clone();
        not_shorter(Log::Management, &remembered(&frontier), size)?;
        if let Some(last) = self.unknown_checkpoint(heads, Log::Management, key).await? {
            not_shorter(Log::Management, &last, size)?;
            let mut expected = [remembered(&frontier), last.clone()];
            expected.sort_by_key(|head| head.size);
            frontier = Frontier::default();
            for head in &expected {
                self.read_rows(&mut frontier, head.size).await?;
                agree(Log::Management, head, &frontier)?;
            }
            heads.know(Log::Management, last.size, last.root);
        }
        self.read_rows(&mut frontier, size).await?;
        heads.management = frontier.clone();
        Ok(frontier)
    }

    /// The head of the signature log, which goes on from the last checkpoint that this key signed.
    pub(super) async fn signatures_head(&self, heads: &mut Heads, key: &PublicKey) -> Result<Frontier, AuditError> {
        let head = self.0.signatures.head().await?;
        if let Some(last) = self.unknown_checkpoint(heads, Log::Signatures, key).await? {
            let (directory, compared, last_size, last_root) =
                (self.0.directory.clone(), head.clone(), last.size, last.root);
            blocking(move || replay(&directory, &last, &compared)).await?;
            heads.know(Log::Signatures, last_size, last_root);
        }
        Ok(head)
    }

    /// What the last checkpoint of a log says, unless memory is known to go on from it.
    ///
    /// The instance and writer that it names are not compared: after a rename they are the former ones.
    async fn unknown_checkpoint(
        &self,
        heads: &Heads,
        log: Log,
        key: &PublicKey,
    ) -> Result<Option<Expected>, AuditError> {
        let path = checkpoint_path(&self.0.directory, log);
        let read = path.clone();
        let Some(note) = blocking(move || last_checkpoint(&read)).await? else {
            return Ok(None);
        };
        let unbelieved =
            |cause: &dyn std::fmt::Display| broken(log, 1, format!("{} is not believed: {cause}", path.display()));
        let note = SignedCheckpoint::parse(&note).map_err(|fault| unbelieved(&fault))?;
        let last = note.verify(key).map_err(|fault| unbelieved(&fault))?;
        if Writer::log_named(&last.origin) != Some(log) {
            return Err(unbelieved(&format_args!("it is of `{}`", last.origin)));
        }
        let source = "its last checkpoint".to_owned();
        Ok((!heads.knows(log, last)).then_some(Expected { size: last.size, root: last.root, source }))
    }

    /// Reads the rows up to a size.
    async fn read_rows(&self, frontier: &mut Frontier, size: u64) -> Result<(), AuditError> {
        let missing = |frontier: &Frontier| broken(Log::Management, frontier.size() + 1, "it is missing".to_owned());
        while frontier.size() < size {
            let rows = db::rows(&self.0.db, frontier.size(), size).await?;
            if rows.is_empty() {
                return Err(missing(frontier));
            }
            for row in rows {
                if row.seq.cast_unsigned() != frontier.size() + 1 {
                    return Err(missing(frontier));
                }
                frontier.push(row.line.as_bytes());
            }
        }
        Ok(())
    }
}

/// Reads the lines of the signature log up to its head, and compares on the way.
///
/// A frontier beside a closed segment is worth something only if the lines behind it lead to the root that
/// was signed, so the reading begins at one that the last checkpoint covers, and passes over later ones.
fn replay(directory: &Path, last: &Expected, head: &Frontier) -> Result<(), AuditError> {
    not_shorter(Log::Signatures, last, head.size())?;
    let (mut lines, mut frontier) = LogLines::open_before(directory, last.size)?;
    for expected in [last, &remembered(head)] {
        while frontier.size() < expected.size
            && let Some(line) = lines.next_line()?
        {
            frontier.push(&line);
        }
        agree(Log::Signatures, expected, &frontier)?;
    }
    Ok(())
}

fn not_shorter(log: Log, head: &Expected, size: u64) -> Result<(), AuditError> {
    if size >= head.size {
        return Ok(());
    }
    let cause = format!("{} covers {} records, the log has {size}", head.source, head.size);
    Err(broken(log, size + 1, cause))
}

fn agree(log: Log, head: &Expected, frontier: &Frontier) -> Result<(), AuditError> {
    not_shorter(log, head, frontier.size())?;
    if frontier.root() == head.root {
        return Ok(());
    }
    Err(broken(log, 1, format!("{} covers other records", head.source)))
}

fn broken(log: Log, seq: u64, cause: String) -> AuditError {
    AuditError::LogBroken { log, seq, cause }
}

#[cfg(test)]
mod tests {
    use super::super::{
        segments::{frontier_path, segment_path},
        signature_writer::SignatureWriter,
        signatures::Draft,
        testing::{StoppedClock, caller, signed},
    };
    use super::*;
    use crate::base::time::Clock as _;
    use std::{fs, sync::Arc};
    use tempfile::TempDir;

    #[tokio::test]
    async fn a_signature_log_of_many_segments_goes_on_from_any_of_its_checkpoints() {
        let (directory, heads) = ten_records().await;

        for (size, last) in heads.iter().enumerate() {
            replay(directory.path(), &expected(last), &heads[10]).unwrap();
            assert_eq!(last.size(), size as u64);
        }
    }

    #[tokio::test]
    async fn a_frontier_that_was_changed_with_its_segment_is_not_believed() {
        let (directory, heads) = ten_records().await;
        change(directory.path(), 2);
        let forged = reopened(directory.path()).await;

        for last in &heads[6..=10] {
            let refused = replay(directory.path(), &expected(last), &forged);
            assert!(matches!(refused, Err(AuditError::LogBroken { log: Log::Signatures, .. })), "{}", last.size());
        }
    }

    #[tokio::test]
    async fn a_head_that_the_lines_do_not_lead_to_is_not_signed() {
        let (directory, heads) = ten_records().await;
        let forged = frontier_path(directory.path(), 3);
        let nine_others = (0..9).fold(Frontier::default(), |mut frontier, _| {
            frontier.push(b"another");
            frontier
        });
        fs::write(forged, nine_others.to_string()).unwrap();
        let head = reopened(directory.path()).await;

        let refused = replay(directory.path(), &expected(&heads[4]), &head);

        assert_eq!(head.size(), 10);
        assert!(matches!(refused, Err(AuditError::LogBroken { log: Log::Signatures, .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn a_signature_log_without_frontiers_is_read_from_its_beginning() {
        let (directory, heads) = ten_records().await;
        (1..=3).for_each(|number| fs::remove_file(frontier_path(directory.path(), number)).unwrap());

        replay(directory.path(), &expected(&heads[8]), &heads[10]).unwrap();
    }

    #[tokio::test]
    async fn a_signature_log_that_lost_a_segment_names_the_first_record_in_doubt() {
        let (directory, heads) = ten_records().await;
        fs::remove_file(segment_path(directory.path(), 4)).unwrap();

        let short = replay(directory.path(), &expected(&heads[10]), &heads[9]);
        let cut = replay(directory.path(), &expected(&heads[4]), &heads[10]);

        for refused in [short, cut] {
            assert!(matches!(refused, Err(AuditError::LogBroken { log: Log::Signatures, seq: 10, .. })), "{refused:?}");
        }
    }

    /// Three records a segment; the head after each record.
    async fn ten_records() -> (TempDir, Vec<Frontier>) {
        let directory = tempfile::tempdir().unwrap();
        let writer = open(directory.path());
        let mut heads = vec![Frontier::default()];
        for _ in 0..10 {
            writer.append(&Draft::of(&caller(), &signed()).unwrap()).unwrap();
            heads.push(writer.head().await.unwrap());
        }
        (directory, heads)
    }

    /// What somebody does who knows how the log is stored.
    fn change(directory: &Path, segment: u32) {
        let path = segment_path(directory, segment);
        fs::write(&path, fs::read_to_string(&path).unwrap().replacen("web", "wob", 1)).unwrap();
        let mut frontier = Frontier::default();
        for number in 1..=3 {
            let lines = fs::read_to_string(segment_path(directory, number)).unwrap();
            lines.lines().for_each(|line| frontier.push(line.as_bytes()));
            fs::write(frontier_path(directory, number), frontier.to_string()).unwrap();
        }
    }

    async fn reopened(directory: &Path) -> Frontier {
        open(directory).head().await.unwrap()
    }

    fn open(directory: &Path) -> SignatureWriter {
        let mut line = Vec::new();
        Draft::of(&caller(), &signed()).unwrap().finish(1, StoppedClock.now(), &mut line);
        let limit_bytes = 2 * line.len() as u64 + 100;
        SignatureWriter::open(directory.to_owned(), Arc::new(StoppedClock), limit_bytes).unwrap()
    }

    fn expected(last: &Frontier) -> Expected {
        Expected { size: last.size(), root: last.root(), source: "its last checkpoint".to_owned() }
    }
}
