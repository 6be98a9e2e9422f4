//! What every test stands on: a rig, the keyward binary, and other programs to compare with.

pub(crate) mod http;
pub(crate) mod pkcs11;
pub(crate) mod service;
pub(crate) mod tokens;

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// An instance of keyward with a SoftHSM token of its own, and a place for files beside it.
pub(crate) struct Rig {
    home: TempDir,
    name: &'static str,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; -1 after a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Rig {
    /// A fresh rig.
    pub(crate) fn new() -> Self {
        let rig = Self { home: tempfile::tempdir().unwrap(), name: "rig" };
        rig.keyward(&["init"]).succeeded();
        rig
    }

    /// The instance directory.
    pub(crate) fn directory(&self) -> PathBuf {
        self.home.path().join(self.name)
    }

    /// A path beside the instance directory, for files of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file of the test, and gives its path as text.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A path beside the instance directory, as text.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The user PIN.
    pub(crate) fn pin(&self) -> String {
        fs::read_to_string(self.directory().join("softhsm/pin")).unwrap()
    }

    /// The command, ready to be run on this rig.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = keyward();
        command.arg("--dir").arg(self.directory()).args(arguments);
        command
    }

    /// Runs keyward on this rig.
    pub(crate) fn keyward(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    /// Runs keyward with `-o json`, and gives the one document it printed; it must have succeeded.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["-o", "json"];
        all.extend(arguments);
        self.keyward(&all).succeeded().json()
    }

    /// Runs keyward with `-o json`, which must fail with this exit code and problem code.
    pub(crate) fn refused(&self, arguments: &[&str], exit: i32, code: &str) -> Value {
        let mut all = vec!["-o", "json"];
        all.extend(arguments);
        let ended = self.keyward(&all);
        let problem = ended.json();
        assert_eq!((ended.code, problem["code"].as_str().unwrap()), (exit, code), "{ended:?}");
        problem
    }

    /// Makes a key; gives its JSON.
    pub(crate) fn key(&self, label: &str, algorithm: &str, policy: &str) -> Value {
        self.json(&["key", "generate", label, "--algorithm", algorithm, "--policy", policy])
    }

    /// Saves a key's public key beside the instance; gives the path.
    pub(crate) fn public_key(&self, label: &str) -> String {
        let path = self.file(&format!("{label}.pub"));
        if !Path::new(&path).exists() {
            self.keyward(&["key", "public", label, "--out", &path]).succeeded();
        }
        path
    }

    /// Another program, with SoftHSM's configuration of this rig in its environment.
    pub(crate) fn tool(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Ended {
        let conf = self.directory().join("softhsm/softhsm2.conf");
        let mut command = Command::new(program);
        command.args(arguments).env("SOFTHSM2_CONF", conf).current_dir(self.home.path());
        command.env("PYTHONPATH", sources("support")).env("PYTHONDONTWRITEBYTECODE", "1");
        run(&mut command)
    }

    /// A Python script of `tests/integration`, with SoftHSM's configuration of this rig in its environment.
    pub(crate) fn python(&self, script: &str, arguments: &[&str]) -> Ended {
        let script = sources(script);
        let mut all = vec![script.to_str().unwrap()];
        all.extend(arguments);
        self.tool(python(), &all)
    }

    /// Every object in the token, KEKs too, with its attributes, as `support/objects.py` lists them.
    pub(crate) fn all_objects(&self) -> Vec<Value> {
        let listed = self.python("support/objects.py", &[&self.pin(), "list"]).succeeded().json();
        listed.as_array().unwrap().clone()
    }

    /// Destroys the objects of a key behind keyward's back.
    pub(crate) fn lose(&self, key: &Value) {
        self.python("support/objects.py", &[&self.pin(), "destroy", key["id"].as_str().unwrap()]).succeeded();
    }

    /// Signs by a key and verifies with OpenSSL against a public key that was saved before.
    #[track_caller]
    pub(crate) fn assert_signs(&self, label: &str, public_key: &str) {
        let (message, signature) = (self.write("message", label), self.file(&format!("{label}.sig")));
        let _ = fs::remove_file(&signature);
        self.keyward(&["key", "sign", label, "--in", &message, "--out", &signature]).succeeded();
        let algorithm = self.json(&["key", "show", label])["algorithm"].as_str().unwrap().to_owned();
        match algorithm.as_str() {
            "p384" => assert_verifies("sha384", public_key, &signature, &message),
            "p521" => assert_verifies("sha512", public_key, &signature, &message),
            _ => assert_verifies("sha256", public_key, &signature, &message),
        }
    }
}

/// A file or folder of `tests/integration`.
pub(crate) fn sources(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration").join(name)
}

impl Ended {
    /// The command must have succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}; stdout: {}\nstderr: {}", self.stdout, self.stderr))
    }
}

/// The keyward binary, with nothing of our environment that it would read.
pub(crate) fn keyward() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
    for name in ["KEYWARD_API_TOKEN_FILE", "KEYWARD_DIR", "KEYWARD_LOG", "KEYWARD_SERVER"] {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The openssl command.
pub(crate) fn openssl(arguments: &[&str]) -> Ended {
    run(Command::new("openssl").args(arguments))
}

/// Whether the signature of a message verifies with OpenSSL; `options` are those of `openssl dgst` or none.
#[track_caller]
pub(crate) fn assert_verifies(digest: &str, public_key: &str, signature: &str, message: &str) {
    openssl(&["dgst", &format!("-{digest}"), "-verify", public_key, "-signature", signature, message]).succeeded();
}

/// Python with `PyKCS11`, python-pkcs11 and shamir-mnemonic: `scripts/test` sets it.
#[expect(clippy::disallowed_methods, reason = "the test's own setting")]
pub(crate) fn python() -> std::ffi::OsString {
    std::env::var_os("KEYWARD_TEST_PYTHON")
        .unwrap_or_else(|| panic!("KEYWARD_TEST_PYTHON is not set; run the tests with scripts/test"))
}
