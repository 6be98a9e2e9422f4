//! The token worker: the child process that holds the vendor's module, the login and the session threads.
//!
//! [`run`] is the whole life of the process. One thread reads requests, session threads perform them and
//! write the answers; nothing is shared with the parent but the socket. Plain private keys exist in here
//! only, for the length of an export or a probe, and never leave but in their finished container.
//!
//! Invariants: the first request opens the token (or makes it, and is the only one), and a lock is held from then on, so that two workers of
//! one instance never use a token at once; the end of the stream ends the process even while a C call
//! hangs; `unsafe` stands in `ffi` only.

mod backend;
mod ffi;
mod harden;
mod lock;
mod piv;
mod pkcs11;
mod threads;

pub(crate) use harden::forbid_dumps;

use super::{
    error::TokenError,
    frame::{self, Frames},
    message::{Operation, Request, Response},
};
use std::{io, os::unix::net::UnixStream, sync::Arc, thread::JoinHandle, time::Duration};
use threads::{Crew, Job};

/// Serves requests from the socket until its end, which is the parent's end or its wish.
///
/// # Errors
/// The process cannot be hardened, the parent does not speak the protocol, or the token failed in a way
/// that only a new process heals.
pub fn run(socket: UnixStream) -> io::Result<()> {
    harden::harden()?;
    let crew = Arc::new(Crew::new(socket.try_clone()?));
    let mut threads = Vec::new();
    let read = read_requests(&crew, &mut threads, socket);
    crew.close(FINISH_WITHIN);
    for thread in threads {
        // A thread that panicked has asked for the end already.
        let _ = thread.join();
    }
    read?;
    if crew.gave_up() {
        return Err(io::Error::other("the token failed twice; a new worker has to start"));
    }
    Ok(())
}

fn read_requests(crew: &Arc<Crew>, threads: &mut Vec<JoinHandle<()>>, mut socket: UnixStream) -> io::Result<()> {
    let mut frames = Frames::new(socket.try_clone()?);
    let Some(request) = frames.next_blocking::<Request>()? else {
        return Ok(());
    };
    let wanted = match &request.operation {
        Operation::MakeToken(_) => 1,
        Operation::Open(open) => open.sessions.max(1),
        other => {
            let detail = format!("the first request is `{}`", other.name());
            let result = Err(TokenError::Protocol { detail });
            return frame::write_blocking(&mut socket, &Response { id: request.id, result });
        }
    };
    for number in 0..wanted {
        threads.push(crew.hire(number)?);
    }
    crew.submit(Job::new(request));
    while let Some(request) = frames.next_blocking::<Request>()? {
        match request.operation {
            Operation::Cancel => crew.cancel(request.id),
            _ => crew.submit(Job::new(request)),
        }
    }
    Ok(())
}

/// How long requests under way may take after the stream's end, so that no token object stays half written.
pub(super) const FINISH_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_the_token_is_opened_is_answered_as_out_of_turn() {
        let (mut parent, child) = UnixStream::pair().unwrap();
        let crew = Arc::new(Crew::new(child.try_clone().unwrap()));
        let request = Request { id: 7, deadline_ms: 1_000, operation: Operation::Refresh };
        frame::write_blocking(&mut parent, &request).unwrap();

        read_requests(&crew, &mut Vec::new(), child).unwrap();

        let response: Response = Frames::new(parent).next_blocking().unwrap().unwrap();
        assert_eq!(response.id, 7);
        assert!(matches!(response.result, Err(TokenError::Protocol { .. })));
    }

    #[test]
    fn a_parent_that_is_gone_before_it_asks_is_no_error() {
        let (parent, child) = UnixStream::pair().unwrap();
        let crew = Arc::new(Crew::new(child.try_clone().unwrap()));
        drop(parent);

        assert!(read_requests(&crew, &mut Vec::new(), child).is_ok());
    }
}
