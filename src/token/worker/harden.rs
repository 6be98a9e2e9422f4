//! What a process gives up before it sees a PIN: core dumps and being traced; the worker also being swapped out.

use rustix::{
    io,
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, geteuid, getrlimit, set_dumpable_behavior, setrlimit},
};

/// Forbids core dumps and ptrace, and keeps memory out of swap where that cannot do harm.
pub(super) fn harden() -> io::Result<()> {
    forbid_dumps()?;
    lock_memory();
    Ok(())
}

/// Forbids core dumps and ptrace. The parent calls it as well: PINs and passphrases go through it.
///
/// # Errors
/// The system does not let a process give that up, as under a filter of system calls that forbids `prctl`.
pub(crate) fn forbid_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Locks pages as they are touched, but only without a limit: under one, a later allocation would fail.
fn lock_memory() {
    if geteuid().is_root() {
        // Refused in a container without CAP_SYS_RESOURCE; then the limit stays what it is.
        let _ = setrlimit(Resource::Memlock, UNLIMITED);
    }
    if getrlimit(Resource::Memlock).current.is_none() {
        // Swapping is then as it was, which is no reason not to serve.
        let _ = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    }
}

const UNLIMITED: Rlimit = Rlimit { current: None, maximum: None };
