//! Keys: the inventory, and what is done with one key.
//!
//! Owns the rows of keys, their tombstones, the KEKs and where copies are. Use cases: [`generate`],
//! [`list`], [`sign`], [`csr`], [`destroy`], [`recover`]; [`signer`] lends a key to `pki` and `audit`.
//!
//! Invariants: a row is written only after its objects are in the token, and removed only after they
//! are gone; a destroyed key leaves a tombstone; a key's policy never changes; an intent is durable
//! before the token is asked to change.

pub mod adopt;
pub mod api;
pub mod copies;
pub mod csr;
pub(crate) mod db;
pub mod destroy;
pub mod error;
pub mod generate;
pub mod index;
pub mod keks;
pub mod list;
pub mod presence;
pub mod probe;
pub mod record;
pub mod recover;
pub mod restored;
pub mod scope;
pub mod sign;
pub mod signer;
pub mod slots;
pub mod token_pin;

pub use error::KeyError;
pub use record::KeyRecord;

use crate::audit::{Audit, ObjectRef, Verdict};
use crate::base::{custody::Posture, fault::Fault, principal::Caller, time::Clock};
use crate::db::Database;
use crate::token::{Token, Tokens};
use index::KeyIndex;
use serde_json::{Value, json};
use std::{future::Future, sync::Arc};

/// What the use cases of keys work on: one inventory, one token, one audit log.
#[derive(Clone)]
pub struct Keys {
    /// The inventory.
    pub db: Database,
    /// What of it is in use.
    pub index: KeyIndex,
    /// Where everything is recorded.
    pub audit: Audit,
    /// Where the keys are.
    pub tokens: Tokens,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Decides defaults.
    pub posture: Posture,
}

impl Keys {
    /// The instance's own token.
    #[must_use]
    pub fn home(&self) -> &Token {
        self.tokens.home()
    }

    /// The token with this label, which a key's row names.
    ///
    /// # Errors
    /// keyward.toml names no such token.
    pub fn token(&self, label: &str) -> Result<&Token, KeyError> {
        let known = || self.tokens.iter().map(Token::label).collect::<Vec<_>>().join(", ");
        self.tokens.find(label).ok_or_else(|| KeyError::TokenUnknown { token: label.to_owned(), known: known() })
    }
}

/// Has something done between intent and result; for what changes nothing in the inventory.
///
/// # Errors
/// Those of the work, and of the log: without a durable intent nothing is signed.
pub async fn recorded<T, E: Fault + Into<KeyError>>(
    keys: &Keys,
    caller: &Caller,
    (event, object, detail): (&'static str, &ObjectRef, Value),
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, KeyError> {
    let intent = keys.audit.intent(caller, event, object, detail).await?;
    let outcome = work.await;
    let verdict = match &outcome {
        Ok(_) => Verdict::ok(json!({})),
        Err(error) => Verdict::of_fault(error, json!({})),
    };
    keys.audit.conclude(&intent, verdict).await?;
    outcome.map_err(Into::into)
}
