//! What a card's answers mean for the request and for the connection.

use super::card::Card;
use crate::base::ids::KeyId;
use crate::token::error::TokenError;
use std::fmt::Display;
use yubikey::Error;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Failure {
    /// The card or the way to it is gone, or another program has reset it; a new connection may help.
    Lost(String),
    /// The card has answered, or there was no need to ask it.
    Told(Box<TokenError>),
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Told(Box::new(error))
    }
}

impl From<pcsc::Error> for Failure {
    fn from(error: pcsc::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl Card {
    /// An error of the crate in the words of an operation.
    pub(super) fn failure(&self, operation: &str, error: Error) -> Failure {
        match error {
            Error::PcscError { .. } => Failure::Lost(error.to_string()),
            other => self.refused(operation, "the card", &other.to_string()),
        }
    }

    /// That the card said no, by a status word or otherwise.
    pub(super) fn refused(&self, operation: &str, object: impl Display, answer: &str) -> Failure {
        refused(self.name(), operation, object, answer).into()
    }

    /// That there is no key with the recorded public key.
    pub(super) fn missing(&self, key: KeyId) -> Failure {
        TokenError::ObjectMissing { key, token: self.name() }.into()
    }
}

/// That the card said no, or the connection to it broke and could not be mended.
pub(super) fn refused(token: String, operation: &str, object: impl Display, answer: &str) -> TokenError {
    TokenError::Refused {
        token,
        operation: operation.to_owned(),
        object: object.to_string(),
        mechanism: "PIV".to_owned(),
        rv: answer.to_owned(),
    }
}
