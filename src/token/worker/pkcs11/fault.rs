//! What a module's return codes mean for the session, the request and the process.

use super::token::Token;
use crate::base::fault::{Fault as _, Kind};
use crate::token::error::TokenError;
use cryptoki::{
    context::Function,
    error::{Error, RvError},
};
use std::fmt::Display;

/// What went wrong, and what could heal it.
#[derive(Debug)]
pub(super) struct Failure {
    /// For the caller.
    pub(super) error: Box<TokenError>,
    /// For the worker.
    pub(super) class: Class,
}

/// What could heal a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A new index may: the handle leads nowhere, or the module does not say what is wrong (SoftHSM says
    /// `CKR_GENERAL_ERROR` to a handle that leads nowhere).
    Handle,
    /// Nothing; the token has answered.
    Plain,
    /// Another session may: this one has an operation left over, or the module broke this one off.
    Retry,
    /// New sessions and a new login may, and if not, a new process.
    Session,
    /// As `Session`, and the call that makes a pair says that it has not begun.
    Unbegun,
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self { error: Box::new(error), class: Class::Plain }
    }
}

impl Token {
    /// Turns an error of cryptoki into a failure that names operation, object and mechanism.
    pub(super) fn refusal(
        &self,
        operation: &'static str,
        object: impl Display,
        mechanism: impl Display,
    ) -> impl FnOnce(Error) -> Failure {
        move |error| Failure {
            class: class_of(&error),
            error: Box::new(TokenError::Refused {
                token: self.name(),
                operation: operation.to_owned(),
                object: object.to_string(),
                mechanism: mechanism.to_string(),
                rv: rv_name(&error),
            }),
        }
    }

    /// A refusal of our own, in the words of a token.
    pub(super) fn refused(&self, operation: &str, object: impl Display, rv: &str) -> Failure {
        TokenError::Refused {
            token: self.name(),
            operation: operation.to_owned(),
            object: object.to_string(),
            mechanism: NO_MECHANISM.to_owned(),
            rv: rv.to_owned(),
        }
        .into()
    }
}

/// Whether a key is gone after its handle went bad. It may be there for a new process: SoftHSM never sees a token folder
/// again that was away, until `C_Finalize`.
pub(super) fn is_gone(second: &Failure) -> bool {
    matches!(*second.error, TokenError::ObjectMissing { .. })
}

/// Which of the two a person is told: why an operation failed, or why it could not be healed.
pub(super) fn telling(first: Failure, why: Failure) -> TokenError {
    let kind = why.error.entry().kind;
    if matches!(kind, Kind::Locked | Kind::TokenAbsent) { *why.error } else { *first.error }
}

/// What could heal an error.
fn class_of(error: &Error) -> Class {
    let Error::Pkcs11(rv, function) = error else { return Class::Plain };
    match rv {
        RvError::SessionClosed | RvError::SessionHandleInvalid | RvError::UserNotLoggedIn
            if matches!(function, Function::GenerateKeyPair) =>
        {
            Class::Unbegun
        }
        RvError::CryptokiNotInitialized
        | RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::FipsSelfTestFailed
        | RvError::HostMemory
        | RvError::MutexBad
        | RvError::MutexNotLocked
        | RvError::SessionClosed
        | RvError::SessionHandleInvalid
        | RvError::SlotIdInvalid
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::UserNotLoggedIn => Class::Session,
        // Where nothing is made it is not the token that is full, and sessions take memory too.
        RvError::DeviceMemory if !makes_objects(*function) => Class::Session,
        RvError::GeneralError
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::UnknownErrorCode(_)
        | RvError::UnwrappingKeyHandleInvalid
        | RvError::VendorDefined(_)
        | RvError::WrappingKeyHandleInvalid => Class::Handle,
        RvError::Cancel
        | RvError::FunctionCanceled
        | RvError::FunctionFailed
        | RvError::OperationActive
        | RvError::OperationNotInitialized => Class::Retry,
        _ => Class::Plain,
    }
}

const fn makes_objects(function: Function) -> bool {
    matches!(function, Function::CopyObject | Function::CreateObject | Function::GenerateKeyPair | Function::UnwrapKey)
}

/// Whether an error is the token's answer to this very request: not a fault of session, device or memory, and not a
/// mechanism or function that it does not have at all.
pub(super) fn is_denial(error: &Error) -> bool {
    let Error::Pkcs11(rv, _) = error else { return false };
    let cannot = matches!(
        rv,
        RvError::ArgumentsBad
            | RvError::BufferTooSmall
            | RvError::DeviceMemory
            | RvError::FunctionCanceled
            | RvError::FunctionFailed
            | RvError::FunctionNotSupported
            | RvError::HostMemory
            | RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::SessionCount
            | RvError::SessionReadOnly
    );
    matches!(class_of(error), Class::Plain) && !cannot
}

/// The return code as the standard writes it, `CKR_PIN_INCORRECT`; other errors in cryptoki's words.
pub(super) fn rv_name(error: &Error) -> String {
    match error {
        Error::Pkcs11(RvError::UnknownErrorCode(code) | RvError::VendorDefined(code), _) => format!("0x{code:08X}"),
        Error::Pkcs11(rv, _) => upper_snake(&format!("{rv:?}")),
        other => other.to_string(),
    }
}

/// `PinIncorrect` to `CKR_PIN_INCORRECT`.
fn upper_snake(name: &str) -> String {
    let mut out = "CKR".to_owned();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// The mechanism of calls that have none.
pub(super) const NO_MECHANISM: &str = "no mechanism";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_code_is_named_as_the_standard_writes_it() {
        let name = |rv| rv_name(&Error::Pkcs11(rv, Function::Sign));

        assert_eq!(name(RvError::PinIncorrect), "CKR_PIN_INCORRECT");
        assert_eq!(name(RvError::SessionReadWriteSoExists), "CKR_SESSION_READ_WRITE_SO_EXISTS");
        assert_eq!(name(RvError::VendorDefined(0x8000_0042)), "0x80000042");
    }

    #[test]
    fn a_fault_or_a_missing_mechanism_is_no_denial() {
        let denies = |rv| is_denial(&Error::Pkcs11(rv, Function::WrapKey));

        for rv in [RvError::KeyUnextractable, RvError::KeyNotWrappable, RvError::TemplateInconsistent] {
            assert!(denies(rv));
        }
        for rv in [
            RvError::DeviceError,
            RvError::FunctionNotSupported,
            RvError::GeneralError,
            RvError::MechanismInvalid,
            RvError::SessionClosed,
        ] {
            assert!(!denies(rv));
        }
        assert!(!is_denial(&Error::NullFunctionPointer));
    }

    #[test]
    fn a_refusal_of_the_request_itself_is_not_healed_by_a_rebuild() {
        for rv in [RvError::MechanismInvalid, RvError::KeyUnextractable, RvError::TemplateInconsistent] {
            assert_eq!(class_of(&Error::Pkcs11(rv, Function::WrapKey)), Class::Plain);
        }
    }
}
