//! What the system lets this process do: no core dumps and no tracing, since PINs and passphrases go through it; as
//! many open files as it may have, since each connection is one.

use crate::token::worker::forbid_dumps;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Forbids core dumps and ptrace.
pub(super) fn guard() {
    if let Err(error) = forbid_dumps() {
        tracing::error!(%error, "core dumps cannot be forbidden; a PIN may get into one");
    }
}

/// Takes all descriptors that the system would give.
pub(super) fn widen() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
