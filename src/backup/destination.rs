//! A directory as destination: written under a temporary name, read back by hash, renamed; never overwritten.

use super::{
    BackupError,
    archive::{prefix, sequence_in},
};
use crate::base::ids::InstanceId;
use crate::db::durable::sync_parent;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// A directory that archives go to.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory at this path; made with the first archive.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores an archive; on return it is durable under its name.
    ///
    /// # Errors
    /// The disk is full, the directory cannot be written, a file of the name is there, or the bytes read
    /// back differ. Nothing is left under the name then.
    pub fn store(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, BackupError> {
        let path = self.path.join(name);
        let partial = self.path.join(format!("{name}{PARTIAL}"));
        let written = self.write(&partial, bytes).and_then(|()| settle(&partial, &path));
        if written.is_err() {
            // What could not be written fully may not be removable either; the next start tries again.
            let _ = fs::remove_file(&partial);
        }
        written.map(|()| path)
    }

    /// Reads an archive.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, BackupError> {
        let path = self.path.join(name);
        fs::read(&path).map_err(|source| BackupError::DestinationFailed { action: "reading", path, source })
    }

    /// Name of the archive with the highest number: of this instance if there is one, else of any.
    ///
    /// # Errors
    /// There is none, or the directory cannot be read.
    pub fn latest(&self, instance: InstanceId) -> Result<String, BackupError> {
        let names = self.names()?;
        let newest = |ours: bool| {
            let some = names.iter().filter(|name| !ours || name.starts_with(&prefix(instance)));
            some.max_by_key(|name| sequence_in(name)).cloned()
        };
        newest(true)
            .or_else(|| newest(false))
            .ok_or_else(|| BackupError::DestinationEmpty { directory: self.path.clone() })
    }

    /// Archives of this instance with a higher number than `after`.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn newer_than(&self, instance: InstanceId, after: u64) -> Result<Vec<String>, BackupError> {
        let mut names = self.names()?;
        names.retain(|name| name.starts_with(&prefix(instance)) && sequence_in(name) > Some(after));
        names.sort_by_key(|name| sequence_in(name));
        Ok(names)
    }

    /// Whether an archive of this name is there.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// Removes what an interrupted upload of this instance left under a temporary name.
    pub fn clear_partial(&self, instance: InstanceId) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(|name| name.starts_with(&prefix(instance)) && name.ends_with(PARTIAL));
            if ours {
                // A file that stays is not an archive to anybody.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Names of all archives; none if the directory is not there yet.
    fn names(&self) -> Result<Vec<String>, BackupError> {
        match fs::read_dir(&self.path) {
            Ok(entries) => Ok(entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| sequence_in(name).is_some())
                .collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(BackupError::DestinationFailed { action: "listing", path: self.path.clone(), source }),
        }
    }

    fn write(&self, partial: &Path, bytes: &[u8]) -> Result<(), BackupError> {
        let failed =
            |action, path: &Path, source| BackupError::DestinationFailed { action, path: path.to_owned(), source };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|source| failed("making", &self.path, source))?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(partial)
            .map_err(|source| failed("creating", partial, source))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| failed("writing", partial, source))?;
        let back = fs::read(partial).map_err(|source| failed("reading back", partial, source))?;
        if Sha256::digest(&back) != Sha256::digest(bytes) {
            let source = io::Error::other("the bytes read back are not the bytes written");
            return Err(failed("reading back", partial, source));
        }
        Ok(())
    }
}

/// Gives the file its name, unless that is taken, and makes the name durable.
fn settle(partial: &Path, path: &Path) -> Result<(), BackupError> {
    renameat_with(CWD, partial, CWD, path, RenameFlags::NOREPLACE).map_err(|error| match error {
        rustix::io::Errno::EXIST => BackupError::DestinationTaken { path: path.to_owned() },
        other => BackupError::DestinationFailed { action: "renaming", path: path.to_owned(), source: other.into() },
    })?;
    sync_parent(path).map_err(|source| BackupError::DestinationFailed {
        action: "syncing",
        path: path.to_owned(),
        source,
    })
}

const PARTIAL: &str = ".partial";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_never_overwritten_and_nothing_partial_stays() {
        let directory = tempfile::tempdir().unwrap();
        let destination = Directory::new(directory.path().join("backups"));
        destination.store("keyward-a-b-000001.tar", b"first").unwrap();

        let error = destination.store("keyward-a-b-000001.tar", b"second").unwrap_err();

        assert!(matches!(error, BackupError::DestinationTaken { .. }), "{error}");
        assert_eq!(destination.read("keyward-a-b-000001.tar").unwrap(), b"first");
        assert_eq!(fs::read_dir(destination.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_latest_archive_is_our_own_with_the_highest_number_or_else_anybodys() {
        let directory = tempfile::tempdir().unwrap();
        let destination = Directory::new(directory.path().to_owned());
        let (ours, theirs) = (InstanceId::from_bytes([0xaa; 16]), InstanceId::from_bytes([0xbb; 16]));
        assert!(matches!(destination.latest(ours), Err(BackupError::DestinationEmpty { .. })));
        for name in [
            "keyward-aaaaaaaa-b-000010.tar",
            "keyward-aaaaaaaa-c-000009.tar",
            "keyward-aaaaaaaa-d-000011.tar.partial",
            "keyward-bbbbbbbb-e-000012.tar",
            "keyward-bbbbbbbb-e-000013.tar.partial",
            "x.tar",
        ] {
            fs::write(directory.path().join(name), b"").unwrap();
        }

        assert_eq!(destination.latest(ours).unwrap(), "keyward-aaaaaaaa-b-000010.tar");
        assert_eq!(destination.latest(InstanceId::from_bytes([0xcc; 16])).unwrap(), "keyward-bbbbbbbb-e-000012.tar");
        assert_eq!(destination.newer_than(ours, 9).unwrap(), ["keyward-aaaaaaaa-b-000010.tar"]);
        destination.clear_partial(theirs);
        assert!(destination.holds("keyward-aaaaaaaa-d-000011.tar.partial"));
        assert!(!destination.holds("keyward-bbbbbbbb-e-000013.tar.partial"));
    }
}
