//! Tokens behind a PKCS#11 module (v2.40 and later), through cryptoki; a file per verb.
//!
//! [`Backend`] is one opened token.
//!
//! Invariants: a session in which something failed is closed, never used again; a rebuild stands alone, closes every
//! session before it opens one and makes a new index, so that no number of before is used after it, when it may be
//! another session's or another key's; objects are created and searched for one after the other, never at once; the
//! PIN is sent again only if the token took it, and a refused one is remembered at once.

mod adopt;
mod attributes;
mod certificate;
mod condition;
mod content_key;
mod destroy;
mod export;
mod facts;
mod fault;
mod generate;
mod index;
mod info;
mod keeping;
mod kek;
mod kek_import;
mod make;
mod measure;
mod objects;
mod pin;
mod probe;
mod sessions;
mod sign;
mod token;
mod unwrap;
mod wrap;

use crate::base::ids::KeyId;
use crate::token::{
    address::TokenDescription,
    error::TokenError,
    message::{AdoptedKey, Answer, Operation, PlainSecret},
    worker::backend::{self, Fate},
};
use cryptoki::session::Session;
use fault::{Class, Failure};
use index::Index;
use kek::SessionKeks;
pub(in crate::token::worker) use make::make_token;
use sessions::Sessions;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU32, Ordering},
    },
};
use token::Token;

/// An opened token.
pub(in crate::token::worker) struct Backend {
    token: Token,
    /// A session that stays open, since closing the last one of a process logs out; none before the login.
    login: Mutex<Option<Session>>,
    index: RwLock<Index>,
    adopted: Mutex<BTreeMap<KeyId, AdoptedKey>>,
    /// Held for reading while objects are created, for writing while they are searched for or destroyed: SoftHSM
    /// answers `CKR_GENERAL_ERROR` to a creation beside a search. The index changes only under it.
    objects: RwLock<()>,
    /// Number of the sessions' and handles' generation: held for reading by every operation, for writing by a rebuild.
    generation: RwLock<u64>,
    sessions: Sessions,
    session_keks: Mutex<Option<SessionKeks>>,
    /// Operations in a row that failed after everything had been made anew for them.
    in_vain: AtomicU32,
}

impl backend::Backend for Backend {
    fn name(&self) -> String {
        self.token.name()
    }

    fn description(&self) -> Result<TokenDescription, TokenError> {
        self.describe()
    }

    /// What can be healed is healed once, and the operation repeated if that can do no harm.
    fn perform(&self, operation: &Operation) -> (Result<Answer, TokenError>, Fate) {
        let (generation, first) = match self.attempt(operation) {
            Ok(answer) => return self.performed(answer),
            Err(failed) => failed,
        };
        let repeats = operation.is_harmless_twice() || first.class == Class::Unbegun;
        let is_login = matches!(operation, Operation::Login(_));
        let heals = first.class != Class::Plain && (repeats || is_login || first.class == Class::Session);
        if !heals || !self.is_logged_in() {
            return (Err(*first.error), Fate::GoOn);
        }
        if (first.class != Class::Retry || is_login)
            && let Err(why) = self.rebuild(generation)
        {
            return (Err(fault::telling(first, why)), Fate::End);
        }
        if is_login {
            // The token had taken the PIN, and the rest of a login is what a rebuild does.
            return self.performed(Answer::Done);
        }
        if !repeats {
            return (Err(*first.error), Fate::GoOn);
        }
        match self.attempt(operation) {
            Ok(answer) => self.performed(answer),
            Err((_, second)) => {
                let fate = self.fate_after(&second);
                (Err(*second.error), fate)
            }
        }
    }
}

impl Backend {
    fn performed(&self, answer: Answer) -> (Result<Answer, TokenError>, Fate) {
        if self.in_vain.load(Ordering::Relaxed) > 0 {
            self.in_vain.store(0, Ordering::Relaxed);
        }
        (Ok(answer), Fate::GoOn)
    }

