//! What every kind of token has to offer the session threads; `pkcs11` and `piv` offer it.

use crate::token::{
    address::{Device, TokenDescription},
    error::TokenError,
    message::{Answer, NewToken, OpenToken, Operation},
    worker::{piv, pkcs11},
};

/// A token that the worker has opened, for all its threads.
pub(super) trait Backend: Send + Sync {
    /// The token's label, as errors name it.
    fn name(&self) -> String;

    /// What the token says of itself.
    ///
    /// # Errors
    /// It does not answer.
    fn description(&self) -> Result<TokenDescription, TokenError>;

    /// Performs any operation but `Open` and `MakeToken`; what can be healed is healed once.
    fn perform(&self, operation: &Operation) -> (Result<Answer, TokenError>, Fate);
}

/// Whether the process is still good for the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Only a new process can help.
    End,
    /// It is.
    GoOn,
}

/// Opens the token by what leads to it.
///
/// # Errors
/// The token is not there, or what leads to it cannot be used.
pub(super) fn open(open: &OpenToken) -> Result<Box<dyn Backend>, TokenError> {
    match open.address.device {
        Device::Module(_) => Ok(Box::new(pkcs11::Backend::open(open)?)),
        Device::YubiKey(serial) => Ok(Box::new(piv::Backend::open(open, serial)?)),
    }
}

/// Makes a token in a free slot of a module.
///
/// # Errors
/// The module has none, or the device makes none.
pub(super) fn make_token(new: &NewToken) -> Result<(), TokenError> {
    match new.address.device {
        Device::Module(_) => pkcs11::make_token(new),
        Device::YubiKey(_) => Err(TokenError::NotCapable {
            token: new.address.label.clone(),
            operation: "be made by keyward".to_owned(),
            cause: "a YubiKey has its PIV application from the factory".to_owned(),
        }),
    }
}
