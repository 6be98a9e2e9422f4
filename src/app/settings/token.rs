//! `[token]` and `[[tokens]]` of keyward.toml: where a token is, and where its PIN comes from.

use super::Environment;
use crate::app::AppError;
use crate::token::{
    TokenSettings,
    address::{Device, TokenAddress},
    adoptions::Adoptions,
    pin::{InheritedPin, PinCommand, PinSource},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// One token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSection {
    /// Path of the PKCS#11 module; or else:
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<PathBuf>,
    /// Serial number of a `YubiKey`, whose PIV application is the token; a further one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yubikey: Option<u32>,
    /// Label of the token; of a `YubiKey` a name for it, which no other token of the instance has.
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
    /// File with the management key of a `YubiKey`, in hexadecimal; needed to change slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_key_file: Option<PathBuf>,
    /// File with the PEM certificates of those who vouch for a `YubiKey` that attests keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation_roots: Option<PathBuf>,
    /// SoftHSM's configuration, if the module is SoftHSM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub softhsm_conf: Option<PathBuf>,
    /// Environment of the module's process, which has nothing else in it; the PC/SC library of a `YubiKey` reads
    /// `PCSCLITE_CSOCK_NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Sessions that work at the same time; as many as cores if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<usize>,
    /// How often the token is asked for a sign of life, so that its module drops nothing; 60 if absent, never if 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive_seconds: Option<u32>,
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
            address: TokenAddress { device: self.device(), label: self.label.clone() },
            sessions: self.sessions(),
            pin: self.pin_source(directory),
            so_pin: self
                .so_pin_file
                .as_ref()
                .or(self.management_key_file.as_ref())
                .map(|path| PinSource::File(absolute(path))),
            attestation_roots: self.attestation_roots.as_ref().map(absolute),
            environment: environment.chain(softhsm).collect(),
            adopted: Adoptions::default(),
            keep_alive: self.keep_alive(),
            state_directory: state,
            executable,
        })
    }

    /// What is wrong with the section of this name.
    pub(super) fn faults(&self, name: &str, faults: &mut Vec<String>) {
        if self.label.is_empty() || self.label.len() > 32 {
            faults.push(format!("{name}.label must have 1 to 32 bytes"));
        }
        faults.extend(self.device_faults().map(|fault| format!("{name}.{fault}")));
        faults.extend(self.pin_fault(name));
        if self.sessions.is_some_and(|sessions| !(1..=256).contains(&sessions)) {
            faults.push(format!("{name}.sessions must be 1 to 256"));
        }
    }

    /// Where the faults have been looked for, there is one of the two.
    fn device(&self) -> Device {
        match (&self.module, self.yubikey) {
            (None, Some(serial)) => Device::YubiKey(serial),
            (module, _) => Device::Module(module.clone().unwrap_or_default()),
        }
    }

    /// As many as cores, and one at a `YubiKey`, which does one thing at a time.
    fn sessions(&self) -> usize {
        match (self.yubikey, self.sessions) {
            (Some(_), _) => 1,
            (None, Some(sessions)) => sessions,
            (None, None) => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    fn device_faults(&self) -> impl Iterator<Item = &'static str> {
        let is_yubikey = self.yubikey.is_some();
        let relative = self.module.as_ref().is_some_and(|module| !module.is_absolute());
        let of_piv = self.management_key_file.is_some() || self.attestation_roots.is_some();
        let of_pkcs11 = self.so_pin_file.is_some() || self.softhsm_conf.is_some() || self.sessions.is_some();
        [
            (self.module.is_some() == is_yubikey)
                .then_some("module or yubikey must say which token it is, and only one of them"),
            relative.then_some("module must be an absolute path"),
            (of_piv && !is_yubikey).then_some("management_key_file and attestation_roots are for a yubikey"),
            (of_pkcs11 && is_yubikey)
                .then_some("so_pin_file, softhsm_conf and sessions are for a module, not for a yubikey"),
        ]
        .into_iter()
        .flatten()
    }

    /// What is wrong with the section of this name as the instance's own token.
    pub(super) fn faults_as_own(&self, name: &str, faults: &mut Vec<String>) {
        self.faults(name, faults);
        if self.yubikey.is_some() {
            faults.push(format!(
                "{name}.yubikey: a YubiKey cannot be the instance's own token: its PIV application has no KEKs and no \
                 wrapped copies. Name it in a [[tokens]] section, beside a PKCS#11 token of the instance"
            ));
        }
    }

    fn keep_alive(&self) -> Option<Duration> {
        let seconds = self.keep_alive_seconds.unwrap_or(KEEP_ALIVE_SECONDS);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
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

/// Less than the time after which any module or network in between is known to drop what is idle.
const KEEP_ALIVE_SECONDS: u32 = 60;

/// Whether systemd would not take it for the name of a credential, which is that of a file.
fn is_path(credential: &str) -> bool {
    credential.is_empty() || credential.starts_with('.') || credential.contains('/')
}
