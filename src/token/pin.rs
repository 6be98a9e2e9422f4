//! Where a PIN comes from, and the memory of a refused one: a wrong PIN is sent once, also across restarts.

use super::error::TokenError;
use crate::base::secret::Secret;
use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A reference to a PIN; the value is read when it is needed and not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    /// A credential that systemd gives to the service (`LoadCredential=`, `LoadCredentialEncrypted=`).
    Credential {
        /// `$CREDENTIALS_DIRECTORY`; none if systemd did not start this process, or gave it none.
        directory: Option<PathBuf>,
        /// Its name, which is that of a file in there.
        name: String,
    },
    /// A file of this user with mode 0600 or stricter.
    File(PathBuf),
}

impl PinSource {
    /// What messages call the source.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Credential { directory: Some(directory), name } => directory.join(name).display().to_string(),
            Self::Credential { directory: None, name } => format!("the systemd credential `{name}`"),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Reads the PIN of the token with this label.
    ///
    /// # Errors
    /// The file is missing, empty, or open to other users: then the PIN counts as known to them.
    pub fn read(&self, token: &str) -> Result<Secret, TokenError> {
        self.read_guarded().map_err(|cause| TokenError::PinUnreadable {
            token: token.to_owned(),
            source_name: self.name(),
            cause: cause.to_string(),
        })
    }

    fn read_guarded(&self) -> io::Result<Secret> {
        // What is checked is the file that is read, also when the path leads elsewhere a moment later.
        let mut file = fs::File::open(self.path()?)?;
        self.check_guard(&file.metadata()?)?;
        let secret = read_line(&mut file)?;
        if secret.is_empty() {
            return Err(io::Error::other("it is empty"));
        }
        Ok(secret)
    }

    fn path(&self) -> io::Result<PathBuf> {
        match self {
            Self::Credential { directory: Some(directory), name } => Ok(directory.join(name)),
            Self::Credential { directory: None, .. } => Err(io::Error::other(
                "there is no CREDENTIALS_DIRECTORY: only a service that systemd started has credentials",
            )),
            Self::File(path) => Ok(path.clone()),
        }
    }

    /// Only this user and root may have been able to read it.
    fn check_guard(&self, file: &fs::Metadata) -> io::Result<()> {
        let ours = rustix::process::geteuid().as_raw();
        let (open, owners) = match self {
            // systemd leaves the file to root and lets the service in by an ACL entry, whose rights the mode shows as
            // those of the group (`acl(5)`). Root's group has no other members that matter.
            Self::Credential { .. } if file.uid() == 0 && file.gid() == 0 => (0o037, [0, ours]),
            _ => (0o077, [ours, ours]),
        };
        if file.mode() & open != 0 {
            return Err(io::Error::other(format!("its mode is {:04o}, other users can read it", file.mode() & 0o7777)));
        }
        if !owners.contains(&file.uid()) {
            return Err(io::Error::other(format!("it belongs to uid {}", file.uid())));
        }
        Ok(())
    }
}

/// Reads a whole file of one line, without a buffer that grows and leaves copies behind.
fn read_line(file: &mut fs::File) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new(vec![0; LONGEST_PIN_BYTES + 1]);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..])? {
            0 => return Ok(Secret::from_line(bytes[..length].to_vec())),
            more => length += more,
        }
    }
    Err(io::Error::other("it is too long for a PIN"))
}

/// Remembers a refused PIN by a slow salted hash, until another one is tried or it is accepted.
#[derive(Debug)]
pub(super) struct RefusedPin {
    file: PathBuf,
}

impl RefusedPin {
    /// The memory of the user PIN in this directory.
    pub(super) fn of_user(directory: &Path) -> Self {
        Self { file: directory.join("pin-refused") }
    }

    /// The memory of the SO PIN in this directory.
    pub(super) fn of_security_officer(directory: &Path) -> Self {
        Self { file: directory.join("so-pin-refused") }
    }

    /// Reads the PIN, unless it is the one that was refused.
    pub(super) fn read_unless_refused(&self, source: &PinSource, token: &str) -> Result<Secret, TokenError> {
        let pin = source.read(token)?;
        if self.is(&pin) {
            return Err(self.refusal(source, token, "as before; not sent again".to_owned()));
        }
        Ok(pin)
    }

