//! `keyward.toml` and the environment. Paths in the file are relative to its directory; secrets are paths.

mod token;

pub use token::TokenSection;

use super::AppError;
use crate::base::ids::hex;
use crate::db::durable::replace;
use crate::pki::name::SubjectAltName;
use crate::token::TokenSettings;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::IsTerminal as _,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// The settings of an instance, as its file has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The instance's own token.
    pub token: TokenSection,
    /// Further tokens, with keys and nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenSection>,
    /// Backups.
    #[serde(default)]
    pub backup: BackupSection,
    /// The service.
    #[serde(default, skip_serializing_if = "HttpSection::is_default")]
    pub http: HttpSection,
}

/// `[backup]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupSection {
    /// Directory that archives go to.
    #[serde(default = "default_backup_directory")]
    pub directory: PathBuf,
}

impl Default for BackupSection {
    fn default() -> Self {
        Self { directory: default_backup_directory() }
    }
}

/// `[http]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Address and port of the TLS listener; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host names and addresses that clients call it by, beside `localhost` and the listener's own address.
    pub names: Vec<String>,
    /// Connections at the same time; with more, the one that is idle longest is closed.
    pub connections: usize,
    /// Requests a second that each credential and the local user may make.
    pub requests_per_second: NonZeroU32,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            names: Vec::new(),
            connections: 1_024,
            requests_per_second: REQUESTS_PER_SECOND,
        }
    }
}

impl HttpSection {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The names of the server's certificate.
    #[must_use]
    pub fn certificate_names(&self) -> Vec<SubjectAltName> {
        let local = [SubjectAltName::Dns("localhost".to_owned()), SubjectAltName::Ip(self.listen.ip())];
        let mut names: Vec<_> = self.names.iter().map(|name| host(name)).chain(local).collect();
        if self.listen.ip().is_unspecified() {
            names.pop();
        }
        names
    }
}

/// A host as it stands in an address.
fn host(name: &str) -> SubjectAltName {
    name.parse().map_or_else(|_| SubjectAltName::Dns(name.to_owned()), SubjectAltName::Ip)
}

/// What the environment says; read once.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `KEYWARD_API_TOKEN_FILE`: counts before the file that was named at `keyward login`.
    pub api_token_file: Option<PathBuf>,
    /// `KEYWARD_DIR`.
    pub directory: Option<PathBuf>,
    /// `SOFTHSM2_CONF`: configuration of a SoftHSM token that is there already; `init` keeps it in the settings.
    pub softhsm_conf: Option<PathBuf>,
    /// `CREDENTIALS_DIRECTORY`: where systemd puts the credentials of this service.
    pub credentials: Option<PathBuf>,
    /// `KEYWARD_LOG`: a filter for the log, like `keyward=debug`.
    pub log: Option<String>,
    /// `KEYWARD_SERVER`.
    pub server: Option<String>,
    config_home: Option<PathBuf>,
    state_home: Option<PathBuf>,
    home: Option<PathBuf>,
}

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogReader {
    /// Of a service: what it does, as lines of JSON unless it is a terminal.
    Operator,
    /// Of a command: errors.
    User,
}

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
impl Environment {
    /// Reads it.
    #[must_use]
    pub fn read() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            api_token_file: path("KEYWARD_API_TOKEN_FILE"),
            directory: path("KEYWARD_DIR"),
            softhsm_conf: path("SOFTHSM2_CONF"),
            credentials: path("CREDENTIALS_DIRECTORY"),
            log: std::env::var("KEYWARD_LOG").ok(),
            server: path("KEYWARD_SERVER").map(|url| url.to_string_lossy().into_owned()),
            config_home: path("XDG_CONFIG_HOME"),
            state_home: path("XDG_STATE_HOME"),
            home: path("HOME"),
        }
    }
}

impl Environment {
    /// The instance directory when none is named: `/var/lib/keyward` for root, else the XDG state directory.
    #[must_use]
    pub fn instance_directory(&self) -> PathBuf {
        if let Some(directory) = &self.directory {
            return directory.clone();
        }
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/keyward");
        }
        let below_home = || self.home.clone().unwrap_or_default().join(".local/state");
        self.state_home.clone().unwrap_or_else(below_home).join("keyward")
    }

    /// Where this user's own files of keyward are: `keyward` in the XDG configuration directory.
    #[must_use]
    pub fn configuration_directory(&self) -> PathBuf {
        let below_home = || self.home.clone().unwrap_or_default().join(".config");
        self.config_home.clone().unwrap_or_else(below_home).join("keyward")
    }

    /// Sends the log to standard error, with what its reader wants of it unless `KEYWARD_LOG` says otherwise.
    pub fn log_to_stderr(&self, reader: LogReader) {
        let wanted = match reader {
            LogReader::Operator => "info",
            LogReader::User => "error",
        };
        let filter = self.log.clone().unwrap_or_else(|| wanted.to_owned());
        let log = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter));
        // A second subscriber cannot be, since this runs once; without one there is no log, which is no harm.
        let _ = match reader {
            LogReader::Operator if !std::io::stderr().is_terminal() => log.json().flatten_event(true).try_init(),
            LogReader::Operator | LogReader::User => log.try_init(),
        };
    }
}

