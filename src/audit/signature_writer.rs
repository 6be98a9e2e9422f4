//! Appends to the signature log, a line a request, in the order in which requests get the lock.
//!
//! A line goes to the page cache in the task of its request, which costs a few microseconds; handing it to a thread
//! and back cost several times that. What waits for the disk is not on this way: see [`super::syncer`].

use super::{
    blocking,
    error::{AuditError, unusable},
    merkle::Frontier,
    segments,
    signatures::Draft,
    tail::Tail,
};
use crate::base::time::Clock;
use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The one writer of the signature log. Dropped, it waits until everything appended is durable.
pub(super) struct SignatureWriter(Arc<Mutex<Writer>>);

struct Writer {
    clock: Arc<dyn Clock>,
    frontier: Frontier,
    line: Vec<u8>,
    tail: Tail,
}

impl SignatureWriter {
    /// Finds the end of the log.
    pub(super) fn open(directory: PathBuf, clock: Arc<dyn Clock>, limit_bytes: u64) -> Result<Self, AuditError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(unusable("make", &directory))?;
        let end = segments::recover(&directory)?;
        let tail = Tail::new(directory.clone(), &end, limit_bytes);
        let tail = tail.map_err(unusable("start a thread for", &directory))?;
        let writer = Writer { clock, frontier: end.frontier, line: Vec::new(), tail };
        Ok(Self(Arc::new(Mutex::new(writer))))
    }

    /// Appends a record; returns its sequence number when it is written.
    pub(super) fn append(&self, record: &Draft) -> Result<u64, AuditError> {
        locked(&self.0).append(record)
    }

    /// The head over all records so far, once they are durable.
    pub(super) async fn head(&self) -> Result<Frontier, AuditError> {
        let writer = Arc::clone(&self.0);
        blocking(move || {
            // Nobody who signs waits for the disk: the lock is given back first.
            let (frontier, file) = locked(&writer).head()?;
            if let Some(file) = file {
                file.sync_data().map_err(|cause| {
                    locked(&writer).tail.close();
                    unwritable(&cause)
                })?;
            }
            Ok(frontier)
        })
        .await
    }
}

impl Writer {
    fn append(&mut self, record: &Draft) -> Result<u64, AuditError> {
        let seq = self.frontier.size() + 1;
        self.line.clear();
        record.finish(seq, self.clock.now(), &mut self.line);
        self.tail.append(&self.line, &self.frontier).map_err(|cause| {
            tracing::error!(%cause, "the signature log cannot be written; signing stops until it can");
            unwritable(&cause)
        })?;
        self.frontier.push(self.line.trim_ascii_end());
        Ok(seq)
    }

    fn head(&mut self) -> Result<(Frontier, Option<Arc<File>>), AuditError> {
        let file = self.tail.file().map_err(|cause| unwritable(&cause))?;
        Ok((self.frontier.clone(), file))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(cause) = self.tail.flush() {
            tracing::error!(%cause, "the end of the signature log could not be made durable");
        }
    }
}

fn locked(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    // The frontier grows only after its line was written, so a panic elsewhere does not spoil it.
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unwritable(cause: &io::Error) -> AuditError {
    AuditError::SignatureLogUnwritable { cause: cause.to_string() }
}

/// A closed segment is about this long.
pub(super) const SEGMENT_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::super::{
        segments::{LogLines, frontier_path, segment_path},
        testing::{StoppedClock, caller, signed},
    };
    use super::*;
    use std::{fs, path::Path};

    #[tokio::test]
    async fn a_full_segment_is_closed_with_its_frontier_and_the_log_goes_on_in_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let writer = open(directory.path());
        append(&writer, 10).await;
        let head = writer.head().await.unwrap();
        drop(writer);

        let reopened = open(directory.path()).head().await.unwrap();

        assert_eq!(reopened, head);
        assert_eq!(reopened, frontier_of_lines(directory.path()));
        assert_eq!(reopened.size(), 10);
        assert!(segment_path(directory.path(), 4).exists());
        let closed: Frontier = fs::read_to_string(frontier_path(directory.path(), 3)).unwrap().parse().unwrap();
        assert_eq!(closed.size(), 9);
    }

    #[tokio::test]
    async fn a_log_goes_on_without_its_frontiers() {
        let directory = tempfile::tempdir().unwrap();
        let writer = open(directory.path());
        append(&writer, 10).await;
        let head = writer.head().await.unwrap();
        drop(writer);

        fs::remove_file(frontier_path(directory.path(), 3)).unwrap();
        fs::write(frontier_path(directory.path(), 2), "7\n").unwrap();

        assert_eq!(open(directory.path()).head().await.unwrap(), head);
    }

    #[tokio::test]
    async fn a_segment_that_cannot_be_made_refuses_the_record_and_loses_none() {
        let directory = tempfile::tempdir().unwrap();
        let writer = open(directory.path());
        append(&writer, 3).await;
        fs::create_dir(segment_path(directory.path(), 2)).unwrap();

        let refused = writer.append(&draft());
        fs::remove_dir(segment_path(directory.path(), 2)).unwrap();

        assert!(matches!(refused, Err(AuditError::SignatureLogUnwritable { .. })));
        assert_eq!(writer.append(&draft()).unwrap(), 4);
        assert_eq!(writer.head().await.unwrap(), frontier_of_lines(directory.path()));
    }

    /// Three records of the tests fill a segment.
    fn open(directory: &Path) -> SignatureWriter {
        let mut line = Vec::new();
        draft().finish(1, StoppedClock.now(), &mut line);
        let limit_bytes = 2 * line.len() as u64 + 100;
        SignatureWriter::open(directory.to_owned(), Arc::new(StoppedClock), limit_bytes).unwrap()
    }

    fn draft() -> Draft {
        Draft::of(&caller(), &signed()).unwrap()
    }

    async fn append(writer: &SignatureWriter, times: usize) {
        for _ in 0..times {
            writer.append(&draft()).unwrap();
        }
    }

    fn frontier_of_lines(directory: &Path) -> Frontier {
        let mut frontier = Frontier::default();
        let mut lines = LogLines::open(directory).unwrap();
        while let Some(line) = lines.next_line().unwrap() {
            frontier.push(&line);
        }
        frontier
    }
}
