//! Putting a wrapped key back, and proving that it is the key it should be.
//!
//! The public key object comes first and the private one last, so that an end in between leaves nothing that
//! could be taken for a restored key; whatever fails takes everything of the key out again.

use super::{
    Backend,
    attributes::{self, Lifetime},
    fault::{Failure, NO_MECHANISM, rv_name},
    index::Entry,
    wrap::mechanism_name,
};
use crate::base::custody::{KekPurpose, Purpose};
use crate::pki::public_key::PublicKey;
use crate::token::{
    error::TokenError,
    message::{KekSource, NewKey, TokenKey, UnwrapJob},
};
use cryptoki::{
    error::{Error, RvError},
    object::ObjectHandle,
    session::Session,
};

impl Backend {
    /// Unwraps to token objects; a key that is there already has to be as good as one that is put back.
    pub(super) fn unwrap(&self, session: &Session, job: &UnwrapJob) -> Result<TokenKey, Failure> {
        let _creating = self.creating();
        let public = public_of(job)?;
        let known = self.index().key(job.key.id);
        if let Some(entry) = known {
            return self.keep(session, &entry, job, &public);
        }
        let public_handle = self.ensure_public_key(session, &job.key, &public)?;
        let made = self.unwrap_private_key(session, job, &public);
        let (handle, facts) = made.inspect_err(|_| {
            // The failure that led here is the one to report.
            let _ = public_handle.map(|handle| session.destroy_object(handle));
        })?;
        let entry = Entry::new(handle, facts, Some(public));
        if job.key.purpose.signs() {
            entry.proofs.set_proved();
        }
        let key = entry.key.clone();
        self.index_mut().insert(entry);
        Ok(key)
    }

    /// Unwraps to a session object that signs once and is destroyed.
    pub(super) fn prove(&self, session: &Session, job: &UnwrapJob) -> Result<(), Failure> {
        let _creating = self.creating();
        let public = public_of(job)?;
        self.prove_by_session_object(session, job, &public)
    }

    /// Leaves a key as it is that is there already, if its attributes are those of its policy and it signs as the
    /// private half of its public key. It is not ours to destroy: it may be the only one there is. One without a public
    /// key, as a fault in the middle of a restore leaves it, gets that.
    fn keep(&self, session: &Session, entry: &Entry, job: &UnwrapJob, public: &PublicKey) -> Result<TokenKey, Failure> {
        let (id, signs) = (entry.key.id, job.key.purpose.signs());
        let is_half = entry.sha256.is_none() && signs;
        if entry.sha256 != Some(public.sha256()) && !is_half {
            return Err(self.token.another(id));
        }
        let facts = self.token.checked_facts(session, entry.handle, &job.key).map_err(left_alone)?;
        if signs {
            self.token.prove(session, id, entry.handle, public)?;
            entry.proofs.set_proved();
        }
        if !is_half {
            return Ok(entry.key.clone());
        }
        self.ensure_public_key(session, &job.key, public)?;
        let whole = Entry::new(entry.handle, facts, Some(public.clone()));
        let key = whole.key.clone();
        self.index_mut().insert(whole);
        Ok(key)
    }

    /// Creates the public key object unless an interrupted restore has left it; its handle if it is new.
    fn ensure_public_key(
        &self,
        session: &Session,
        new: &NewKey,
        public: &PublicKey,
    ) -> Result<Option<ObjectHandle>, Failure> {
        match self.index().stray(new.id) {
            Some(stray) if stray == *public => return Ok(None),
            Some(_) => return Err(self.token.another(new.id)),
            None => {}
        }
        let template = attributes::stored_public_key(new, public)
            .ok_or_else(|| self.token.refused("create public key", new.id, "no attributes for it"))?;
        session.create_object(&template).map(Some).map_err(self.token.refusal(
            "create public key",
            new.id,
            NO_MECHANISM,
        ))
    }

