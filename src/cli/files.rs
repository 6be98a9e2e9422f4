//! Local files: read, written new and private, and secrets from them or from a prompt.

use super::exit::CliError;
use crate::base::secret::Secret;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat_with};
use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The bytes of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|error| CliError::file("reading", path.display(), error))
}

/// A file that another part will read is there.
pub(super) fn check_there(path: &Path) -> Result<(), CliError> {
    fs::metadata(path).map(|_| ()).map_err(|error| CliError::file("reading", path.display(), error))
}

/// The text of a file.
pub(super) fn read_text(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|error| CliError::file("reading", path.display(), error))
}

/// A new file that is being written. It gets its name when it is whole, so that whatever ends keyward before
/// leaves nothing under it.
pub(super) struct NewFile<'a> {
    path: &'a Path,
    file: fs::File,
    /// The name until then, where the file system has no nameless files.
    temporary: Option<PathBuf>,
}

impl<'a> NewFile<'a> {
    /// Begins the file, mode 0600, before the work that fills it: a name that is taken is found out first.
    pub(super) fn create(path: &'a Path) -> Result<Self, CliError> {
        Self::with_mode(path, 0o600)
    }

    /// Begins a file that others may read: certificates, CSRs, public keys.
    pub(super) fn create_public(path: &'a Path) -> Result<Self, CliError> {
        Self::with_mode(path, 0o644)
    }

    fn with_mode(path: &'a Path, mode: u32) -> Result<Self, CliError> {
        let failed = |error| CliError::file("creating", path.display(), error);
        if path.symlink_metadata().is_ok() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        match open_nameless(directory_of(path), mode) {
            Ok(file) => Ok(Self { path, file, temporary: None }),
            Err(error) if has_no_nameless(&error) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let temporary = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
                let mut options = fs::OpenOptions::new();
                let file = options.write(true).create_new(true).mode(mode).open(&temporary).map_err(failed)?;
                Ok(Self { path, file, temporary: Some(temporary) })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Fills the file, and gives it its name.
    pub(super) fn finish(mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_all());
        written.map_err(|error| CliError::file("writing", self.path.display(), error))?;
        self.name().map_err(|error| CliError::file("creating", self.path.display(), error))
    }

    fn name(&mut self) -> io::Result<()> {
        if let Some(temporary) = &self.temporary {
            renameat_with(CWD, temporary, CWD, self.path, RenameFlags::NOREPLACE)?;
            self.temporary = None;
        } else {
            let nameless = format!("{DESCRIPTORS}/{}", self.file.as_raw_fd());
            linkat(CWD, nameless, CWD, self.path, AtFlags::SYMLINK_FOLLOW)?;
        }
        Ok(())
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn open_nameless(directory: &Path, mode: u32) -> io::Result<fs::File> {
    if !Path::new(DESCRIPTORS).exists() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(openat(CWD, directory, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(mode))?.into())
}

/// NFS and older file systems; a kernel that does not know the flag sees a directory opened for writing.
fn has_no_nameless(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory)
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // What stays is an empty or cut file that was never announced.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// A passphrase from a file, or from a prompt on the terminal.
pub(super) fn passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, CliError> {
    let missing = || CliError::invalid("no passphrase was given", "name a file with it: `--passphrase-file F`");
    match file {
        Some(path) => line(path),
        None => ask_twice("Passphrase: ", missing),
    }
}

/// The PIN of a token from a file, or from a prompt on the terminal.
pub(super) fn pin(file: Option<&Path>) -> Result<Zeroizing<String>, CliError> {
    let missing = || CliError::invalid("no PIN was given", "name a file with it: `--pin-file F`");
    match file {
        Some(path) => line(path),
        None => ask("PIN: ", missing),
    }
}

/// A new PIN for a token from a file, or from a prompt on the terminal.
pub(super) fn new_pin(file: Option<&Path>) -> Result<Zeroizing<String>, CliError> {
    let missing = || CliError::invalid("no new PIN was given", "name a file with it: `--new-pin-file F`");
    match file {
        Some(path) => line(path),
        None => ask_twice("New PIN: ", missing),
    }
}

/// The text of a file without the end of its line.
fn line(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(read_text(path)?);
    if text.ends_with('\n') {
        text.pop();
    }
    if text.ends_with('\r') {
        text.pop();
    }
    Ok(text)
}

fn ask(text: &str, missing: impl Fn() -> CliError) -> Result<Zeroizing<String>, CliError> {
    if !io::stdin().is_terminal() {
        return Err(missing());
    }
    rpassword::prompt_password(text).map(Zeroizing::new).map_err(|_| missing())
}

fn ask_twice(text: &str, missing: impl Fn() -> CliError) -> Result<Zeroizing<String>, CliError> {
    let (first, second) = (ask(text, &missing)?, ask("Again: ", &missing)?);
    if first == second { Ok(first) } else { Err(CliError::invalid("the two differ", "type the same twice")) }
}

/// What asks the person at the terminal for the PIN of a token; none where there is no terminal.
pub(super) fn ask_for_pin() -> Option<fn(&str) -> io::Result<Secret>> {
    let ask: fn(&str) -> io::Result<Secret> =
        |token| rpassword::prompt_password(format!("PIN of token {token}: ")).map(|pin| Secret::new(pin.into_bytes()));
    io::stdin().is_terminal().then_some(ask)
}

/// Asks a question whose answer must be yes.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    let refused = || CliError::invalid(format!("{question} was not confirmed"), "answer `yes`, or add `--yes`");
    if !io::stdin().is_terminal() {
        return Err(refused());
    }
    // Without a line end; nobody listens if it cannot be written, and then nobody answers.
    let _ = write!(io::stderr(), "{question}? Type `yes` to go on: ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| CliError::file("reading", "the answer", error))?;
    if answer.trim() == "yes" { Ok(()) } else { Err(refused()) }
}

/// Where a process finds its open files by number.
const DESCRIPTORS: &str = "/proc/self/fd";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let listed = || fs::read_dir(directory.path()).unwrap().count();

        let file = NewFile::create(&path).unwrap_or_else(|_| panic!("not created"));
        assert_eq!(listed(), 0);
        assert!(file.finish(b"whole").is_ok());

        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(NewFile::create(&path).is_err());
        assert_eq!(listed(), 1);
    }

    #[test]
    fn a_name_that_was_taken_meanwhile_keeps_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        for temporary in [None, Some(directory.path().join("temporary"))] {
            let file = temporary.as_ref().map_or_else(|| open_nameless(directory.path(), 0o600), fs::File::create);
            let file = NewFile { path: &path, file: file.unwrap(), temporary };
            fs::write(&path, b"theirs").unwrap();

            assert!(file.finish(b"ours").is_err());

            assert_eq!(fs::read(&path).unwrap(), b"theirs");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }
}
