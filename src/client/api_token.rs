//! The API token of a caller: read from a file that nobody else can read, and shown in one header.

use super::ClientError;
use crate::base::secret::Secret;
use ::http::HeaderValue;
use std::{
    fs::{File, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
};
use zeroize::Zeroizing;

/// An API token.
#[derive(Debug)]
pub struct ApiToken(Secret);

impl ApiToken {
    /// Reads a file with one line.
    ///
    /// # Errors
    /// It is not there, not a token, or open to others: then the token counts as known to them.
    pub fn read(path: &Path) -> Result<Self, ClientError> {
        let unusable = |cause: String| ClientError::ApiTokenUnusable { path: path.to_owned(), cause };
        let failed = |error: std::io::Error| unusable(error.to_string());
        // What is checked is the file that is read, also when the path leads elsewhere a moment later.
        let file = File::open(path).map_err(failed)?;
        if let Some(fault) = exposure(path, &file.metadata().map_err(failed)?) {
            return Err(unusable(fault));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_BYTES));
        file.take(LONGEST_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
        let token = Secret::from_line(std::mem::take(&mut *bytes));
        if token.is_empty() || !token.expose().iter().all(u8::is_ascii_graphic) {
            return Err(unusable("it does not hold one line with a token".to_owned()));
        }
        Ok(Self(token))
    }

    /// The header `Authorization` (RFC 6750, section 2.1), not shown by any log.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let value = Zeroizing::new([b"Bearer ", self.0.expose()].concat());
        let mut value = HeaderValue::from_bytes(&value).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Why others may know the token, and what to do.
fn exposure(path: &Path, metadata: &Metadata) -> Option<String> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Some(format!("it belongs to uid {}; take a file of your own", metadata.uid()));
    }
    let mode = metadata.mode() & 0o7777;
    let closing = format!("run `chmod 600 {}`", path.display());
    (mode & 0o077 != 0).then(|| format!("others can read it, its mode is {mode:04o}; {closing}"))
}

/// More than any token has; room for it is made once, so that no copies are left behind.
const LONGEST_BYTES: usize = 4_096;
