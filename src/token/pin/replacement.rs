//! The change of a PIN file in a way that a crash at any point leaves both PINs, or the one that the token has.
//!
//! The new PIN is written beside first, to `FILE.new`; then the token changes; then the new file takes the old one's
//! name. While both are there nobody knows which one counts: a login tries the old one, and then the new one.

use super::file;
use crate::base::secret::Secret;
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The PIN beside, if a change was begun and not brought to its end.
pub(super) fn read(pin_file: &Path) -> Option<Secret> {
    file::read(&beside(pin_file)).ok().filter(|pin| !pin.is_empty())
}

/// Writes the PIN beside; durable on return.
pub(super) fn begin(pin_file: &Path, new: &Secret) -> io::Result<()> {
    match file::read(pin_file) {
        // One of another user is not ours to exchange.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let path = beside(pin_file);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    written.write_all(new.expose())?;
    written.sync_all()?;
    sync_directory(pin_file)
}

/// The token has taken the new PIN.
pub(super) fn finish(pin_file: &Path) -> io::Result<()> {
    fs::rename(beside(pin_file), pin_file)?;
    sync_directory(pin_file)
}

/// The token has the old PIN.
pub(super) fn cancel(pin_file: &Path) {
    // One that stays costs a wrong try at most, at the next login with a PIN file that is wrong.
    let _ = fs::remove_file(beside(pin_file));
}

fn beside(pin_file: &Path) -> PathBuf {
    let mut name = pin_file.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn sync_directory(pin_file: &Path) -> io::Result<()> {
    let directory = pin_file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(directory)?.sync_all()
}
