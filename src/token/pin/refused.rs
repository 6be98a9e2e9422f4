//! The memory of refused PINs: none is sent twice, also across restarts.

use crate::base::secret::Secret;
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use subtle::ConstantTimeEq as _;

/// Remembers refused PINs by slow salted hashes, until one is accepted. One salt is for all, so that looking one up
/// costs one hash.
#[derive(Debug)]
pub(in crate::token) struct RefusedPin {
    file: PathBuf,
}

impl RefusedPin {
    /// The memory of the user PIN in this directory.
    pub(in crate::token) fn of_user(directory: &Path) -> Self {
        Self { file: directory.join("pin-refused") }
    }

    /// The memory of the SO PIN in this directory.
    pub(in crate::token) fn of_security_officer(directory: &Path) -> Self {
        Self { file: directory.join("so-pin-refused") }
    }

    /// Whether this very PIN was refused since the last one that was accepted.
    pub(super) fn knows(&self, pin: &Secret) -> bool {
        let Ok(stored) = fs::read(&self.file) else { return false };
        let Some((salt, hashes)) = stored.split_at_checked(SALT_BYTES) else { return false };
        let hash = slow_hash(pin, salt);
        hashes.chunks_exact(HASH_BYTES).any(|known| hash.ct_eq(known).into())
    }

    /// Remembers this PIN as refused.
    pub(super) fn remember(&self, pin: &Secret) -> io::Result<()> {
        let mut stored = fs::read(&self.file).unwrap_or_default();
        if stored.len() < SALT_BYTES {
            stored = vec![0; SALT_BYTES];
            getrandom::fill(&mut stored).map_err(io::Error::other)?;
        }
        let hash = slow_hash(pin, &stored[..SALT_BYTES]);
        stored.extend_from_slice(&hash);
        if stored.len() > SALT_BYTES + MOST * HASH_BYTES {
            stored.drain(SALT_BYTES..SALT_BYTES + HASH_BYTES);
        }
        self.write(&stored)
    }

    /// Remembers this PIN as refused, as far as the disk lets it.
    pub(in crate::token) fn keep_in_mind(&self, pin: &Secret) {
        if let Err(error) = self.remember(pin) {
            tracing::warn!(%error, "the refused PIN cannot be remembered");
        }
    }

    /// Forgets them: a PIN was accepted.
    pub(super) fn forget(&self) {
        // Not there is as good as forgotten, and a file that stays only refuses the same wrong PINs again.
        let _ = fs::remove_file(&self.file);
    }

    /// Whole or not at all: a memory that a crash has cut would let an old wrong PIN through.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.file.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.file)
    }
}

fn slow_hash(pin: &Secret, salt: &[u8]) -> [u8; HASH_BYTES] {
    pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, HASH_BYTES>(pin.expose(), salt, HASH_ITERATIONS)
}

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// More than any token lets be refused in a row, and more than keyward sends in an hour; the oldest is dropped.
const MOST: usize = 64;
/// A PIN is short, so guessing it from this file must cost; about 0.1 s.
const HASH_ITERATIONS: u32 = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn every_refused_pin_is_remembered_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let memory = RefusedPin::of_user(directory.path());

        memory.remember(&pin("1111")).unwrap();
        memory.remember(&pin("2222")).unwrap();

        assert_eq!(["1111", "2222", "3333"].map(|text| memory.knows(&pin(text))), [true, true, false]);
        memory.forget();
        assert!(!memory.knows(&pin("1111")));
    }
}
