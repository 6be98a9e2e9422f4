//! The embedded default token of a rig: SoftHSM with a configuration and PINs of its own.

use super::{AppError, settings::TokenSection};
use crate::base::ids::hex;
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
        so_pin_file: Some(PathBuf::from(SO_PIN)),
        softhsm_conf: Some(PathBuf::from(CONF)),
        environment: BTreeMap::new(),
        sessions: None,
    })
}

/// Keeps a copy of the token's own file while it is whole, and puts it back when it was cut.
///
/// SoftHSM 2.6.1 rewrites `token.object` in place at every login. A kill or power cut in that moment leaves it
/// empty, and in it is the key that every object of the token is encrypted under. Its length never changes.
pub(super) fn mend(directory: &Path) -> Result<(), AppError> {
    let Ok(tokens) = fs::read_dir(directory.join("softhsm/tokens")) else { return Ok(()) };
    for token in tokens.filter_map(Result::ok) {
        let file = token.path().join("token.object");
        let copy = directory.join("softhsm").join(token.file_name()).with_extension("token-object");
        mend_file(&file, &copy).map_err(failed)?;
    }
    Ok(())
}

fn mend_file(file: &Path, copy: &Path) -> io::Result<()> {
    let (now, kept) = (fs::read(file).unwrap_or_default(), fs::read(copy).unwrap_or_default());
    if now.len() < kept.len() {
        tracing::warn!(file = %file.display(), "SoftHSM's file was cut by an interrupted login; its copy is put back");
        replace(file, &kept)
    } else if now == kept {
        Ok(())
    } else {
        replace(copy, &now)
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // What an interrupted replacement has left.
    let _ = fs::remove_file(&new);
    write_new(&new, bytes)?;
    fs::rename(new, path)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_that_was_cut_is_put_back_and_a_whole_one_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("softhsm/tokens/0190b2a1-0000");
        fs::create_dir_all(&token).unwrap();
        let file = token.join("token.object");

        for whole in [b"first, whole", b"other, whole"] {
            fs::write(&file, whole).unwrap();
            mend(directory.path()).unwrap();
            for cut in [0, 5] {
                fs::write(&file, &whole[..cut]).unwrap();
                mend(directory.path()).unwrap();

                assert_eq!(fs::read(&file).unwrap(), whole);
            }
        }
        assert_eq!(fs::read_dir(token).unwrap().count(), 1);
    }

    #[test]
    fn an_instance_without_an_embedded_token_has_nothing_to_mend() {
        let directory = tempfile::tempdir().unwrap();

        mend(directory.path()).unwrap();

        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
