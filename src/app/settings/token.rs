//! `[token]` and `[[tokens]]` of keyward.toml: where a token is, and where its PIN comes from.

use super::Environment;
use crate::app::AppError;
use crate::token::{
    TokenSettings,
    address::TokenAddress,
    adoptions::Adoptions,
    pin::{InheritedPin, PinCommand, PinSource},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// One token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSection {
    /// Path of the PKCS#11 module.
    pub module: PathBuf,
    /// Label of the token.
    pub label: String,
    /// File with the user PIN. Of this and the next four there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
    /// Name of the systemd credential that is the user PIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_credential: Option<String>,
    /// Number of a descriptor that the service is started with, through which the user PIN comes as a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_fd: Option<i32>,
    /// Absolute path of a program that prints the user PIN, and its arguments; no shell is between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_command: Option<Vec<String>>,
    /// Whether a person gives the user PIN: the service starts sealed, and waits for `keyward token unlock`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pin_prompt: bool,
    /// File with the SO PIN; a rig only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub so_pin_file: Option<PathBuf>,
    /// SoftHSM's configuration, if the module is SoftHSM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub softhsm_conf: Option<PathBuf>,
    /// Environment of the module's process, which has nothing else in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Sessions that work at the same time; as many as cores if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<usize>,
}

impl TokenSection {
    /// What the pool of this token needs, which remembers things in `state`. Paths are relative to the instance.
    pub(super) fn settings(&self, directory: &Path, state: PathBuf) -> Result<TokenSettings, AppError> {
        let executable = std::env::current_exe().map_err(|source| AppError::Directory {
            action: "finding",
            path: PathBuf::from("keyward"),
            source,
        })?;
        let absolute = |path: &PathBuf| directory.join(path);
        let softhsm = self.softhsm_conf.as_ref().map(|path| ("SOFTHSM2_CONF".to_owned(), absolute(path).into()));
        let environment = self.environment.iter().map(|(name, value)| (name.clone(), value.into()));
        Ok(TokenSettings {
            address: TokenAddress { module: self.module.clone(), label: self.label.clone() },
            sessions: self.sessions.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            pin: self.pin_source(directory),
            so_pin: self.so_pin_file.as_ref().map(|path| PinSource::File(absolute(path))),
            environment: environment.chain(softhsm).collect(),
            adopted: Adoptions::default(),
            state_directory: state,
            executable,
        })
    }

    /// What is wrong with the section of this name.
    pub(super) fn faults(&self, name: &str, faults: &mut Vec<String>) {
        if self.label.is_empty() || self.label.len() > 32 {
            faults.push(format!("{name}.label must have 1 to 32 bytes"));
        }
        if !self.module.is_absolute() {
            faults.push(format!("{name}.module must be an absolute path"));
        }
        faults.extend(self.pin_fault(name));
        if self.sessions.is_some_and(|sessions| !(1..=256).contains(&sessions)) {
            faults.push(format!("{name}.sessions must be 1 to 256"));
        }
    }

    /// A descriptor is read here, before anything else could come to its number.
    fn pin_source(&self, directory: &Path) -> PinSource {
        if let Some(name) = &self.pin_credential {
            return PinSource::Credential { directory: Environment::read().credentials, name: name.clone() };
        }
        if let Some(number) = self.pin_fd {
            return PinSource::Descriptor(InheritedPin::read(number));
        }
        if let Some([program, arguments @ ..]) = self.pin_command.as_deref() {
            return PinSource::Command(PinCommand { program: program.into(), arguments: arguments.to_vec() });
        }
        match &self.pin_file {
            Some(path) => PinSource::File(directory.join(path)),
            None => PinSource::Prompt(None),
        }
    }

    fn pin_fault(&self, name: &str) -> Option<String> {
        let sources = [
            ("pin_file", self.pin_file.is_some()),
            ("pin_credential", self.pin_credential.is_some()),
            ("pin_fd", self.pin_fd.is_some()),
            ("pin_command", self.pin_command.is_some()),
            ("pin_prompt = true", self.pin_prompt),
        ];
        let named: Vec<_> = sources.into_iter().filter(|(_, is_there)| *is_there).map(|(source, _)| source).collect();
        let fault = match named.as_slice() {
            [] => format!("{} must say where the PIN comes from", sources.map(|(source, _)| source).join(" or ")),
            [_] => self.pin_source_fault()?.to_owned(),
            several => format!("{} are there; only one can be the PIN", several.join(" and ")),
        };
        Some(format!("{name}.{fault}"))
    }

    /// What is wrong with the one source.
    fn pin_source_fault(&self) -> Option<&'static str> {
        if self.pin_credential.as_deref().is_some_and(is_path) {
            return Some("pin_credential must be the name of a credential, not a path");
        }
        if self.pin_fd.is_some_and(|number| number < 3) {
            return Some("pin_fd must be 3 or more: before are standard input, output and error");
        }
        let is_absolute = |command: &Vec<String>| command.first().is_some_and(|program| program.starts_with('/'));
        if self.pin_command.as_ref().is_some_and(|command| !is_absolute(command)) {
            return Some("pin_command must begin with the absolute path of a program: [\"/path\", \"argument\"]");
        }
        None
    }
}

/// Whether systemd would not take it for the name of a credential, which is that of a file.
fn is_path(credential: &str) -> bool {
    credential.is_empty() || credential.starts_with('.') || credential.contains('/')
}
