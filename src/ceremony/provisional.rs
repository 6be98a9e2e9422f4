//! A rig's first secret: made without a ceremony, its single share in a file, so that backup works at once.

use super::{
    CeremonyError, kek,
    recover::import,
    share_file::{self, Provenance},
    slip39::system_random,
};
use crate::base::{ids::InstanceId, principal::Caller, secret::Secret};
use crate::keys::Keys;
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};
use zeroize::Zeroizing;

/// Makes a secret, brings its KEKs into the token, and gives it back for the share file.
///
/// # Errors
/// The token takes no KEK.
pub async fn establish(keys: &Keys) -> Result<Secret, CeremonyError> {
    let secret = kek::new_secret(&mut system_random)?;
    import(keys, &Caller::system(), &secret).await?;
    Ok(secret)
}

/// Writes the share file; an existing one is not overwritten.
///
/// # Errors
/// The file cannot be written.
pub fn write_share(
    path: &Path,
    secret: &Secret,
    instance: InstanceId,
    root_sha256: String,
) -> Result<(), CeremonyError> {
    let provenance = Provenance { instance: Some(instance), root_sha256: Some(root_sha256) };
    let text = share_file::write(secret, &provenance, &mut system_random)?;
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| CeremonyError::ShareFileUnwritable { path: path.to_owned(), source })
}

/// Renames the share file of an instance directory if it is of another secret than the current one: what is
/// wrapped from now on does not open with it, what was wrapped before does.
pub fn supersede(directory: &Path, current: &Secret) {
    let path = directory.join(SHARE_FILE);
    let Ok(text) = fs::read_to_string(&path).map(Zeroizing::new) else { return };
    let Ok(file) = share_file::parse(&text) else { return };
    if file.secret == *current {
        return;
    }
    let kcv = kek::check_values(&file.secret).ok().and_then(|values| values.into_iter().next());
    let kcv = kcv.map_or_else(String::new, |(_, kcv)| format!("-{kcv}"));
    if let Err(error) = fs::rename(&path, directory.join(format!("share-superseded{kcv}.txt"))) {
        tracing::warn!(%error, "the share file of the former KEKs keeps its name");
    }
}

/// The share file of a rig, in its directory.
pub const SHARE_FILE: &str = "share-provisional.txt";
