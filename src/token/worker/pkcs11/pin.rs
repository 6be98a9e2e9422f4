//! The change of the user PIN (PKCS#11 v3.1, section 5.5.7). Sessions stay logged in.

use super::{
    Backend,
    fault::{Failure, NO_MECHANISM, rv_name},
    info::TokenInfo,
    token::Who,
};
use crate::base::secret::Secret;
use crate::token::error::TokenError;
use cryptoki::{
    error::{Error, RvError},
    types::AuthPin,
};

impl Backend {
    /// Gives the token a new PIN. The old one is that of the login, which is known to be right, so nothing is tried.
    pub(super) fn change_pin(&self, new: &Secret) -> Result<(), Failure> {
        let login = self.login();
        let info = self.token.info()?;
        self.token.check_tries(&info, Who::User)?;
        self.check_suitable(&info, new)?;
        let kept = self.token.kept().as_ref().map(Secret::duplicate).zip(login.as_ref());
        let not_kept = || self.token.refused("change PIN", "the token", "the PIN is not kept any more");
        let (old, session) = kept.ok_or_else(not_kept)?;
        let (old_text, new_text) = (self.text(&old)?, self.text(new)?);
        let changed = session.set_pin(&old_text, &new_text);
        let (kept, result) = match changed {
            Ok(()) => (Some(new.duplicate()), Ok(())),
            Err(error @ Error::Pkcs11(RvError::PinInvalid | RvError::PinLenRange, _)) => {
                (Some(old), Err(self.unsuitable(rv_name(&error))))
            }
            // Somebody else has changed it: what was right is never sent again.
            Err(error @ Error::Pkcs11(RvError::PinIncorrect | RvError::PinLocked | RvError::PinExpired, _)) => {
                (None, Err(self.token.login_refusal(Who::User, error)))
            }
            // Which of the two the token has now, the next login finds out.
            Err(error) => (None, Err(self.token.refusal("change PIN", "the token", NO_MECHANISM)(error))),
        };
        *self.token.kept() = kept;
        result
    }

    fn check_suitable(&self, info: &TokenInfo, new: &Secret) -> Result<(), Failure> {
        let (least, most, length) = (info.least_pin_bytes(), info.most_pin_bytes(), new.expose().len());
        // Some tokens say nothing, which is 0.
        if length < least || (most > 0 && length > most) {
            return Err(self.unsuitable(format!("it has {length} bytes, and the token takes {least} to {most}")));
        }
        Ok(())
    }

    /// PINs are UTF-8 (section 3.2).
    fn text(&self, pin: &Secret) -> Result<AuthPin, Failure> {
        let text = std::str::from_utf8(pin.expose()).map_err(|_| self.unsuitable("it is not UTF-8".to_owned()))?;
        Ok(AuthPin::from(text))
    }

    fn unsuitable(&self, cause: String) -> Failure {
        TokenError::PinUnsuitable { token: self.token.name(), cause }.into()
    }
}
