//! Local files: read, written new and private, and secrets from them or from a prompt.

use super::exit::CliError;
use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
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

/// A new file that is being written; removed again if it is not finished.
pub(super) struct NewFile<'a> {
    path: &'a Path,
    file: fs::File,
    finished: bool,
}

impl<'a> NewFile<'a> {
    /// Makes the file, mode 0600, before the work that fills it: a name that is taken is found out first.
    pub(super) fn create(path: &'a Path) -> Result<Self, CliError> {
        Self::with_mode(path, 0o600)
    }

    /// Makes a file that others may read: certificates, CSRs, public keys.
    pub(super) fn create_public(path: &'a Path) -> Result<Self, CliError> {
        Self::with_mode(path, 0o644)
    }

    fn with_mode(path: &'a Path, mode: u32) -> Result<Self, CliError> {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let file = file.map_err(|error| CliError::file("creating", path.display(), error))?;
        Ok(Self { path, file, finished: false })
    }

    /// Fills the file.
    pub(super) fn finish(mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_all());
        written.map_err(|error| CliError::file("writing", self.path.display(), error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.finished {
            // What stays is an empty or cut file that was never announced.
            let _ = fs::remove_file(self.path);
        }
    }
}

/// A passphrase from a file, or from a prompt on the terminal.
pub(super) fn passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, CliError> {
    let Some(path) = file else { return prompt() };
    let mut text = Zeroizing::new(read_text(path)?);
    if text.ends_with('\n') {
        text.pop();
    }
    if text.ends_with('\r') {
        text.pop();
    }
    Ok(text)
}

fn prompt() -> Result<Zeroizing<String>, CliError> {
    let missing = || CliError::invalid("no passphrase was given", "name a file with it: `--passphrase-file F`");
    if !io::stdin().is_terminal() {
        return Err(missing());
    }
    let ask = |text| rpassword::prompt_password(text).map(Zeroizing::new).map_err(|_| missing());
    let (first, second) = (ask("Passphrase: ")?, ask("Again: ")?);
    if first == second {
        Ok(first)
    } else {
        Err(CliError::invalid("the two passphrases differ", "type the same one twice"))
    }
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
    eprint!("{question}? Type `yes` to go on: ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| CliError::file("reading", "the answer", error))?;
    if answer.trim() == "yes" { Ok(()) } else { Err(refused()) }
}
