//! Whether a token keeps in what it should, by trial: what is forbidden is tried, after what is permitted has worked.

use super::{
    attributes::{self, Lifetime, Trust, unwrap_template},
    fault::{Failure, is_denial},
    probe::{Bench, Wrapping, scratch},
    wrap::mechanism_name,
};
use crate::base::{
    algorithm::KeyAlgorithm,
    custody::{KekPurpose, KeyPolicy},
};
use cryptoki::{error::Error, mechanism::Mechanism, object::Attribute, session::Session};

/// What becomes of keys that are not EXTRACTABLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// They are wrapped like others.
    GivesAway,
    /// Others are wrapped, they are not.
    KeepsIn,
    /// Nothing is wrapped at all.
    WrapsNothing,
}

impl Bench<'_> {
    /// Whether a KEK with a template opens a key as the template says, and refuses to open it readable.
    pub(super) fn honours_unwrap_template(&self, session: &Session, by: Wrapping) -> Result<bool, Failure> {
        let mechanism = by.mechanism;
        let new = scratch(by.algorithm, KeyPolicy::Exportable);
        let (pair, _) = self.pair(session, &new)?;
        let kek = self.kek(session, &unwrap_template(KekPurpose::Exportable, Trust::Untrusted))?;
        let wrapped = self.wrap(session, mechanism, kek, pair.private)?;
        let mut template = attributes::unwrapped_key(&new, Lifetime::Session);
        let unwrap = |template: &[Attribute]| self.token.module.unwrap_key(session, mechanism, kek, &wrapped, template);
        unwrap(&template).map_err(self.token.refusal("unwrap", new.id, mechanism_name(mechanism)))?;
        for attribute in &mut template {
            if let Attribute::Sensitive(sensitive) = attribute {
                *sensitive = false;
            }
        }
        self.denied(unwrap(&template), "unwrap", mechanism)
    }

    /// Whether a key of this policy cannot be wrapped under an untrusted KEK that does wrap an exportable key.
    pub(super) fn keeps_in(&self, session: &Session, by: Wrapping, policy: KeyPolicy) -> Result<bool, Failure> {
        let (permitted, public) = self.pair(session, &scratch(by.algorithm, KeyPolicy::Exportable))?;
        let (kek, _) = self.wrapped(session, by.mechanism, permitted, &public)?;
        let (forbidden, _) = self.pair(session, &scratch(by.algorithm, policy))?;
        let wrapped = self.token.module.wrap_key(session, by.mechanism, kek, forbidden.private);
        self.denied(wrapped, "wrap", by.mechanism)
    }

    /// What becomes of keys that are not EXTRACTABLE; tried by `CKM_AES_CBC_PAD` where RFC 5649 is unknown.
    pub(super) fn keeping(&self, wrapping: Option<Wrapping>) -> Result<Keeping, Failure> {
        let kept = match wrapping {
            Some(by) => Some(self.holds(|session| self.keeps_in(session, by, KeyPolicy::TokenOnly))?),
            None => self.keeps_in_by_padding(KeyAlgorithm::P256)?.or(self.keeps_in_by_padding(KeyAlgorithm::Rsa2048)?),
        };
        Ok(match kept {
            None => Keeping::WrapsNothing,
            Some(true) => Keeping::KeepsIn,
            Some(false) => Keeping::GivesAway,
        })
    }

    /// None if `CKM_AES_CBC_PAD` wraps no key of this algorithm.
    fn keeps_in_by_padding(&self, algorithm: KeyAlgorithm) -> Result<Option<bool>, Failure> {
        let wrap = |session: &Session, policy| -> Result<Result<Vec<u8>, Error>, Failure> {
            let (pair, _) = self.pair(session, &scratch(algorithm, policy))?;
            let kek = self.kek(session, &[])?;
            Ok(session.wrap_key(&Mechanism::AesCbcPad([0; 16]), kek, pair.private))
        };
        if !self.holds(|session| Ok(wrap(session, KeyPolicy::Exportable)?.is_ok()))? {
            return Ok(None);
        }
        self.holds(|session| Ok(wrap(session, KeyPolicy::TokenOnly)?.as_ref().is_err_and(is_denial))).map(Some)
    }

    /// What came of a forbidden operation. An error that is no denial shows nothing: the next try may succeed.
    fn denied<T>(&self, forbidden: Result<T, Error>, operation: &'static str, mechanism: u64) -> Result<bool, Failure> {
        match forbidden {
            Ok(_) => Ok(false),
            Err(error) if is_denial(&error) => Ok(true),
            Err(error) => Err(self.token.refusal(operation, "a scratch key", mechanism_name(mechanism))(error)),
        }
    }
}
