//! A copy of a rig's token behind the module of `tests/modules/fault`, which fails when its control file says so.

use crate::support::{Rig, pkcs11::test_module};
use cryptoki_sys as ck;
use keyward::token::{Token, TokenSettings, api::Capabilities};
use rustix::process::Pid;
use std::{fs, os::unix::fs::symlink, path::PathBuf};

/// A copy of a rig's token, with a worker, a control file and a memory of refused PINs of its own.
///
/// A copy, since SoftHSM rewrites the token's file at each login, and who opens the token in that moment sees none.
pub(super) struct Shim {
    pub(super) settings: TokenSettings,
    /// SoftHSM's configuration of the copy.
    pub(super) softhsm_conf: PathBuf,
    control: PathBuf,
}

impl Shim {
    /// With a name that no other one of this rig has.
    pub(super) fn new(rig: &Rig, name: &str) -> Self {
        let control = rig.path(&format!("{name}.faults"));
        let state_directory = rig.path(&format!("{name}.state"));
        let executable = rig.path(&format!("{name}.worker"));
        fs::create_dir(&state_directory).unwrap();
        symlink(env!("CARGO_BIN_EXE_keyward"), &executable).unwrap();
        let softhsm_conf = copy_token(rig, name);
        let mut settings = TokenSettings { executable, state_directory, ..rig.token_settings(2) };
        let module = rig.module();
        settings.address.device = test_module("fault").into();
        settings.environment = vec![("SOFTHSM2_CONF".to_owned(), softhsm_conf.clone().into())];
        settings.environment.push(("PKCS11_FAULT_MODULE".to_owned(), module.into()));
        settings.environment.push(("PKCS11_FAULT_FILE".to_owned(), control.clone().into()));
        let shim = Self { settings, softhsm_conf, control };
        shim.set("");
        shim
    }

    pub(super) fn token(&self, capabilities: Option<Capabilities>) -> Token {
        Token::new(self.settings.clone(), capabilities)
    }

    /// What goes wrong from now on; the log begins anew.
    pub(super) fn set(&self, faults: &str) {
        let _ = fs::remove_file(self.control.with_extension("log"));
        let new = self.control.with_extension("new");
        fs::write(&new, numbers(faults)).unwrap();
        fs::rename(new, &self.control).unwrap();
    }