    /// What becomes of the process when an operation failed again. What a module answers to one request may be about
    /// that request, whatever it is called; to several in a row it is about the module.
    fn fate_after(&self, second: &Failure) -> Fate {
        if second.class == Class::Plain && !fault::is_gone(second) {
            return Fate::GoOn;
        }
        let in_vain = self.in_vain.fetch_add(1, Ordering::Relaxed) + 1;
        if in_vain < LONGEST_ROW_IN_VAIN { Fate::GoOn } else { Fate::End }
    }

    /// One try; a failure comes with the generation that it belongs to.
    fn attempt(&self, operation: &Operation) -> Result<Answer, (u64, Failure)> {
        let generation = self.generation.read().unwrap_or_else(PoisonError::into_inner);
        self.sessions
            .work(&self.token, |session| self.dispatch(session, operation))
            .map_err(|failure| (*generation, failure))
    }

    fn dispatch(&self, session: &Session, operation: &Operation) -> Result<Answer, Failure> {
        match operation {
            Operation::Cancel | Operation::Managed(_) | Operation::MakeToken(_) | Operation::Open(_) => {
                let detail = format!("`{}` is no request to an open token", operation.name());
                Err(TokenError::Protocol { detail }.into())
            }
            Operation::Login(pin) => self.log_in(session, &pin.0).map(|()| Answer::Done),
            Operation::ImportKeks(import) => self.import_keks(session, import).map(Answer::KeksImported),
            Operation::Adopt(keys) => self.adopt(session, keys).map(Answer::Keys),
            _ if !self.is_logged_in() => {
                Err(self.token.refused(operation.name(), "the token", "CKR_USER_NOT_LOGGED_IN"))
            }
            Operation::Scan { offset } => self.scan(session, *offset).map(Answer::Objects),
            Operation::KeepAlive => self.keep_alive().map(|()| Answer::Done),
            Operation::Refresh => self.refresh(session).map(Answer::Count),
            Operation::List { offset } => Ok(Answer::Keys(self.index().page(*offset, PAGE_BYTES))),
            Operation::ListKeks => Ok(Answer::Keks(self.index().keks())),
            Operation::Probe => self.probe().map(Answer::Capabilities),
            Operation::Generate(new) => self.generate(session, new).map(Answer::Key),
            Operation::Attest { .. } => Err(self.token.unattested()),
            Operation::Sign(job) => self.sign(session, job).map(Answer::Signatures),
            Operation::Wrap(job) => self.wrap(session, job).map(Answer::Bytes),
            Operation::Unwrap(job) => self.unwrap(session, job).map(Answer::Key),
            Operation::Prove(job) => self.prove(session, job).map(|()| Answer::Done),
            Operation::Export(job) => self.export(session, job).map(Answer::Bytes),
            Operation::ChangePin(new) => self.change_pin(&new.0).map(|()| Answer::Done),
            Operation::Destroy { key } => self.destroy(session, *key).map(Answer::Count),
            Operation::StoreCertificate(object) => self.store_certificate(session, object).map(|()| Answer::Done),
            Operation::OpenSessionKeks(keks) => self.open_session_keks(keks).map(|()| Answer::Done),
            Operation::CloseSessionKeks => {
                self.close_session_keks();
                Ok(Answer::Done)
            }
            Operation::SealContentKey(seal) => self.seal_content_key(session, seal).map(Answer::Bytes),
            Operation::OpenContentKey(open) => {
                self.open_content_key(session, open).map(|key| Answer::Secret(PlainSecret(key)))
            }
        }
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while objects are created.
    fn creating(&self) -> RwLockReadGuard<'_, ()> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while objects are searched for.
    fn searching(&self) -> RwLockWriteGuard<'_, ()> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn login(&self) -> MutexGuard<'_, Option<Session>> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys in one answer, so that it fits well into a frame of 1 MiB.
const PAGE_BYTES: usize = 512 << 10;
/// After so many operations in a row that failed on new sessions too, only a new process is left to try.
const LONGEST_ROW_IN_VAIN: u32 = 3;
