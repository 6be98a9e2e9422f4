//! What can be said of an archive without an instance, a token or a KEK.

use super::{
    BackupError,
    api::{ArchiveRef, VerifyAnswer},
    archive::Archive,
};

/// Checks every hash and the signature of an archive.
///
/// # Errors
/// [`BackupError::ArchiveInvalid`] names the first thing that does not hold.
pub fn verify(bytes: &[u8]) -> Result<VerifyAnswer, BackupError> {
    let archive = Archive::open(bytes)?;
    Ok(VerifyAnswer {
        valid: true,
        archive: reference(&archive),
        instance: archive.manifest.instance.id.to_string(),
        root_sha256: archive.manifest.instance.root_sha256.clone(),
        keys: archive.manifest.keys.len(),
        not_covered: archive.manifest.not_covered.len(),
        keks: archive.manifest.keks.clone(),
    })
}

/// The archive, named.
#[must_use]
pub fn reference(archive: &Archive) -> ArchiveRef {
    ArchiveRef { name: archive.name(), sequence: archive.manifest.sequence, sha256: archive.sha256.clone() }
}
