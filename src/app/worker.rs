//! `keyward token-worker`: the child's side of the process border.

use crate::token::worker;
use std::{
    io,
    os::{fd::AsFd as _, unix::net::UnixStream},
};

/// Serves the pool on standard input, which is one end of a socketpair, until the other end closes.
///
/// # Errors
/// Standard input is not a socket, or the module can no longer be used.
pub fn serve() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A person who types the command gets an error instead of a prompt that never comes.
    socket.peer_addr()?;
    worker::run(socket)
}