impl Settings {
    /// Reads and checks the file of an instance directory.
    ///
    /// # Errors
    /// [`AppError::Settings`] lists everything that is wrong.
    pub fn read(directory: &Path) -> Result<Self, AppError> {
        let path = directory.join(FILE);
        let invalid = |faults| AppError::Settings { path: path.clone(), faults };
        let text = fs::read_to_string(&path).map_err(|error| invalid(vec![error.to_string()]))?;
        let settings: Self = toml::from_str(&text).map_err(|error| invalid(vec![error.message().to_owned()]))?;
        let faults = settings.faults();
        if faults.is_empty() { Ok(settings) } else { Err(invalid(faults)) }
    }

    /// Writes the file of a new instance.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), AppError> {
        let path = directory.join(FILE);
        let text = toml::to_string_pretty(self)
            .map_err(|error| AppError::Settings { path: path.clone(), faults: vec![error.to_string()] })?;
        replace(&path, text.as_bytes()).map_err(|source| AppError::Directory { action: "writing", path, source })
    }

    /// What the pool of the instance's own token needs.
    ///
    /// # Errors
    /// Our own binary, which is also the worker, cannot be found.
    pub fn token(&self, directory: &Path) -> Result<TokenSettings, AppError> {
        self.token.settings(directory, directory.to_owned())
    }

    /// The same of the further tokens, each of which has a directory of its own for what keyward remembers of it.
    ///
    /// # Errors
    /// As [`Self::token`]; or such a directory cannot be made.
    pub fn further_tokens(&self, directory: &Path) -> Result<Vec<TokenSettings>, AppError> {
        let settings = |section: &TokenSection| {
            let state = directory.join(TOKENS).join(hex(section.label.as_bytes()));
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&state);
            made.map_err(|source| AppError::Directory { action: "making", path: state.clone(), source })?;
            section.settings(directory, state)
        };
        self.tokens.iter().map(settings).collect()
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.token.faults_as_own("token", &mut faults);
        for (number, section) in self.tokens.iter().enumerate() {
            section.faults(&format!("tokens[{number}]"), &mut faults);
        }
        let mut labels: Vec<_> = self.tokens.iter().chain([&self.token]).map(|section| &section.label).collect();
        labels.sort_unstable();
        if let Some(twice) = labels.windows(2).find(|pair| pair[0] == pair[1]) {
            faults.push(format!("two tokens have the label `{}`; a key names its token by its label", twice[0]));
        }
        if !(16..=65_536).contains(&self.http.connections) {
            faults.push("http.connections must be 16 to 65,536".to_owned());
        }
        if self.http.requests_per_second.get() > 10_000_000 {
            faults.push("http.requests_per_second must be 1 to 10,000,000".to_owned());
        }
        let is_host = |name: &&String| {
            format!("dns:{}", name).parse::<SubjectAltName>().is_ok() || name.parse::<IpAddr>().is_ok()
        };
        if let Some(name) = self.http.names.iter().find(|name| !is_host(name)) {
            faults.push(format!("http.names: `{name}` is neither a host name nor an address"));
        }
        faults
    }
}

fn default_backup_directory() -> PathBuf {
    PathBuf::from("backups")
}

/// More than a token signs: it holds off loops that went wrong, not load.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
/// Where the further tokens have their directories, each named by its label in hex.
const TOKENS: &str = "tokens";
/// The file's name in the instance directory.
pub const FILE: &str = "keyward.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_file_is_reported_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let text = "[token]\nmodule = \"libsofthsm2.so\"\nlabel = \"\"\npin_file = \"pin\"\nsessions = 0\n";
        fs::write(directory.path().join(FILE), text).unwrap();

        let AppError::Settings { faults, .. } = Settings::read(directory.path()).unwrap_err() else {
            panic!("not a fault of the settings")
        };

        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn the_pin_has_exactly_one_source() {
        let faults = |pin: &str| {
            let directory = tempfile::tempdir().unwrap();
            let text = format!("[token]\nmodule = \"/m\"\nlabel = \"l\"\n{pin}\n");
            fs::write(directory.path().join(FILE), text).unwrap();
            Settings::read(directory.path()).map_or_else(|error| error.to_string(), |_| "none".to_owned())
        };

        assert_eq!(faults("pin_file = \"pin\""), "none");
        assert_eq!(faults("pin_credential = \"pin\""), "none");
        assert!(faults("").contains("must say where the PIN comes from"));
        assert!(faults("pin_file = \"pin\"\npin_credential = \"pin\"").contains("only one can be the PIN"));
        assert!(faults("pin_credential = \"../pin\"").contains("not a path"));
        assert_eq!(faults("pin_fd = 3"), "none");
        assert!(faults("pin_fd = 0").contains("must be 3 or more"));
        assert_eq!(faults("pin_command = [\"/bin/echo\", \"1234\"]"), "none");
        assert!(faults("pin_command = [\"echo\", \"1234\"]").contains("absolute path"));
        assert!(faults("pin_command = []").contains("absolute path"));
        assert_eq!(faults("pin_prompt = true"), "none");
        assert!(faults("pin_prompt = false").contains("must say where the PIN comes from"));
        assert!(faults("pin_prompt = true\npin_fd = 3").contains("pin_fd and pin_prompt = true are there"));
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let text = "[token]\nmodule = \"/m\"\nlabel = \"l\"\npin_file = \"pin\"\npin = \"1234\"\n";
        fs::write(directory.path().join(FILE), text).unwrap();

        let error = Settings::read(directory.path()).unwrap_err();

        assert!(error.to_string().contains("unknown field `pin`"), "{error}");
        assert!(!error.to_string().contains("1234"), "{error}");
    }
}
