//! Saved logins: for each server the CA that is pinned, and where the API token is. The token itself is never saved.

use super::{ClientError, url::ServerUrl};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What is known of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Its address.
    pub url: String,
    /// The certificate of its CA.
    pub ca_pem: String,
    /// Path of the file with the API token.
    pub api_token_file: Option<PathBuf>,
}

impl Login {
    /// Reads what was saved for a server in this directory.
    ///
    /// # Errors
    /// Nobody logged in to it, or the file cannot be read.
    pub fn read(directory: &Path, url: &ServerUrl) -> Result<Self, ClientError> {
        let path = file(directory, url);
        let unusable = |cause: String| ClientError::LoginUnusable { action: "reading", path: path.clone(), cause };
        match fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content).map_err(|error| unusable(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ClientError::ServerUnknown { url: url.to_string() })
            }
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    /// Saves it in this directory, in one step, for this user's eyes only. What was saved for the server before is
    /// replaced.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, directory: &Path, url: &ServerUrl) -> Result<PathBuf, ClientError> {
        let path = file(directory, url);
        let content = serde_json::to_vec_pretty(self).map_err(ClientError::unreadable)?;
        let unusable = |error: io::Error| ClientError::LoginUnusable {
            action: "writing",
            path: path.clone(),
            cause: error.to_string(),
        };
        replace(&path, &content).map_err(unusable)?;
        Ok(path)
    }
}

fn file(directory: &Path, url: &ServerUrl) -> PathBuf {
    directory.join("servers").join(format!("{}.json", url.authority()))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let beside = path.with_added_extension(std::process::id().to_string());
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Only the first fault is of interest.
        let _ = fs::remove_file(&beside);
    }
    written
}
