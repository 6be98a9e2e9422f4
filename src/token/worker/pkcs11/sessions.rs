//! The sessions of an opened token: each serves one operation at a time, and one in which something failed is closed.

use super::{
    fault::{Failure, NO_MECHANISM},
    token::Token,
};
use cryptoki::{
    error::{Error, RvError},
    session::Session,
};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Sessions that wait for an operation, and how many are at work.
#[derive(Default)]
pub(super) struct Sessions {
    state: Mutex<State>,
    /// A session waits again, or was closed.
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    at_work: usize,
}

impl Sessions {
    /// Works in a session, which waits for the next operation if this one went well.
    pub(super) fn work<T>(
        &self,
        token: &Token,
        operation: impl FnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let session = self.take(token)?;
        let _at_work = AtWork(self);
        let result = operation(&session);
        match &result {
            Ok(_) => self.state().idle.push(session),
            Err(_) => drop(session),
        }
        result
    }

    /// Closes the sessions that wait.
    pub(super) fn close_idle(&self) {
        let idle = std::mem::take(&mut self.state().idle);
        drop(idle);
    }

    /// Asks each session that waits for a sign of life: modules close those that do nothing for long.
    pub(super) fn touch_idle(&self) -> Result<(), Error> {
        self.state().idle.iter().try_for_each(|session| session.get_session_info().map(|_| ()))
    }

    /// A session that waits, or a new one; where the token gives no more of them, one that is at work now.
    fn take(&self, token: &Token) -> Result<Session, Failure> {
        let mut state = self.state();
        loop {
            let waiting = state.idle.pop();
            state.at_work += 1;
            drop(state);
            let error = match waiting.map_or_else(|| token.new_session(), Ok) {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            state = self.state();
            state.at_work -= 1;
            let is_crowded = matches!(error, Error::Pkcs11(RvError::SessionCount, _));
            if !is_crowded || state.at_work == 0 && state.idle.is_empty() {
                return Err(token.refusal("open session", "the token", NO_MECHANISM)(error));
            }
            if state.idle.is_empty() {
                state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a session out, after it waits again or is closed.
struct AtWork<'a>(&'a Sessions);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.state().at_work -= 1;
        self.0.returned.notify_one();
    }
}
