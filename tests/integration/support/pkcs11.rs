//! The rig's token from two other sides: through `PyKCS11` as another program, and through keyward's own pool.

use super::{Rig, run};
use keyward::{app::settings::Settings, base::ids::KeyId, pki::public_key::PublicKey, token::TokenSettings};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// `CKO_CERTIFICATE`.
pub(crate) const CERTIFICATE: u64 = 1;
/// `CKO_PUBLIC_KEY`.
pub(crate) const PUBLIC_KEY: u64 = 2;
/// `CKO_PRIVATE_KEY`.
pub(crate) const PRIVATE_KEY: u64 = 3;

impl Rig {
    /// Path of the PKCS#11 module.
    pub(crate) fn module(&self) -> String {
        let settings = Settings::read(&self.directory()).unwrap();
        settings.token.module.unwrap().to_str().unwrap().to_owned()
    }

    /// Path of the file with the user PIN.
    pub(crate) fn pin_file(&self) -> PathBuf {
        self.directory().join("softhsm/pin")
    }

    /// What `token/objects.py` answers to a command.
    pub(crate) fn pkcs11(&self, arguments: &[&str]) -> Value {
        let module = self.module();
        let mut all = vec![module.as_str()];
        all.extend(arguments);
        self.python("token/objects.py", &all).succeeded().json()
    }

    /// The same for commands that log in.
    pub(crate) fn pkcs11_as_user(&self, command: &str, arguments: &[&str]) -> Value {
        let pin_file = self.pin_file();
        let mut all = vec![command, pin_file.to_str().unwrap()];
        all.extend(arguments);
        self.pkcs11(&all)
    }

    /// Every key and certificate object of the token with its attributes, in an order that stays.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let mut objects = self.pkcs11_as_user("dump", &[]).as_array().unwrap().clone();
        objects.sort_by_key(|object| (object["ID"].to_string(), object["CLASS"].as_u64()));
        objects
    }

    /// The one object of this class and label.
    pub(crate) fn object(&self, class: u64, label: &str) -> Value {
        one(&self.objects(), class, label)
    }

    /// How keyward's own pool reaches the token, with `sessions` session threads.
    ///
    /// The worker's command line begins with a path inside the rig, so that it can be told from the workers of other
    /// tests in this process.
    pub(crate) fn token_settings(&self, sessions: usize) -> TokenSettings {
        let directory = self.directory();
        let executable = self.path("worker");
        if !executable.exists() {
            symlink(env!("CARGO_BIN_EXE_keyward"), &executable).unwrap();
        }
        let settings = Settings::read(&directory).unwrap().token(&directory).unwrap();
        TokenSettings { executable, sessions, ..settings }
    }

    /// Adds a further token to the instance, in SoftHSM folders of its own; gives their configuration.
    pub(crate) fn further_token(&self, label: &str) -> PathBuf {
        let (folder, conf) = (self.path(label), self.path(&format!("{label}.conf")));
        fs::create_dir_all(folder.join("tokens")).unwrap();
        fs::write(&conf, format!("directories.tokendir = {}\n", folder.join("tokens").display())).unwrap();
        let init = ["--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", "123456"];
        run(Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", &conf)).succeeded();
        let pin = self.write(&format!("{label}.pin"), "123456\n");
        fs::set_permissions(&pin, fs::Permissions::from_mode(0o600)).unwrap();
        let settings = self.directory().join("keyward.toml");
        let before = fs::read_to_string(&settings).unwrap();
        let module = module_line(&before);
        let section = format!("[[tokens]]\n{module}\nlabel = {label:?}\npin_file = {pin:?}\nsofthsm_conf = {conf:?}\n");
        fs::write(&settings, format!("{before}\n{section}")).unwrap();
        conf
    }

    /// Id and public key of a key.
    pub(crate) fn id_and_public_key(&self, label: &str) -> (KeyId, PublicKey) {
        let key = self.json(&["key", "show", label]);
        let public_key = PublicKey::from_pem(key["public_key_pem"].as_str().unwrap()).unwrap();
        (key["id"].as_str().unwrap().parse().unwrap(), public_key)
    }

    /// The newest record of the management log.
    pub(crate) fn last_record(&self) -> Value {
        self.json(&["audit", "list", "--limit", "1"])["items"][0].clone()
    }

    /// How many signatures the signature log tells of, at most 1,000.
    pub(crate) fn recorded_signatures(&self) -> usize {
        let records = self.json(&["audit", "list", "--log", "signatures", "--limit", "1000"]);
        records["items"].as_array().unwrap().iter().filter(|record| record["event"] == "key.sign").count()
    }
}

/// A PKCS#11 module of `tests/modules`, by the name of its library; `scripts/test` builds them.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
pub(crate) fn test_module(name: &str) -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-modules/release");
    let path =
        std::env::var_os("KEYWARD_TEST_MODULES").map_or_else(default, PathBuf::from).join(format!("lib{name}.so"));
    assert!(
        path.exists(),
        "{} is missing; run the tests with scripts/test, or build it: cargo build --locked --release \
         --manifest-path tests/modules/Cargo.toml --target-dir target/test-modules",
        path.display()
    );
    path
}

/// The one object of this class and label.
#[track_caller]
pub(crate) fn one(objects: &[Value], class: u64, label: &str) -> Value {
    let of_label = |object: &&Value| object["CLASS"] == class && object["LABEL"] == label;
    let found: Vec<&Value> = objects.iter().filter(of_label).collect();
    assert_eq!(found.len(), 1, "objects of class {class} with the label {label}: {found:?}");
    found[0].clone()
}

/// The CKA_ID of a key, in hex, from its JSON.
pub(crate) fn cka_id(key: &Value) -> String {
    key["id"].as_str().unwrap().replace('-', "")
}

/// The first line of keyward.toml that names a module.
pub(crate) fn module_line(settings: &str) -> String {
    settings.lines().find(|line| line.starts_with("module = ")).unwrap().to_owned()
}
