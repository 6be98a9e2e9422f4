//! Where a PIN comes from, what is held of it, and the memory of refused ones: a wrong PIN is sent once.
//!
//! [`PinSource`] is what the settings name. A keeper stands before each PIN of a token: it gives the PIN to a login,
//! and is told what came of it; it holds a PIN that was given by hand until `seal`.

mod command;
mod descriptor;
mod ffi;
mod file;
mod keeper;
mod refused;
mod replacement;
mod tries;

pub use command::PinCommand;
pub use descriptor::InheritedPin;
pub(super) use keeper::{Candidate, PinKeeper};
pub(super) use refused::RefusedPin;

use super::error::TokenError;
use crate::base::secret::Secret;
use std::{fmt, io, path::PathBuf, sync::Arc};
use tokio::task::spawn_blocking;

/// A reference to a PIN; the value is read when it is needed, and not kept where it can be read again.
#[derive(Clone, Debug)]
pub enum PinSource {
    /// What a program prints.
    Command(PinCommand),
    /// A credential that systemd gives to the service (`LoadCredential=`, `LoadCredentialEncrypted=`).
    Credential {
        /// `$CREDENTIALS_DIRECTORY`; none if systemd did not start this process, or gave it none.
        directory: Option<PathBuf>,
        /// Its name, which is that of a file in there.
        name: String,
    },
    /// What came through a descriptor that this process was started with.
    Descriptor(InheritedPin),
    /// A file of this user with mode 0600 or stricter.
    File(PathBuf),
    /// A person: at the terminal of a command, or by `unlock` of a service, which starts sealed.
    Prompt(Option<AskPin>),
}

/// Asks a person for the PIN of the token with this label.
#[derive(Clone)]
pub struct AskPin(Arc<Ask>);

type Ask = dyn Fn(&str) -> io::Result<Secret> + Send + Sync;

impl AskPin {
    /// By this function, which may wait for as long as a person takes.
    #[must_use]
    pub fn new(ask: impl Fn(&str) -> io::Result<Secret> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    async fn ask(&self, token: &str) -> io::Result<Secret> {
        let (ask, token) = (Arc::clone(&self.0), token.to_owned());
        spawn_blocking(move || ask(&token)).await.map_err(io::Error::other)?
    }
}

impl fmt::Debug for AskPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskPin")
    }
}

impl PinSource {
    /// What messages call the source.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Command(command) => command.name(),
            Self::Credential { directory: Some(directory), name } => directory.join(name).display().to_string(),
            Self::Credential { directory: None, name } => format!("the systemd credential `{name}`"),
            Self::Descriptor(inherited) => inherited.name(),
            Self::File(path) => path.display().to_string(),
            Self::Prompt(_) => "the prompt".to_owned(),
        }
    }

    /// Reads the PIN of the token with this label.
    ///
    /// # Errors
    /// [`TokenError::PinUnreadable`] says what is wrong with the source; [`TokenError::Sealed`] that a person has to
    /// give the PIN.
    pub async fn read(&self, token: &str) -> Result<Secret, TokenError> {
        let read = match self {
            Self::Command(command) => command.run().await,
            Self::Credential { directory: Some(directory), name } => file::read_credential(&directory.join(name)),
            Self::Credential { directory: None, .. } => Err(io::Error::other(NO_CREDENTIALS)),
            Self::Descriptor(inherited) => inherited.pin(),
            Self::File(path) => file::read(path),
            Self::Prompt(Some(ask)) => ask.ask(token).await,
            Self::Prompt(None) => return Err(TokenError::Sealed { token: token.to_owned() }),
        };
        read.and_then(not_empty).map_err(|cause| TokenError::PinUnreadable {
            token: token.to_owned(),
            source_name: self.name(),
            cause: cause.to_string(),
        })
    }
}

fn not_empty(pin: Secret) -> io::Result<Secret> {
    if pin.is_empty() { Err(io::Error::other("it is empty")) } else { Ok(pin) }
}

const NO_CREDENTIALS: &str = "there is no CREDENTIALS_DIRECTORY: only a service that systemd started has credentials";
/// Longer than any token takes.
const LONGEST_PIN_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_systemd_there_are_no_credentials() {
        let source = PinSource::Credential { directory: None, name: "pin".to_owned() };

        let error = source.read("t").await.unwrap_err().to_string();

        assert!(error.contains("credential `pin`") && error.contains("CREDENTIALS_DIRECTORY"), "{error}");
    }

    #[tokio::test]
    async fn a_service_does_not_ask_a_person_and_is_sealed_instead() {
        let error = PinSource::Prompt(None).read("t").await.unwrap_err();

        assert_eq!(error, TokenError::Sealed { token: "t".to_owned() });
    }

    #[tokio::test]
    async fn a_command_asks_the_person_at_its_terminal() {
        let ask = AskPin::new(|token| Ok(Secret::new(format!("pin of {token}").into_bytes())));

        let pin = PinSource::Prompt(Some(ask)).read("t").await.unwrap();

        assert_eq!(pin.expose(), b"pin of t");
    }
}
