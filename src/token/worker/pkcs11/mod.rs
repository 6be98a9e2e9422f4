//! Tokens behind a PKCS#11 module (v2.40 and later), through cryptoki; a file per verb.
//!
//! [`Backend`] is one opened token. A session thread brings its [`Seat`], the one session that it owns.
//!
//! Invariants: a session in which something failed is closed, never used again; handles are used only
//! together with the index they came from, and a rebuild makes a new index; objects are created and
//! searched for one after the other, never at once; the PIN is sent again only if the token took it.

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
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};
use token::{Login, Token};

/// An opened token.
pub(in crate::token::worker) struct Backend {
    token: Token,
    login: Mutex<Option<Login>>,
    index: RwLock<Index>,
    adopted: Mutex<BTreeMap<KeyId, AdoptedKey>>,
    /// Held for reading while objects are created, for writing while they are searched for or destroyed: SoftHSM
    /// answers `CKR_GENERAL_ERROR` to a creation beside a search. The index changes only under it.
    objects: RwLock<()>,
    /// Counts rebuilds; sessions and handles of an earlier generation are not used any more.
    generation: AtomicU64,
    session_keks: Mutex<Option<SessionKeks>>,
}

/// A session thread's own session.
#[derive(Default)]
struct Seat {
    session: Option<Session>,
    generation: u64,
}

/// A session thread at this token.
struct Thread<'a> {
    backend: &'a Backend,
    seat: Seat,
}

impl backend::Backend for Backend {
    fn name(&self) -> String {
        self.token.name()
    }

    fn description(&self) -> Result<TokenDescription, TokenError> {
        self.describe()
    }

    fn seat(&self) -> Box<dyn backend::Seat + '_> {
        Box::new(Thread { backend: self, seat: Seat::default() })
    }
}

impl backend::Seat for Thread<'_> {
    fn perform(&mut self, operation: &Operation) -> (Result<Answer, TokenError>, Fate) {
        self.backend.perform(&mut self.seat, operation)
    }
}

impl Backend {
    /// Performs any operation but `Open`; session faults are healed once by a rebuild.
    fn perform(&self, seat: &mut Seat, operation: &Operation) -> (Result<Answer, TokenError>, Fate) {
        let generation = self.generation.load(Ordering::Acquire);
        let first = match self.attempt(seat, operation) {
            Ok(answer) => return (Ok(answer), Fate::GoOn),
            Err(failure) => failure,
        };
        let heals = match first.class {
            Class::Handle => operation.is_repeatable(),
            Class::Plain => false,
            Class::Session => true,
        };
        if !heals || !self.is_logged_in() {
            return (Err(*first.error), Fate::GoOn);
        }
        if self.rebuild(generation).is_err() {
            return (Err(*first.error), Fate::End);
        }
        if !operation.is_repeatable() {
            return (Err(*first.error), Fate::GoOn);
        }
        match self.attempt(seat, operation) {
            Ok(answer) => (Ok(answer), Fate::GoOn),
            Err(second) => {
                let fate = fault::fate_after(&second);
                (Err(*second.error), fate)
            }
        }
    }

    fn attempt(&self, seat: &mut Seat, operation: &Operation) -> Result<Answer, Failure> {
        let session = self.session(seat)?;
        let result = self.dispatch(&session, operation);
        if result.is_ok() {
            seat.session = Some(session);
        }
        result
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

    /// The seat's session, taken out of it; a new one if there is none of this generation.
    fn session(&self, seat: &mut Seat) -> Result<Session, Failure> {
        let generation = self.generation.load(Ordering::Acquire);
        if seat.generation != generation {
            seat.session = None;
            seat.generation = generation;
        }
        match seat.session.take() {
            Some(session) => Ok(session),
            None => self.token.open_session(),
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

    fn login(&self) -> MutexGuard<'_, Option<Login>> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys in one answer, so that it fits well into a frame of 1 MiB.
const PAGE_BYTES: usize = 512 << 10;
