//! A PIN that a program prints: a secret manager's client, a script of the site.

use super::{LONGEST_PIN_BYTES, file::too_long};
use crate::base::secret::Secret;
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    time::timeout,
};
use zeroize::Zeroizing;

/// A program and its arguments; no shell is between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinCommand {
    /// Absolute path.
    pub program: PathBuf,
    /// What it is given.
    pub arguments: Vec<String>,
}

impl PinCommand {
    /// What messages call it: the program, since arguments are somebody else's business.
    pub(super) fn name(&self) -> String {
        format!("the command {}", self.program.display())
    }

    /// Runs it, and takes what it prints.
    pub(super) async fn run(&self) -> io::Result<Secret> {
        self.run_within(LIMIT).await
    }

    async fn run_within(&self, limit: Duration) -> io::Result<Secret> {
        check_owned(&self.program)?;
        let mut child = self.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        match timeout(limit, finish(&mut child)).await {
            Ok(Ok((status, printed, said))) => judge(status, printed, &said),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                // With what it has started itself, which may hold the pipes open.
                if let Some(group) = group {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                Err(io::Error::other(format!("it did not end within {} s", limit.as_secs())))
            }
        }
    }

    /// Nothing of our environment is in the child's: what it needs, its own script says.
    fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }
}

/// Only root and this user may be able to say what runs: the file, and the folder in which it could be exchanged.
fn check_owned(program: &Path) -> io::Result<()> {
    let found = program.canonicalize()?;
    for path in [Some(found.as_path()), found.parent()].into_iter().flatten() {
        let metadata = path.metadata()?;
        let fault = |what: String| Err(io::Error::other(format!("{} {what}", path.display())));
        if ![0, geteuid().as_raw()].contains(&metadata.uid()) {
            return fault(format!("belongs to uid {}", metadata.uid()));
        }
        // In a sticky folder, like /tmp, nobody can exchange what is another's.
        let is_sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
        if metadata.mode() & 0o022 != 0 && !is_sticky {
            return fault(format!("has mode {:04o}, other users can write it", metadata.mode() & 0o7777));
        }
    }
    Ok(())
}

/// Exit status, standard output, and the beginning of standard error.
async fn finish(child: &mut Child) -> io::Result<(ExitStatus, Zeroizing<Vec<u8>>, Vec<u8>)> {
    let missing = || io::Error::other("its output cannot be read");
    let (stdout, stderr) = (child.stdout.take().ok_or_else(missing)?, child.stderr.take().ok_or_else(missing)?);
    let (printed, said) = tokio::try_join!(read_some(stdout, LONGEST_PIN_BYTES + 3), read_some(stderr, SAID_BYTES))?;
    Ok((child.wait().await?, printed, said.to_vec()))
}

/// Keeps the first bytes, and reads the rest so that the writer is not held up; no copies are left behind.
async fn read_some(mut from: impl AsyncRead + Unpin, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut kept = Zeroizing::new(Vec::with_capacity(most));
    let mut piece = Zeroizing::new([0; 512]);
    loop {
        let read = from.read(&mut *piece).await?;
        if read == 0 {
            return Ok(kept);
        }
        let room = most - kept.len();
        kept.extend_from_slice(&piece[..read.min(room)]);
    }
}

fn judge(status: ExitStatus, mut printed: Zeroizing<Vec<u8>>, said: &[u8]) -> io::Result<Secret> {
    let pin = Secret::from_line(std::mem::take(&mut *printed));
    if !said.is_empty() {
        tracing::warn!(%status, "the command of the PIN says: {}", without(said, &pin));
    }
    if !status.success() {
        return Err(io::Error::other(format!("it ended with {status}")));
    }
    if pin.expose().len() > LONGEST_PIN_BYTES { Err(too_long()) } else { Ok(pin) }
}

/// What a program said, for the log: on one line, and without the PIN or a line of it if it said that too.
fn without(said: &[u8], pin: &Secret) -> String {
    let mut text = String::from_utf8_lossy(said).trim_end().replace(['\n', '\r'], " | ");
    let pin = Zeroizing::new(String::from_utf8_lossy(pin.expose()).into_owned());
    for line in pin.lines().map(str::trim).filter(|line| !line.is_empty()) {
        text = text.replace(line, "[PIN]");
    }
    text
}

/// The network may be asked.
const LIMIT: Duration = Duration::from_secs(30);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of standard error, for the log.
const SAID_BYTES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    fn shell(script: &str) -> PinCommand {
        PinCommand { program: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script.to_owned()] }
    }

    async fn fault(script: &str) -> String {
        shell(script).run_within(Duration::from_secs(1)).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn what_a_program_prints_is_the_pin_and_nothing_of_our_environment_is_in_its_own() {
        assert_eq!(shell("echo 1234").run().await.unwrap().expose(), b"1234");

        let seen = shell("env | grep -v '^PWD=' | grep -v '^SHLVL=' | grep -v '^_=' | wc -l").run().await.unwrap();

        assert_eq!(seen.expose(), b"1");
    }

    #[tokio::test]
    async fn a_program_that_fails_prints_too_much_or_does_not_end_gives_no_pin() {
        assert_eq!(fault("echo 1234; exit 3").await, "it ended with exit status: 3");
        assert_eq!(fault("head -c 2000 /dev/zero | tr '\\0' 1").await, "it is too long for a PIN");
        assert_eq!(fault("sleep 60 & wait").await, "it did not end within 1 s");
    }

    #[tokio::test]
    async fn a_program_that_others_can_write_is_not_run() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("pin");
        fs::write(&program, "#!/bin/sh\necho 1234\n").unwrap();
        let run = || PinCommand { program: program.clone(), arguments: Vec::new() };
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();

        mode(&program, 0o775);
        let file = run().run().await.unwrap_err().to_string();
        mode(&program, 0o755);
        mode(directory.path(), 0o777);
        let folder = run().run().await.unwrap_err().to_string();

        assert!(file.contains("has mode 0775, other users can write it"), "{file}");
        assert!(folder.contains("has mode 0777, other users can write it"), "{folder}");
    }

    #[test]
    fn what_a_program_says_goes_to_the_log_without_the_pin() {
        let pin = Secret::new(b"hunter2".to_vec());

        assert_eq!(without(b"the PIN is hunter2\nbye\n", &pin), "the PIN is [PIN] | bye");
    }
}
