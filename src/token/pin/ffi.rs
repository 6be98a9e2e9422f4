//! Taking over a descriptor that this process was started with: there is no safe way to own one that is only a number.
#![expect(unsafe_code, reason = "an inherited descriptor is known by its number alone")]

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use std::{
    io,
    os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

/// Takes over a descriptor, and keeps it from every child.
///
/// # Errors
/// It is not open, or was opened by this process: what Rust's library and SQLite open is closed on exec, and what was
/// inherited came through one.
pub(super) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < FIRST {
        return Err(io::Error::other("it is standard input, output or error"));
    }
    // SAFETY: lent for the two calls below; a number that is not open makes them fail with EBADF.
    let lent = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(lent).map_err(|_| io::Error::other("keyward was not started with it"))?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(io::Error::other("it is a file of keyward's own, which was not started with it"));
    }
    fcntl_setfd(lent, flags | FdFlags::CLOEXEC)?;
    // SAFETY: nobody in this process owns it: it was inherited, and it is marked now, so a second call refuses it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Behind standard input, output and error.
const FIRST: RawFd = 3;
