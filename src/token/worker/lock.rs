//! The lock that a worker holds while it lives, so that no second one of the instance uses the same token beside it.

use crate::token::{error::TokenError, message::OpenToken};
use std::{fs::File, io, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Waits for the lock; it is given back when the file is dropped.
pub(super) fn take(open: &OpenToken) -> Result<File, TokenError> {
    locked(&open.lock_file)
        .map_err(|error| TokenError::WorkerUnstartable { token: open.address.label.clone(), cause: error.to_string() })
}

fn locked(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}
