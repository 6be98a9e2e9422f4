//! `doctor`: a token is tried out, and what it can do is kept for the next start.

use super::{KeyError, Keys};
use crate::db::{commit, tokens};
use crate::token::{Token, api::Capabilities};

/// Tries the token out, and stores what was seen.
///
/// # Errors
/// The token is away or locked, or the database cannot be written.
pub async fn probe(keys: &Keys, token: &Token) -> Result<Capabilities, KeyError> {
    let capabilities = token.probe().await?;
    let json = serde_json::to_string(&capabilities).unwrap_or_default();
    let mut transaction = keys.db.begin().await?;
    tokens::remember(&mut transaction, token.label(), &json, keys.clock.now()).await?;
    commit(transaction).await?;
    Ok(capabilities)
}
