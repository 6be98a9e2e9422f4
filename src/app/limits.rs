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

/// How many of so many connections the system has descriptors for, with some left for logs, database and token: else
/// the listener would stop at the system's limit, and never come to closing idle connections for new ones.
pub(super) fn connections(wanted: usize) -> usize {
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return wanted };
    let room = usize::try_from(descriptors).unwrap_or(usize::MAX).saturating_sub(DESCRIPTORS_KEPT).max(FEWEST);
    if wanted > room {
        tracing::warn!(wanted, room, "the limit of open files allows fewer connections than the settings");
    }
    wanted.min(room)
}

/// For everything but connections.
const DESCRIPTORS_KEPT: usize = 128;
/// As few as settings may ask for.
const FEWEST: usize = 16;
