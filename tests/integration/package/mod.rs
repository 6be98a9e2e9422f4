//! Tests of what is installed: the Debian package, its units, and how the service behaves under systemd.

mod debian;
mod systemd;
mod units;

use std::path::{Path, PathBuf};

/// A file of the source tree.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
