//! Backups: wrapped copies of keys in an archive, their destination, and the proof that they come back.
//!
//! Owns the archive's format (`docs/backup-format.md`), the rows of backups, drills and proofs.
//! Use cases: [`run`], [`restore`], [`drill`], [`coverage`], and [`offline`] without an instance.
//!
//! Invariants: what leaves is wrapped by the token under a KEK; an archive is complete at its destination,
//! read back and renamed, or it is not there; nothing is overwritten; a backup with a gap is red; a key
//! counts as proved only after it signed from its copy.

pub mod api;
pub mod archive;
pub mod coverage;
mod db;
pub mod destination;
pub mod drill;
pub mod error;
mod identity;
pub mod inventory;
mod known;
pub mod manifest;
pub mod offline;
mod put_back;
pub mod restore;
pub mod run;
mod wrapped;

pub use db::{find, list};
pub use error::BackupError;
pub use identity::settle_audit_key;
pub use known::adopt_unrecorded;

use crate::base::ids::InstanceId;
use crate::ceremony::recover::Recoveries;
use crate::keys::Keys;
use destination::Directory;
use std::{path::PathBuf, sync::Arc};
use tokio::sync::{Mutex, RwLock};

/// What the use cases of backups work on; cheap to clone.
#[derive(Clone)]
pub struct Backups {
    /// Inventory, token, audit log.
    pub keys: Keys,
    /// Whose archives these are; changes when an empty instance takes one over.
    pub instance: Arc<RwLock<InstanceId>>,
    /// Where archives go.
    pub destination: Directory,
    /// The instance directory: drill reports and published certificates go there.
    pub directory: PathBuf,
    /// Secrets that were put together from shares, for one restore.
    pub recoveries: Recoveries,
    /// One backup or restore at a time.
    pub turn: Arc<Mutex<()>>,
}

impl Backups {
    /// The newest archive at the destination, or the one that was given.
    async fn latest_or(&self, latest: bool, given: Vec<u8>) -> Result<Vec<u8>, BackupError> {
        if !latest {
            return Ok(given);
        }
        let instance = *self.instance.read().await;
        self.destination.read(&self.destination.latest(instance)?)
    }
}
