//! The audit logs: what was done, by whom, with which outcome, so that a changed log shows.
//!
//! Two logs, each an RFC 6962 Merkle log over lines of RFC 8785 JSON whose sequence numbers begin at 1:
//! *management* is rows of the database, written in the transaction of the change that they record;
//! *signatures* is append-only segment files under `audit/`, written before the answer.
//!
//! Invariants:
//! - An intent is durable before the token is called; its result is committed with the change it reports.
//! - A line is stored as it was hashed and never written again.
//! - Once `signed` has answered, a kill of the process loses nothing, a power cut at most 200 ms.
//!   While the signature log cannot be written, every `signed` fails.
//! - A checkpoint covers durable records only, and all that the checkpoint before it covers, unchanged:
//!   no log is signed that the last checkpoint contradicts, whatever name that one was made under.
//! - The frontiers that checkpoints are made of are kept in memory, so that a line which is changed on
//!   disk behind a running instance contradicts its next checkpoint.
//!
//! Use cases: [`Audit::intent`], [`Audit::result`], [`Audit::event`], [`Audit::open_intents`],
//! [`Audit::signed`], [`Audit::list`], [`Audit::checkpoint`], [`Audit::export`], [`Audit::verify_live`];
//! without an instance [`offline::verify_export`].

pub mod api;
pub mod canonical;
pub mod checkpoint;
mod continuity;
mod db;
pub mod error;
pub mod export;
mod figures;
mod list;
pub mod management;
pub mod merkle;
pub mod offline;
mod publish;
pub mod record;
mod segments;
mod signature_writer;
pub mod signatures;
mod syncer;
mod tail;
#[cfg(test)]
mod testing;
mod verify;
mod verify_live;

pub use error::AuditError;
pub use figures::Figures;
pub use management::{Intent, Verdict};
pub use record::{Log, ObjectRef, Outcome, Record};
pub use signatures::SignatureRecord;

use crate::base::{ids::InstanceId, time::Clock};
use crate::db::Database;
use continuity::Heads;
use figures::Tally;
use signature_writer::SignatureWriter;
use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::Mutex;

/// Who writes a pair of logs: the instance, and what tells a later writer of the same instance from the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The instance.
    pub instance: InstanceId,
    /// Empty for the first writer.
    pub suffix: String,
}

impl Writer {
    /// The first line of a log's checkpoints, and the name of the key that signs them:
    /// `keyward/INSTANCE/LOG`, for a further writer `keyward/INSTANCE/LOG/SUFFIX`.
    #[must_use]
    pub fn origin(&self, log: Log) -> String {
        let separator = if self.suffix.is_empty() { "" } else { "/" };
        format!("keyward/{}/{log}{separator}{}", self.instance, self.suffix)
    }

    /// The log of this instance that an origin names, whoever its writer is.
    #[must_use]
    pub fn log_of(instance: InstanceId, origin: &str) -> Option<Log> {
        let (of, log) = parts(origin)?;
        if of == instance.to_string() { Some(log) } else { None }
    }

    /// The log that an origin names, of whichever instance.
    #[must_use]
    pub fn log_named(origin: &str) -> Option<Log> {
        parts(origin).map(|(_, log)| log)
    }
}

/// The audit logs of one instance; cheap to clone. The last clone waits for the signature log's last write.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    db: Database,
    directory: PathBuf,
    writer: RwLock<Writer>,
    clock: Arc<dyn Clock>,
    signatures: SignatureWriter,
    /// The lock also keeps checkpoints in order.
    heads: Mutex<Heads>,
    tally: Tally,
}

impl Audit {
    /// Opens both logs, and makes `directory` if it is not there.
    ///
    /// Reads the newest segment of the signature log, and cuts a last line that a crash left unfinished:
    /// nobody was ever answered for it.
    ///
    /// # Errors
    /// The directory or a segment cannot be read, or a segment has been removed that is needed to go on.
    pub async fn open(
        db: Database,
        directory: PathBuf,
        writer: Writer,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuditError> {
        let (opened, writers_clock) = (directory.clone(), Arc::clone(&clock));
        let signatures =
            blocking(move || SignatureWriter::open(opened, writers_clock, signature_writer::SEGMENT_BYTES)).await?;
        let heads = Mutex::new(Heads::default());
        let (writer, tally) = (RwLock::new(writer), Tally::default());
        Ok(Self(Arc::new(Inner { db, directory, writer, clock, signatures, heads, tally })))
    }

    /// Goes on under another name: the instance took the place of another. Checkpoints that were made under
    /// the old name are replaced by the next [`Audit::checkpoint`].
    pub fn rename(&self, writer: Writer) {
        *self.0.writer.write().unwrap_or_else(PoisonError::into_inner) = writer;
    }

    /// Goes on under another name and with another key. What the former key signed last is kept beside the new
    /// checkpoints, named after the new writer.
    ///
    /// # Errors
    /// A checkpoint cannot be renamed.
    pub fn hand_over(&self, writer: Writer) -> Result<(), AuditError> {
        for log in Log::ALL {
            let path = publish::checkpoint_path(&self.0.directory, *log);
            let kept = path.with_added_extension(format!("before-{}", writer.suffix));
            match std::fs::rename(&path, kept) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error::unusable("rename", &path)(cause));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.rename(writer);
        Ok(())
    }

    /// Who writes these logs.
    #[must_use]
    pub fn writer(&self) -> Writer {
        self.0.writer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Instance and log of an origin.
fn parts(origin: &str) -> Option<(&str, Log)> {
    let mut parts = origin.strip_prefix("keyward/")?.split('/');
    Some((parts.next()?, parts.next()?.parse().ok()?))
}

/// Runs file work where it holds up no other task.
async fn blocking<T, F>(work: F) -> Result<T, AuditError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, AuditError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|cause| AuditError::Interrupted { cause: cause.to_string() })?
}
