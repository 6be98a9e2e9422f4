//! The numbers by which the caller knows sessions and objects.
//!
//! A session gets the lowest free number, so a closed one's number is soon another session's. Objects are numbered in
//! the order in which they are first seen. A reset closes every session, and numbers objects from the next number on:
//! an object's old number is then its neighbour's, as with a device that has no memory of what it said before.

use cryptoki_sys::{
    CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SLOT_ID, CKR_OBJECT_HANDLE_INVALID, CKR_SESSION_HANDLE_INVALID,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

static HANDLES: Mutex<Handles> = Mutex::new(Handles::new());

/// What is known of the caller's sessions and objects.
struct Handles {
    sessions: BTreeMap<CK_SESSION_HANDLE, (CK_SESSION_HANDLE, CK_SLOT_ID)>,
    shown: BTreeMap<CK_OBJECT_HANDLE, CK_OBJECT_HANDLE>,
    real: BTreeMap<CK_OBJECT_HANDLE, CK_OBJECT_HANDLE>,
    /// Number of the first object since the last reset.
    first: CK_OBJECT_HANDLE,
}

impl Handles {
    const fn new() -> Self {
        Self { sessions: BTreeMap::new(), shown: BTreeMap::new(), real: BTreeMap::new(), first: 1 }
    }
}

fn handles() -> MutexGuard<'static, Handles> {
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The real session.
pub(crate) fn session(shown: CK_SESSION_HANDLE) -> Result<CK_SESSION_HANDLE, u64> {
    handles().sessions.get(&shown).map(|(real, _)| *real).ok_or(CKR_SESSION_HANDLE_INVALID)
}

/// A session has been opened; its number for the caller.
pub(crate) fn opened(real: CK_SESSION_HANDLE, slot: CK_SLOT_ID) -> CK_SESSION_HANDLE {
    let mut handles = handles();
    let number = (1..).find(|number| !handles.sessions.contains_key(number)).unwrap_or(CK_SESSION_HANDLE::MAX);
    handles.sessions.insert(number, (real, slot));
    number
}

/// A session has been closed.
pub(crate) fn closed(shown: CK_SESSION_HANDLE) {
    handles().sessions.remove(&shown);
}

/// All sessions of a slot have been closed.
pub(crate) fn closed_all(slot: CK_SLOT_ID) {
    handles().sessions.retain(|_, (_, of)| *of != slot);
}

/// The slots that have sessions.
pub(crate) fn slots() -> Vec<CK_SLOT_ID> {
    let mut slots: Vec<_> = handles().sessions.values().map(|(_, slot)| *slot).collect();
    slots.dedup();
    slots
}

/// Forgets everything.
pub(crate) fn reset() {
    let mut handles = handles();
    let first = handles.first + 1;
    *handles = Handles { first, ..Handles::new() };
}

/// The real object.
pub(crate) fn object(shown: CK_OBJECT_HANDLE) -> Result<CK_OBJECT_HANDLE, u64> {
    handles().real.get(&shown).copied().ok_or(CKR_OBJECT_HANDLE_INVALID)
}

/// An object's number for the caller.
pub(crate) fn show(real: CK_OBJECT_HANDLE) -> CK_OBJECT_HANDLE {
    let mut handles = handles();
    if let Some(number) = handles.shown.get(&real) {
        return *number;
    }
    let number = handles.real.last_key_value().map_or(handles.first, |(last, _)| last + 1);
    handles.shown.insert(real, number);
    handles.real.insert(number, real);
    number
}
