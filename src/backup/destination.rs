//! A directory as destination: written under a temporary name, read back by hash, renamed; never overwritten.

use super::{BackupError, archive::sequence_in};
use crate::base::ids::InstanceId;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashSet,
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
        let written = self.write(&partial, bytes).and_then(|()| settle(&partial, &path, &self.path));
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

    /// Name of the archive with the highest number.
    ///
    /// # Errors
    /// There is none, or the directory cannot be read.
    pub fn latest(&self) -> Result<String, BackupError> {
        let empty = || BackupError::DestinationEmpty { directory: self.path.clone() };
        let names = match fs::read_dir(&self.path) {
            Ok(entries) => entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(empty()),
            Err(source) => {
                return Err(BackupError::DestinationFailed { action: "listing", path: self.path.clone(), source });
            }
        };
        names.filter(|name| sequence_in(name).is_some()).max_by_key(|name| sequence_in(name)).ok_or_else(empty)
    }

    /// The numbers of an instance's archives that are here, recorded or not; none if that cannot be seen.
    #[must_use]
    pub fn numbers_of(&self, instance: InstanceId) -> HashSet<u64> {
        let Ok(entries) = fs::read_dir(&self.path) else { return HashSet::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let prefix = format!("keyward-{}-", &instance.to_string()[..8]);
        names.filter(|name| name.starts_with(&prefix)).filter_map(|name| sequence_in(&name)).collect()
    }

    /// Removes what an interrupted upload left under a temporary name.
    pub fn clear_partial(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.to_str().is_some_and(|path| path.ends_with(PARTIAL)) {
                // A file that stays is not an archive to anybody.
                let _ = fs::remove_file(path);
            }
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
fn settle(partial: &Path, path: &Path, directory: &Path) -> Result<(), BackupError> {
    renameat_with(CWD, partial, CWD, path, RenameFlags::NOREPLACE).map_err(|error| match error {
        rustix::io::Errno::EXIST => BackupError::DestinationTaken { path: path.to_owned() },
        other => BackupError::DestinationFailed { action: "renaming", path: path.to_owned(), source: other.into() },
    })?;
    fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| BackupError::DestinationFailed { action: "syncing", path: directory.to_owned(), source })
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
    fn the_latest_archive_is_the_one_with_the_highest_number() {
        let directory = tempfile::tempdir().unwrap();
        let destination = Directory::new(directory.path().to_owned());
        assert!(matches!(destination.latest(), Err(BackupError::DestinationEmpty { .. })));
        for name in ["keyward-a-b-000010.tar", "keyward-a-c-000009.tar", "keyward-a-d-000011.tar.partial", "x.tar"] {
            fs::write(directory.path().join(name), b"").unwrap();
        }

        assert_eq!(destination.latest().unwrap(), "keyward-a-b-000010.tar");
        destination.clear_partial();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }
}