    fn unwrap_private_key(
        &self,
        session: &Session,
        job: &UnwrapJob,
        public: &PublicKey,
    ) -> Result<(ObjectHandle, TokenKey), Failure> {
        if !job.key.purpose.signs() {
            self.prove_by_session_object(session, job, public)?;
        }
        let handle = self.unwrap_object(session, job, &job.key, Lifetime::Token)?;
        let checked = self.token.checked_facts(session, handle, &job.key).and_then(|facts| {
            if job.key.purpose.signs() {
                self.token.prove(session, job.key.id, handle, public)?;
            }
            Ok(facts)
        });
        match checked {
            Ok(facts) => Ok((handle, facts)),
            Err(failure) => {
                // The failure that led here is the one to report.
                let _ = session.destroy_object(handle);
                Err(failure)
            }
        }
    }

    fn prove_by_session_object(&self, session: &Session, job: &UnwrapJob, public: &PublicKey) -> Result<(), Failure> {
        let signing = NewKey { purpose: Purpose::Signing, ..job.key.clone() };
        let handle = self.unwrap_object(session, job, &signing, Lifetime::Session)?;
        let proved = self
            .token
            .checked_facts(session, handle, &signing)
            .and_then(|_| self.token.prove(session, signing.id, handle, public));
        let destroyed =
            session.destroy_object(handle).map_err(self.token.refusal("destroy", "a session object", NO_MECHANISM));
        proved.and(destroyed)
    }

    fn unwrap_object(
        &self,
        session: &Session,
        job: &UnwrapJob,
        new: &NewKey,
        lifetime: Lifetime,
    ) -> Result<ObjectHandle, Failure> {
        let (kek, purpose) = self.unwrapping_kek(job.kek)?;
        let template = attributes::unwrapped_key(new, lifetime);
        self.token.module.unwrap_key(session, job.mechanism, kek, &job.wrapped, &template).map_err(|error| {
            if opens_nothing(&error) {
                return TokenError::BlobUnreadable { key: new.id, kek: purpose, rv: rv_name(&error) }.into();
            }
            self.token.refusal("unwrap", new.id, mechanism_name(job.mechanism))(error)
        })
    }

    /// The handle of a KEK, and what it is for.
    pub(super) fn unwrapping_kek(&self, source: KekSource) -> Result<(ObjectHandle, KekPurpose), Failure> {
        match source {
            KekSource::Session(purpose) => Ok((self.session_kek(purpose)?, purpose)),
            KekSource::Token(id, purpose) => Ok((self.token_kek(id, purpose)?.handle, purpose)),
        }
    }
}

/// The same failure of an object that stays.
fn left_alone(failure: Failure) -> Failure {
    match *failure.error {
        TokenError::WeakerThanPolicy { key, attribute } => TokenError::WeakerInToken { key, attribute }.into(),
        error => Failure { error: Box::new(error), class: failure.class },
    }
}

fn public_of(job: &UnwrapJob) -> Result<PublicKey, Failure> {
    PublicKey::from_der(&job.public_key_der).map_err(|error| {
        let cause = format!("its recorded public key cannot be read: {error}");
        TokenError::ProofFailed { key: job.key.id, cause }.into()
    })
}

/// Whether an error of `C_UnwrapKey` means another KEK, or changed bytes. SoftHSM says `CKR_GENERAL_ERROR` to both.
pub(super) fn opens_nothing(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::DataInvalid
                | RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::FunctionFailed
                | RvError::GeneralError
                | RvError::WrappedKeyInvalid
                | RvError::WrappedKeyLenRange,
            _
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    #[test]
    fn softhsm_says_general_error_to_a_wrap_of_another_kek() {
        let says = |rv| opens_nothing(&Error::Pkcs11(rv, Function::UnwrapKey));

        assert!(says(RvError::GeneralError));
        assert!(says(RvError::WrappedKeyInvalid));
        assert!(!says(RvError::TemplateInconsistent));
        assert!(!says(RvError::MechanismInvalid));
        assert!(!says(RvError::UserNotLoggedIn));
    }
}
