//! Tokens of every kind that a test machine can have, each with a place and a PIN of its own; gone with the test.
//!
//! `KEYWARD_TEST_TOKENS` names a TOML file with further ones, such as an HSM at hand:
//!
//! ```toml
//! [[token]]
//! name = "our-hsm"                      # its column in the table of the conformance suite
//! module = "/usr/lib/vendor.so"
//! label = "TEST"                        # a token that may be filled with keys
//! pin_file = "/root/hsm-pin"            # mode 0600
//! so_pin_file = "/root/hsm-so-pin"      # if KEKs are to be imported as trusted
//! environment = { VENDOR_CONF = "/etc/vendor.conf" }
//! ```

mod kryoptic;
mod named;
mod nss;
mod opencryptoki;
mod softhsm;
mod tpm;

use super::{Ended, run};
use keyward::token::{
    TokenSettings,
    address::{Device, TokenAddress},
    adoptions::Adoptions,
    pin::PinSource,
};
pub(crate) use kryoptic::kryoptic;
pub(crate) use named::named;
pub(crate) use nss::nss;
pub(crate) use opencryptoki::opencryptoki;
use serde_json::Value;
pub(crate) use softhsm::softhsm;
use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};
use tempfile::TempDir;
pub(crate) use tpm::tpm;

/// A token, and what has to be there as long as it is used.
pub(crate) struct TestToken {
    /// Its column in the table of the conformance suite.
    pub(crate) name: String,
    /// How keyward's own pool reaches it.
    pub(crate) settings: TokenSettings,
    /// What it does when it is given a wrong PIN.
    pub(crate) wrong_pin: WrongPin,
    /// Where it lies, if it is a folder that can be taken away.
    pub(crate) store: Option<PathBuf>,
    /// A command that runs others where the token can be seen.
    enter: Vec<String>,
    home: TempDir,
    _server: Option<Server>,
}

/// What becomes of a token that is given one wrong PIN.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrongPin {
    /// It says no, and goes on.
    Harmless,
    /// It may be lost: it is not ours.
    NotTried,
}

impl TestToken {
    /// A folder for a token, with files for its PINs. The worker's command line begins with a path in it.
    fn prepare(name: &str, module: impl AsRef<Path>, label: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let executable = home.path().join("worker");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_keyward"), &executable).unwrap();
        let secret = |name: &str, text: &str| PinSource::File(secret_file(home.path(), name, text));
        let settings = TokenSettings {
            address: TokenAddress { device: Device::Module(module.as_ref().to_owned()), label: label.to_owned() },
            sessions: 2,
            pin: secret("pin", PIN),
            so_pin: Some(secret("so-pin", SO_PIN)),
            attestation_roots: None,
            keep_alive: None,
            adopted: Adoptions::default(),
            environment: Vec::new(),
            state_directory: home.path().to_owned(),
            executable,
        };
        let name = name.to_owned();
        Self { name, settings, wrong_pin: WrongPin::Harmless, store: None, enter: Vec::new(), home, _server: None }
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Adds to the environment of its module.
    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.settings.environment.push((name.to_owned(), value.into()));
    }

    /// Path of its module.
    fn module(&self) -> String {
        self.settings.address.device.to_string()
    }

    /// How a second process reaches the same token.
    pub(crate) fn beside(&self) -> TokenSettings {
        let state_directory = self.path("beside");
        fs::create_dir_all(&state_directory).unwrap();
        TokenSettings { state_directory, ..self.settings.clone() }
    }

    /// The same with another PIN.
    pub(crate) fn with_pin(&self, pin: &str) -> TokenSettings {
        let source = PinSource::File(secret_file(self.home.path(), "other-pin", pin));
        TokenSettings { pin: source, ..self.beside() }
    }

    /// What another PKCS#11 program sees or does, by a script that takes module, label and PIN file first.
    pub(crate) fn python(&self, script: &str, arguments: &[&str]) -> Value {
        let PinSource::File(pin) = &self.settings.pin else { panic!("a test token has a PIN file") };
        let mut all = self.enter.clone();
        all.extend([super::python().into_string().unwrap(), text(&super::sources(script))]);
        all.extend([self.module(), self.settings.address.label.clone(), text(pin)]);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]).env_clear().envs(self.settings.environment.iter().map(|(name, value)| (name, value)));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        run(&mut command).succeeded().json()
    }

    /// Runs keyward on an instance, where the token can be seen.
    pub(crate) fn keyward(&self, directory: &Path, arguments: &[&str]) -> Ended {
        let mut all = self.enter.clone();
        all.extend([env!("CARGO_BIN_EXE_keyward").to_owned(), "--dir".to_owned(), text(directory)]);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        run(Command::new(&all[0]).args(&all[1..]).env_remove("KEYWARD_DIR").env("NO_COLOR", "1"))
    }

    /// Its section of keyward.toml as a further token.
    pub(crate) fn section(&self) -> String {
        let (module, label, pin) = (self.module(), &self.settings.address.label, self.path("pin"));
        let mut section = format!("[[tokens]]\nmodule = {module:?}\nlabel = {label:?}\npin_file = {pin:?}\n");
        for (number, (name, value)) in self.settings.environment.iter().enumerate() {
            let head = if number == 0 { "[tokens.environment]\n" } else { "" };
            section.push_str(&format!("{head}{name} = {value:?}\n"));
        }
        section
    }

    /// Arguments and environment of `keyward init` for it.
    pub(crate) fn init_arguments(&self) -> Vec<String> {
        let label = self.settings.address.label.clone();
        let mut all = vec!["init".to_owned(), "--token-module".to_owned(), self.module()];
        all.extend(["--token-label".to_owned(), label]);
        all.extend(["--token-pin-file".to_owned(), text(&self.path("pin"))]);
        if self.settings.so_pin.is_some() {
            all.extend(["--token-so-pin-file".to_owned(), text(&self.path("so-pin"))]);
        }
        for (name, value) in &self.settings.environment {
            all.extend(["--token-environment".to_owned(), format!("{name}={}", value.to_str().unwrap())]);
        }
        all
    }
}

/// A script beside this file that serves a token until its standard input ends.
struct Server {
    child: Child,
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Runs it in namespaces of its own, and waits until it is ready.
    fn start(namespaces: &[&str], script: &str, arguments: &[&str], log: &Path) -> Self {
        let script = super::sources("support/tokens").join(script);
        let mut command = Command::new("unshare");
        command.args(namespaces).arg(&script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(fs::File::create(log).unwrap()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{}: {}", script.display(), fs::read_to_string(log).unwrap());
        Self { child, _output: output }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It has ended its processes when it ends itself.
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn secret_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

const PIN: &str = "11111111";
const SO_PIN: &str = "22222222";
/// What no token has as its PIN.
pub(crate) const NO_PIN: &str = "99999999";