    /// Remembers that the token refused the PIN, and says so with its source.
    pub(super) fn note(&self, pin: &Secret, source: &PinSource, token: &str, rv: String) -> TokenError {
        if let Err(error) = self.remember(pin) {
            tracing::warn!(%error, "the refused PIN cannot be remembered");
        }
        self.refusal(source, token, rv)
    }

    fn refusal(&self, source: &PinSource, token: &str, rv: String) -> TokenError {
        TokenError::PinRefused { token: token.to_owned(), source_name: source.name(), rv }
    }

    /// Whether this very PIN was refused before.
    fn is(&self, pin: &Secret) -> bool {
        let Ok(stored) = fs::read(&self.file) else { return false };
        let Some((salt, hash)) = stored.split_at_checked(SALT_BYTES) else { return false };
        slow_hash(pin, salt).ct_eq(hash).into()
    }

    /// Remembers this PIN as refused.
    fn remember(&self, pin: &Secret) -> io::Result<()> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.file)?;
        file.write_all(&salt)?;
        file.write_all(&slow_hash(pin, &salt))?;
        file.sync_all()
    }

    /// Forgets it: a PIN was accepted.
    pub(super) fn forget(&self) {
        // Not there is as good as forgotten, and a file that stays only refuses the same wrong PIN again.
        let _ = fs::remove_file(&self.file);
    }
}

fn slow_hash(pin: &Secret, salt: &[u8]) -> [u8; 32] {
    pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, 32>(pin.expose(), salt, HASH_ITERATIONS)
}

/// Longer than any token takes.
const LONGEST_PIN_BYTES: usize = 1_024;
const SALT_BYTES: usize = 16;
/// A PIN is short, so guessing it from this file must cost; about 0.1 s.
const HASH_ITERATIONS: u32 = 200_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn pin_file(mode: u32, text: &str) -> (tempfile::TempDir, PinSource) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, PinSource::File(path))
    }

    #[test]
    fn a_pin_file_that_others_can_read_is_refused() {
        let (_directory, source) = pin_file(0o640, "1234\n");

        let error = source.read("t").unwrap_err();

        assert!(error.to_string().contains("mode is 0640"), "{error}");
    }

    #[test]
    fn a_credential_is_read_from_the_directory_that_systemd_names() {
        let (directory, _) = pin_file(0o400, "1234\n");
        let source = PinSource::Credential { directory: Some(directory.path().into()), name: "pin".to_owned() };

        assert_eq!(source.read("t").unwrap().expose(), b"1234");
    }

    #[test]
    fn a_credential_that_others_can_read_is_refused() {
        let (directory, _) = pin_file(0o404, "1234\n");
        let source = PinSource::Credential { directory: Some(directory.path().into()), name: "pin".to_owned() };

        let error = source.read("t").unwrap_err();

        assert!(error.to_string().contains("mode is 0404"), "{error}");
    }

    #[test]
    fn without_systemd_there_are_no_credentials() {
        let source = PinSource::Credential { directory: None, name: "pin".to_owned() };

        let error = source.read("t").unwrap_err().to_string();

        assert!(error.contains("credential `pin`") && error.contains("CREDENTIALS_DIRECTORY"), "{error}");
    }

    #[test]
    fn a_file_that_is_longer_than_any_pin_is_not_taken_for_one() {
        let (_directory, source) = pin_file(0o600, &"1".repeat(1_025));

        let error = source.read("t").unwrap_err();

        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn a_pin_is_the_file_without_its_line_end() {
        let (_directory, source) = pin_file(0o600, "1234\n");

        assert_eq!(source.read("t").unwrap().expose(), b"1234");
    }

    #[test]
    fn only_the_refused_pin_itself_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let memory = RefusedPin::of_user(directory.path());
        memory.remember(&Secret::new(b"1111".to_vec())).unwrap();

        assert!(memory.is(&Secret::new(b"1111".to_vec())));
        assert!(!memory.is(&Secret::new(b"2222".to_vec())));
        memory.forget();
        assert!(!memory.is(&Secret::new(b"1111".to_vec())));
    }
}
