//! `[token]` and `[[tokens]]` of keyward.toml: where a token is, and where its PIN comes from.

use super::Environment;
use crate::app::AppError;
use crate::token::{TokenSettings, address::TokenAddress, adoptions::Adoptions, pin::PinSource};
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
    /// File with the user PIN; or else:
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
    /// Name of the systemd credential that is the user PIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_credential: Option<String>,
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

    fn pin_source(&self, directory: &Path) -> PinSource {
        match &self.pin_credential {
            Some(name) => PinSource::Credential { directory: Environment::read().credentials, name: name.clone() },
            None => PinSource::File(directory.join(self.pin_file.as_deref().unwrap_or(Path::new("")))),
        }
    }

    fn pin_fault(&self, name: &str) -> Option<String> {
        let fault = match (&self.pin_file, &self.pin_credential) {
            (None, None) => "pin_file or pin_credential must say where the PIN comes from",
            (Some(_), Some(_)) => "pin_file and pin_credential are there; only one can be the PIN",
            (None, Some(credential)) if is_path(credential) => {
                "pin_credential must be the name of a credential, not a path"
            }
            _ => return None,
        };
        Some(format!("{name}.{fault}"))
    }
}

/// Whether systemd would not take it for the name of a credential, which is that of a file.
fn is_path(credential: &str) -> bool {
    credential.is_empty() || credential.starts_with('.') || credential.contains('/')
}
