//! What an operator watches of a token's pool.

use super::error::TokenError;
use crate::base::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a token can be used, as far as the pool knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The last worker could not be started, or the token gave no sign of life.
    Failing(Failing),
    /// A worker is there and logged in.
    Serving,
    /// Nobody has asked yet, or a worker is being started or has just ended.
    Unknown,
}

/// Since when a token cannot be used, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When that was first seen.
    pub since: Timestamp,
    /// What was seen last. Its kind says what is away: the token, or the PIN.
    pub error: TokenError,
}

/// How the pool stands, and what it met since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// A worker is there and logged in.
    pub is_serving: bool,
    /// Jobs that wait: single signatures.
    pub waiting_single: usize,
    /// Jobs that wait: everything else.
    pub waiting_batch: usize,
    /// Jobs that the worker has.
    pub under_way: usize,
    /// What was met.
    pub met: Met,
}

/// What a pool met since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Workers that came to serve.
    pub workers: u64,
    /// Jobs that were not answered by their deadline.
    pub late: u64,
    /// Jobs that found their lane full.
    pub turned_away: u64,
}

/// Counts what a pool meets.
#[derive(Debug, Default)]
pub(super) struct Tally {
    workers: AtomicU64,
    late: AtomicU64,
    turned_away: AtomicU64,
}

impl Tally {
    pub(super) fn worker(&self) {
        self.workers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn met(&self) -> Met {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Met { workers: of(&self.workers), late: of(&self.late), turned_away: of(&self.turned_away) }
    }
}
