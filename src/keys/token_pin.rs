//! `token unlock`, `token seal`, `token change-pin`: between intent and result, and without a word of the PIN.

use super::{KeyError, Keys, recorded};
use crate::access::require;
use crate::audit::ObjectRef;
use crate::base::{
    principal::{Caller, Role},
    secret::Secret,
};
use crate::token::{Token, TokenError, api::ChangePinAnswer};
use serde_json::json;

/// Gives the PIN of a token, to be used until `seal` or the end of the process; without one its source is used again.
///
/// # Errors
/// The caller is neither admin nor operator, or the token refuses the PIN.
pub async fn unlock(keys: &Keys, caller: &Caller, token: &Token, pin: Option<Secret>) -> Result<(), KeyError> {
    require(caller, KEEPERS)?;
    let detail = json!({ "pin": if pin.is_some() { "given" } else { "source" } });
    let work = async {
        match pin {
            Some(pin) => token.unlock(pin).await,
            None => token.unlock_by_source().await,
        }
    };
    recorded(keys, caller, ("token.unlock", &object(token), detail), work).await
}

/// Takes the PIN of a token away: its worker ends, and nobody uses the token until `unlock`.
///
/// # Errors
/// The caller is neither admin nor operator.
pub async fn seal(keys: &Keys, caller: &Caller, token: &Token) -> Result<(), KeyError> {
    require(caller, KEEPERS)?;
    let work = async {
        token.seal().await;
        Ok::<(), TokenError>(())
    };
    recorded(keys, caller, ("token.seal", &object(token), json!({})), work).await
}

/// Gives a token a new user PIN.
///
/// # Errors
/// The caller is no admin, the token takes no such PIN, or its file cannot be exchanged.
pub async fn change(keys: &Keys, caller: &Caller, token: &Token, new: Secret) -> Result<ChangePinAnswer, KeyError> {
    require(caller, &[Role::Admin])?;
    let change = recorded(keys, caller, ("token.change-pin", &object(token), json!({})), token.change_pin(new)).await?;
    Ok(ChangePinAnswer { token: token.label().to_owned(), source: change.source_name, stored: change.is_stored })
}

fn object(token: &Token) -> ObjectRef {
    ObjectRef::new("token", token.label(), token.label())
}

const KEEPERS: &[Role] = &[Role::Admin, Role::Operator];
