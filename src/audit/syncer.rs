//! Makes what was appended durable soon, on a thread of its own, so that no answer waits for the disk.

use std::{
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Calls fdatasync within [`SYNC_AFTER`] of a write, or after [`SYNC_BYTES`], whichever comes first.
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// What was appended and is not yet on its way to the disk.
    waiting: Option<Waiting>,
    /// The disk refused since the last [`Syncer::take_failure`].
    failed: bool,
    closing: bool,
}

struct Waiting {
    file: Arc<File>,
    since: Instant,
    bytes: u64,
}

impl Syncer {
    pub(super) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("audit-sync".to_owned()).spawn(move || of_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// So many bytes were appended to the file.
    pub(super) fn wrote(&self, file: &Arc<File>, bytes: u64) {
        let mut state = self.shared.lock();
        let waiting =
            state.waiting.get_or_insert_with(|| Waiting { file: Arc::clone(file), since: Instant::now(), bytes: 0 });
        let first = waiting.bytes == 0;
        waiting.bytes += bytes;
        if first || waiting.bytes >= SYNC_BYTES {
            self.shared.wake.notify_one();
        }
    }

    /// Everything that was appended is durable: nothing waits.
    pub(super) fn forget(&self) {
        self.shared.lock().waiting = None;
    }

    /// Whether the disk has refused since the last call.
    pub(super) fn take_failure(&self) -> bool {
        std::mem::take(&mut self.shared.lock().failed)
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn run(&self) {
        while let Some(file) = self.next_due() {
            if let Err(cause) = file.sync_data() {
                tracing::error!(%cause, "the signature log could not be made durable; signing stops until it can");
                self.lock().failed = true;
            }
        }
    }

    /// Waits until a file is due; nothing when closing.
    fn next_due(&self) -> Option<Arc<File>> {
        let mut state = self.lock();
        while !state.closing {
            state = match state.waiting.take() {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(waiting) if waiting.is_due() => return Some(waiting.file),
                Some(waiting) => {
                    let left = SYNC_AFTER.saturating_sub(waiting.since.elapsed());
                    state.waiting = Some(waiting);
                    self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_due(&self) -> bool {
        self.bytes >= SYNC_BYTES || self.since.elapsed() >= SYNC_AFTER
    }
}

/// The promise is 200 ms; the rest is for the disk.
const SYNC_AFTER: Duration = Duration::from_millis(150);
const SYNC_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn a_write_is_synchronised_without_another_one_behind_it() {
        for bytes in [1, SYNC_BYTES] {
            let syncer = Syncer::start().unwrap();

            syncer.wrote(&unsynchronisable(), bytes);

            // Its refusal shows that the disk was asked; were it not asked, this would never end.
            while !syncer.take_failure() {
                thread::yield_now();
            }
        }
    }

    /// A file that refuses fdatasync.
    fn unsynchronisable() -> Arc<File> {
        Arc::new(OpenOptions::new().append(true).open("/dev/full").unwrap())
    }
}
