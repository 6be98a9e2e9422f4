//! What a token says of itself, as `C_GetTokenInfo` gives it (PKCS#11 v3.1, section 3.2).
//!
//! Not through cryptoki, which gives nothing at all of a token whose clock it cannot read (opencryptoki's).

use super::{
    fault::{Failure, NO_MECHANISM},
    token::Token,
};
use crate::token::worker::ffi::Module;
use cryptoki::{error::Error, slot::Slot};
use cryptoki_sys::{
    CK_FLAGS, CK_TOKEN_INFO, CK_ULONG, CK_UNAVAILABLE_INFORMATION, CKF_PROTECTED_AUTHENTICATION_PATH,
    CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED, CKF_TOKEN_INITIALIZED, CKF_USER_PIN_COUNT_LOW,
    CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_INITIALIZED, CKF_USER_PIN_LOCKED, CKF_USER_PIN_TO_BE_CHANGED,
};

/// A token's description.
pub(super) struct TokenInfo(CK_TOKEN_INFO);

/// How a PIN stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PinState {
    pub(super) count_low: bool,
    pub(super) final_try: bool,
    pub(super) locked: bool,
}

impl TokenInfo {
    /// Asks the token.
    pub(super) fn read(module: &Module, slot: Slot) -> Result<Self, Error> {
        module.token_info(slot).map(Self)
    }

    pub(super) fn is_initialized(&self) -> bool {
        self.has(CKF_TOKEN_INITIALIZED)
    }

    pub(super) fn label(&self) -> String {
        text(&self.0.label)
    }

    pub(super) fn manufacturer(&self) -> String {
        text(&self.0.manufacturerID)
    }

    pub(super) fn model(&self) -> String {
        text(&self.0.model)
    }

    pub(super) fn serial(&self) -> String {
        text(&self.0.serialNumber)
    }

    pub(super) fn firmware(&self) -> String {
        format!("{}.{}", self.0.firmwareVersion.major, self.0.firmwareVersion.minor)
    }

    pub(super) fn user_pin(&self) -> PinState {
        PinState {
            count_low: self.has(CKF_USER_PIN_COUNT_LOW),
            final_try: self.has(CKF_USER_PIN_FINAL_TRY),
            locked: self.has(CKF_USER_PIN_LOCKED),
        }
    }

    pub(super) fn so_pin(&self) -> PinState {
        PinState {
            count_low: self.has(CKF_SO_PIN_COUNT_LOW),
            final_try: self.has(CKF_SO_PIN_FINAL_TRY),
            locked: self.has(CKF_SO_PIN_LOCKED),
        }
    }

    /// Names of the user PIN's flags that are worth knowing.
    pub(super) fn pin_flags(&self) -> Vec<String> {
        let flags = [
            (CKF_USER_PIN_COUNT_LOW, "CKF_USER_PIN_COUNT_LOW"),
            (CKF_USER_PIN_FINAL_TRY, "CKF_USER_PIN_FINAL_TRY"),
            (CKF_USER_PIN_LOCKED, "CKF_USER_PIN_LOCKED"),
            (CKF_USER_PIN_TO_BE_CHANGED, "CKF_USER_PIN_TO_BE_CHANGED"),
            (CKF_PROTECTED_AUTHENTICATION_PATH, "CKF_PROTECTED_AUTHENTICATION_PATH"),
        ];
        let mut names: Vec<String> =
            flags.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| (*name).to_owned()).collect();
        if !self.has(CKF_USER_PIN_INITIALIZED) {
            names.push("no CKF_USER_PIN_INITIALIZED".to_owned());
        }
        names
    }

    /// Bytes that a PIN has at least.
    pub(super) fn least_pin_bytes(&self) -> usize {
        told(self.0.ulMinPinLen).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
    }

    /// Bytes that a PIN has at most; 0 if the token does not say.
    pub(super) fn most_pin_bytes(&self) -> usize {
        told(self.0.ulMaxPinLen).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
    }

    /// Free memory for private objects, in bytes; none if the token does not say.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        // NSS says 1.
        told(self.0.ulFreePrivateMemory).filter(|free| *free > 1)
    }

    /// Sessions that the token allows at a time; none if it does not say, or has no limit.
    pub(super) fn most_sessions(&self) -> Option<u64> {
        told(self.0.ulMaxSessionCount).filter(|most| *most != 0)
    }

    fn has(&self, flag: CK_FLAGS) -> bool {
        self.0.flags & flag != 0
    }
}

impl Token {
    /// What this token says of itself now.
    pub(super) fn info(&self) -> Result<TokenInfo, Failure> {
        TokenInfo::read(&self.module, self.slot).map_err(self.refusal("describe", "the token", NO_MECHANISM))
    }
}

/// A number that is neither "unavailable" nor "effectively infinite"; some modules say -2 to either.
fn told(number: CK_ULONG) -> Option<u64> {
    (number < CK_UNAVAILABLE_INFORMATION - 1).then_some(number)
}

/// Text padded with blanks, or, against the standard, with zeros.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_its_padding_whatever_that_is() {
        assert_eq!(text(b"keyward   "), "keyward");
        assert_eq!(text(b"SW   TPM\0\0\0\0"), "SW   TPM");
    }

    #[test]
    fn a_number_that_a_token_does_not_tell_is_none() {
        assert_eq!(told(CK_ULONG::MAX), None);
        assert_eq!(told(CK_ULONG::MAX - 1), None);
        assert_eq!(told(64), Some(64));
    }
}
