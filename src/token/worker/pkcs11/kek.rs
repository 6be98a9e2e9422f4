//! Session KEKs: KEKs that live as long as one restore by shares.

use super::{
    Backend,
    attributes::{SecretUse, Template, Trust, session_secret, unwrap_template},
    fault::{Failure, NO_MECHANISM},
};
use crate::base::custody::KekPurpose;
use crate::token::message::KekValue;
use cryptoki::{object::ObjectHandle, session::Session};
use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
};

/// The KEKs, and the session whose end destroys them.
pub(super) struct SessionKeks {
    handles: HashMap<KekPurpose, ObjectHandle>,
    session: Session,
}

impl Backend {
    /// Puts the KEKs into a session of their own, instead of those that are there.
    pub(super) fn open_session_keks(&self, keks: &[KekValue]) -> Result<(), Failure> {
        let _creating = self.creating();
        let session = self.token.open_session()?;
        let mut handles = HashMap::new();
        for kek in keks {
            handles.insert(kek.purpose, self.create_session_kek(&session, kek)?);
        }
        self.close_session_keks();
        *self.session_keks() = Some(SessionKeks { handles, session });
        Ok(())
    }

    /// Destroys the session KEKs, if there are any.
    pub(super) fn close_session_keks(&self) {
        if let Some(keks) = self.session_keks().take() {
            for handle in keks.handles.values() {
                // The end of the session destroys what is left.
                let _ = keks.session.destroy_object(*handle);
            }
        }
    }

    /// The handle of the session KEK for this purpose; session objects serve all sessions of a process.
    pub(super) fn session_kek(&self, purpose: KekPurpose) -> Result<ObjectHandle, Failure> {
        let keks = self.session_keks();
        let handle = keks.as_ref().and_then(|keks| keks.handles.get(&purpose).copied());
        handle.ok_or_else(|| self.token.kek_missing(purpose, "none, a session KEK"))
    }

    /// A session KEK unwraps only. It cannot be TRUSTED, so it does not force WRAP_WITH_TRUSTED; what comes out is
    /// compared with its policy instead. A token that takes no UNWRAP_TEMPLATE gets none.
    fn create_session_kek(&self, session: &Session, kek: &KekValue) -> Result<ObjectHandle, Failure> {
        let template = Template::secret_key(kek.value.0.expose(), SecretUse::Unwrap).with(session_secret());
        let unwrap = unwrap_template(kek.purpose, Trust::Untrusted);
        let module = &self.token.module;
        module
            .create_unwrapping_key(session, template.as_slice(), &unwrap)
            .or_else(|_| module.create_unwrapping_key(session, template.as_slice(), &[]))
            .map_err(self.token.refusal("open session KEK", kek.purpose, NO_MECHANISM))
    }

    fn session_keks(&self) -> MutexGuard<'_, Option<SessionKeks>> {
        self.session_keks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
