//! What an operator watches of the logs.

use super::{Audit, error::AuditError, publish::checkpoint_path, record::Log};
use crate::base::time::Timestamp;
use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::UNIX_EPOCH,
};

/// How one log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Which one.
    pub log: Log,
    /// Records written since the start.
    pub written: u64,
    /// Records that could not be written since then.
    pub failed: u64,
    /// When its last checkpoint was made.
    pub checkpoint_at: Option<Timestamp>,
}

/// Counts records of both logs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    written: [AtomicU64; 2],
    failed: [AtomicU64; 2],
}

impl Tally {
    /// Counts a record, or its failure, and passes it on.
    pub(super) fn note<T>(&self, log: Log, written: Result<T, AuditError>) -> Result<T, AuditError> {
        let counters = if written.is_ok() { &self.written } else { &self.failed };
        counters[index(log)].fetch_add(1, Ordering::Relaxed);
        written
    }
}

impl Audit {
    /// How both logs stand.
    #[must_use]
    pub fn figures(&self) -> [Figures; 2] {
        [Log::Management, Log::Signatures].map(|log| {
            let of = |counters: &[AtomicU64; 2]| counters[index(log)].load(Ordering::Relaxed);
            let (written, failed) = (of(&self.0.tally.written), of(&self.0.tally.failed));
            Figures { log, written, failed, checkpoint_at: self.checkpoint_at(log) }
        })
    }

    /// The file's own time, which also a restart leaves as it is.
    fn checkpoint_at(&self, log: Log) -> Option<Timestamp> {
        let file = fs::metadata(checkpoint_path(&self.0.directory, log)).ok()?;
        let since = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?))
    }
}

const fn index(log: Log) -> usize {
    match log {
        Log::Management => 0,
        Log::Signatures => 1,
    }
}
