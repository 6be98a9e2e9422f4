//! The embedded default token of a rig: SoftHSM with a configuration and PINs of its own.

use super::{AppError, settings::TokenSection};
use crate::base::ids::hex;
use crate::token::softhsm;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Makes `softhsm/` in an instance directory: configuration, an empty token store, random PINs.
pub(super) fn prepare(directory: &Path, label: &str) -> Result<TokenSection, AppError> {
    let module = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
    let module = module.ok_or_else(|| failed("libsofthsm2.so is not installed"))?;
    let tokens = directory.join("softhsm/tokens");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&tokens).map_err(failed)?;
    let conf = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    write_new(&directory.join(CONF), conf.as_bytes()).map_err(failed)?;
    for name in [PIN, SO_PIN] {
        write_new(&directory.join(name), random_pin()?.as_bytes()).map_err(failed)?;
    }
    Ok(TokenSection {
        module: Some(module),
        yubikey: None,
        management_key_file: None,
        attestation_roots: None,
        label: label.to_owned(),
        pin_file: Some(PathBuf::from(PIN)),
        pin_credential: None,
        pin_fd: None,
        pin_command: None,
        pin_prompt: false,
        so_pin_file: Some(PathBuf::from(SO_PIN)),
        softhsm_conf: Some(PathBuf::from(CONF)),
        environment: BTreeMap::new(),
        sessions: None,
        keep_alive_seconds: None,
    })
}

/// Has the token's own file whole, before a worker opens it.
pub(super) fn mend(directory: &Path) -> Result<(), AppError> {
    softhsm::mend(directory).map_err(failed)
}

fn random_pin() -> Result<Zeroizing<String>, AppError> {
    let mut bytes = Zeroizing::new([0; 16]);
    getrandom::fill(&mut *bytes).map_err(failed)?;
    Ok(Zeroizing::new(hex(&*bytes)))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn failed(cause: impl std::fmt::Display) -> AppError {
    AppError::SoftHsm { cause: cause.to_string() }
}

const CONF: &str = "softhsm/softhsm2.conf";
const PIN: &str = "softhsm/pin";
const SO_PIN: &str = "softhsm/so-pin";
/// Where distributions put the module.
const MODULES: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