    /// What has happened since.
    pub(super) fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.control.with_extension("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// How often a line is in the log.
    pub(super) fn happened(&self, line: &str) -> usize {
        let line = numbers(line);
        self.log().iter().filter(|happened| **happened == line).count()
    }

    /// The worker that is there now.
    pub(super) fn worker(&self) -> Option<Pid> {
        super::faults::worker(&self.settings.executable)
    }
}

/// Copies SoftHSM's folder of a rig; the configuration for the copy.
fn copy_token(rig: &Rig, name: &str) -> PathBuf {
    let (tokens, conf) = (rig.path(&format!("{name}.tokens")), rig.path(&format!("{name}.conf")));
    for token in fs::read_dir(rig.directory().join("softhsm/tokens")).unwrap() {
        let token = token.unwrap();
        let copy = tokens.join(token.file_name());
        fs::create_dir_all(&copy).unwrap();
        for file in fs::read_dir(token.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
    }
    fs::write(&conf, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display())).unwrap();
    conf
}

/// The control file has numbers where a table has names.
fn numbers(faults: &str) -> String {
    let mut faults = faults.to_owned();
    for (name, code) in CODES {
        // The longest names come first where one is the beginning of another.
        faults = faults.replace(name, &format!("0x{code:X}"));
    }
    assert!(!faults.contains("CKR_"), "a return code without a number: {faults}");
    faults
}

const CODES: &[(&str, u64)] = &[
    ("CKR_ACTION_PROHIBITED", ck::CKR_ACTION_PROHIBITED),
    ("CKR_ARGUMENTS_BAD", ck::CKR_ARGUMENTS_BAD),
    ("CKR_ATTRIBUTE_READ_ONLY", ck::CKR_ATTRIBUTE_READ_ONLY),
    ("CKR_ATTRIBUTE_VALUE_INVALID", ck::CKR_ATTRIBUTE_VALUE_INVALID),
    ("CKR_BUFFER_TOO_SMALL", ck::CKR_BUFFER_TOO_SMALL),
    ("CKR_CANT_LOCK", ck::CKR_CANT_LOCK),
    ("CKR_CRYPTOKI_ALREADY_INITIALIZED", ck::CKR_CRYPTOKI_ALREADY_INITIALIZED),
    ("CKR_CRYPTOKI_NOT_INITIALIZED", ck::CKR_CRYPTOKI_NOT_INITIALIZED),
    ("CKR_DATA_LEN_RANGE", ck::CKR_DATA_LEN_RANGE),
    ("CKR_DEVICE_ERROR", ck::CKR_DEVICE_ERROR),
    ("CKR_DEVICE_MEMORY", ck::CKR_DEVICE_MEMORY),
    ("CKR_DEVICE_REMOVED", ck::CKR_DEVICE_REMOVED),
    ("CKR_FUNCTION_CANCELED", ck::CKR_FUNCTION_CANCELED),
    ("CKR_FUNCTION_FAILED", ck::CKR_FUNCTION_FAILED),
    ("CKR_FUNCTION_NOT_SUPPORTED", ck::CKR_FUNCTION_NOT_SUPPORTED),
    ("CKR_GENERAL_ERROR", ck::CKR_GENERAL_ERROR),
    ("CKR_HOST_MEMORY", ck::CKR_HOST_MEMORY),
    ("CKR_UNWRAPPING_KEY_HANDLE_INVALID", ck::CKR_UNWRAPPING_KEY_HANDLE_INVALID),
    ("CKR_WRAPPING_KEY_HANDLE_INVALID", ck::CKR_WRAPPING_KEY_HANDLE_INVALID),
    ("CKR_KEY_FUNCTION_NOT_PERMITTED", ck::CKR_KEY_FUNCTION_NOT_PERMITTED),
    ("CKR_KEY_HANDLE_INVALID", ck::CKR_KEY_HANDLE_INVALID),
    ("CKR_KEY_NOT_WRAPPABLE", ck::CKR_KEY_NOT_WRAPPABLE),
    ("CKR_KEY_TYPE_INCONSISTENT", ck::CKR_KEY_TYPE_INCONSISTENT),
    ("CKR_KEY_UNEXTRACTABLE", ck::CKR_KEY_UNEXTRACTABLE),
    ("CKR_MECHANISM_INVALID", ck::CKR_MECHANISM_INVALID),
    ("CKR_MUTEX_BAD", ck::CKR_MUTEX_BAD),
    ("CKR_NEED_TO_CREATE_THREADS", ck::CKR_NEED_TO_CREATE_THREADS),
    ("CKR_OBJECT_HANDLE_INVALID", ck::CKR_OBJECT_HANDLE_INVALID),
    ("CKR_OPERATION_ACTIVE", ck::CKR_OPERATION_ACTIVE),
    ("CKR_OPERATION_NOT_INITIALIZED", ck::CKR_OPERATION_NOT_INITIALIZED),
    ("CKR_PIN_EXPIRED", ck::CKR_PIN_EXPIRED),
    ("CKR_PIN_INCORRECT", ck::CKR_PIN_INCORRECT),
    ("CKR_PIN_INVALID", ck::CKR_PIN_INVALID),
    ("CKR_PIN_LEN_RANGE", ck::CKR_PIN_LEN_RANGE),
    ("CKR_PIN_LOCKED", ck::CKR_PIN_LOCKED),
    ("CKR_SESSION_CLOSED", ck::CKR_SESSION_CLOSED),
    ("CKR_SESSION_COUNT", ck::CKR_SESSION_COUNT),
    ("CKR_SESSION_HANDLE_INVALID", ck::CKR_SESSION_HANDLE_INVALID),
    ("CKR_SESSION_READ_ONLY", ck::CKR_SESSION_READ_ONLY),
    ("CKR_SLOT_ID_INVALID", ck::CKR_SLOT_ID_INVALID),
    ("CKR_TEMPLATE_INCONSISTENT", ck::CKR_TEMPLATE_INCONSISTENT),
    ("CKR_TOKEN_NOT_PRESENT", ck::CKR_TOKEN_NOT_PRESENT),
    ("CKR_TOKEN_NOT_RECOGNIZED", ck::CKR_TOKEN_NOT_RECOGNIZED),
    ("CKR_TOKEN_WRITE_PROTECTED", ck::CKR_TOKEN_WRITE_PROTECTED),
    ("CKR_USER_ALREADY_LOGGED_IN", ck::CKR_USER_ALREADY_LOGGED_IN),
    ("CKR_USER_NOT_LOGGED_IN", ck::CKR_USER_NOT_LOGGED_IN),
    ("CKR_USER_PIN_NOT_INITIALIZED", ck::CKR_USER_PIN_NOT_INITIALIZED),
    ("CKR_USER_TOO_MANY_TYPES", ck::CKR_USER_TOO_MANY_TYPES),
    ("CKR_WRAPPED_KEY_INVALID", ck::CKR_WRAPPED_KEY_INVALID),
];
