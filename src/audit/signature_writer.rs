//! The one thread that appends to the signature log: whatever waits is written together, then answered.

use super::{
    error::{AuditError, unusable},
    merkle::Frontier,
    record::Record,
    segments,
    tail::Tail,
};
use crate::base::time::Clock;
use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
};
use tokio::sync::oneshot;

/// The way to the writing thread. Dropped, it waits until everything handed over is durable.
pub(super) struct SignatureWriter {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    Append(Box<Record>, Answer<u64>),
    Head(Answer<Frontier>),
}

type Answer<T> = oneshot::Sender<Result<T, AuditError>>;

struct Writer {
    clock: Arc<dyn Clock>,
    frontier: Frontier,
    tail: Tail,
}

/// Lines to be written together, and who waits for them.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    answers: Vec<Answer<u64>>,
}

impl SignatureWriter {
    /// Finds the end of the log and starts the thread.
    pub(super) fn open(directory: PathBuf, clock: Arc<dyn Clock>, limit_bytes: u64) -> Result<Self, AuditError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(unusable("make", &directory))?;
        let end = segments::recover(&directory)?;
        let not_started = || unusable("start a thread for", &directory);
        let tail = Tail::new(directory.clone(), &end, limit_bytes).map_err(not_started())?;
        let writer = Writer { clock, frontier: end.frontier, tail };
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new().name("audit-write".to_owned()).spawn(move || writer.run(&queue));
        Ok(Self { jobs: Some(jobs), thread: Some(thread.map_err(not_started())?) })
    }

    /// Appends a record; returns its sequence number when it is written.
    pub(super) async fn append(&self, record: Record) -> Result<u64, AuditError> {
        self.ask(|answer| Job::Append(Box::new(record), answer)).await
    }

    /// The head over all records so far, once they are durable.
    pub(super) async fn head(&self) -> Result<Frontier, AuditError> {
        self.ask(Job::Head).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, AuditError> {
        let gone = || unwritable("its writer has stopped");
        let (answer, answered) = oneshot::channel();
        self.jobs.as_ref().ok_or_else(gone)?.send(job(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for SignatureWriter {
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            self.serve(job, queue);
        }
        if let Err(cause) = self.tail.flush() {
            tracing::error!(%cause, "the end of the signature log could not be made durable");
        }
    }

    /// Serves a job and all that wait behind it, up to a batch.
    fn serve(&mut self, first: Job, queue: &Receiver<Job>) {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Append(record, answer) => self.add(&mut batch, *record, answer),
                Job::Head(answer) => {
                    self.write(std::mem::take(&mut batch));
                    let _ = answer.send(self.durable_head());
                }
            }
            next = if batch.bytes.len() < BATCH_BYTES { queue.try_recv().ok() } else { None };
        }
        self.write(batch);
    }

    fn add(&self, batch: &mut Batch, mut record: Record, answer: Answer<u64>) {
        record.seq = self.frontier.size() + batch.answers.len() as u64 + 1;
        record.time = self.clock.now();
        match record.to_line() {
            Ok(line) => {
                batch.bytes.extend_from_slice(line.as_bytes());
                batch.bytes.push(b'\n');
                batch.answers.push(answer);
            }
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    fn write(&mut self, batch: Batch) {
        if batch.answers.is_empty() {
            return;
        }
        let written = self.tail.append(&batch.bytes, &self.frontier).map_err(|cause| cause.to_string());
        if let Err(cause) = &written {
            tracing::error!(%cause, "the signature log cannot be written; signing stops until it can");
        }
        for (seq, answer) in (self.frontier.size() + 1..).zip(batch.answers) {
            // Nobody may wait any more; the record stays, since the signature may have been made.
            let _ = answer.send(written.clone().map(|()| seq).map_err(unwritable));
        }
        if written.is_ok() {
            let lines = batch.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.for_each(|line| self.frontier.push(line));
        }
    }

    fn durable_head(&mut self) -> Result<Frontier, AuditError> {
        self.tail.flush().map_err(|cause| unwritable(cause.to_string()))?;
        Ok(self.frontier.clone())
    }
}

fn unwritable(cause: impl Into<String>) -> AuditError {
    AuditError::SignatureLogUnwritable { cause: cause.into() }
}

/// A closed segment is about this long.
pub(super) const SEGMENT_BYTES: u64 = 64 << 20;

/// Long enough that a full queue goes out in one write, short enough that its first answer does not wait.
const BATCH_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::super::{
        segments::{LogLines, frontier_path, segment_path},
        testing::{StoppedClock, record},
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

        let refused = writer.append(record(0)).await;
        fs::remove_dir(segment_path(directory.path(), 2)).unwrap();

        assert!(matches!(refused, Err(AuditError::SignatureLogUnwritable { .. })));
        assert_eq!(writer.append(record(0)).await.unwrap(), 4);
        assert_eq!(writer.head().await.unwrap(), frontier_of_lines(directory.path()));
    }

    /// Three records of the tests fill a segment.
    fn open(directory: &Path) -> SignatureWriter {
        let limit_bytes = 2 * record(1).to_line().unwrap().len() as u64 + 100;
        SignatureWriter::open(directory.to_owned(), Arc::new(StoppedClock), limit_bytes).unwrap()
    }

    async fn append(writer: &SignatureWriter, times: usize) {
        for _ in 0..times {
            writer.append(record(0)).await.unwrap();
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
