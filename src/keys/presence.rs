//! Presence: whether the token has each key of the inventory, with its public key.
//!
//! Nothing deletes a row because a token could not be read. A key whose token is away is absent and comes back by
//! itself, once its public key was compared; one that the token lost, or that was replaced there, is missing.

use super::{KeyError, KeyRecord, Keys, db};
use crate::base::{
    custody::Presence,
    fault::{Fault as _, Kind},
    ids::KeyId,
};
use crate::db::commit;
use crate::token::{Token, TokenError, message::TokenKey};
use std::{collections::HashMap, time::Duration};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

/// How the inventory and the token differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Keys in both.
    pub present: usize,
    /// Labels of rows whose objects are not in the token.
    pub missing: Vec<String>,
    /// Labels of rows whose object has another public key.
    pub replaced: Vec<String>,
    /// Labels of objects that are in no row.
    pub unrecorded: Vec<String>,
}

/// Reads a token's objects again, compares them with the inventory, and notes each key's presence.
///
/// # Errors
/// The token is away or locked.
pub async fn compare(keys: &Keys, token: &Token) -> Result<Comparison, KeyError> {
    let rows = db::in_token(&keys.db, token.label()).await?;
    note(keys, token, rows, token.keys().await).await
}

/// Keeps the presence of the keys of every token true for as long as it runs: a token that was away is tried again,
/// and its keys are compared with each new worker.
pub async fn watch(keys: Keys) {
    let mut watches = JoinSet::new();
    for token in keys.tokens.iter() {
        watches.spawn(watch_one(keys.clone(), token.clone()));
    }
    while watches.join_next().await.is_some() {}
}

async fn watch_one(keys: Keys, token: Token) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut compared, mut waits_for_people) = (None, false);
    loop {
        ticks.tick().await;
        let figures = token.figures();
        let is_known = figures.is_serving && compared == Some(figures.met.workers);
        if is_known || (waits_for_people && !figures.is_serving) {
            continue;
        }
        // A pause of the pool between two starts is answered by it at once, with the last failure.
        match look(&keys, &token).await {
            Ok(comparison) => {
                compared = Some(token.figures().met.workers);
                waits_for_people = false;
                tell(token.label(), &comparison);
            }
            Err(error) => {
                // A PIN that cannot be had, or was refused, is for people to mend: to ask its source each time would
                // run a program, or ask somebody, again and again. The next request does ask.
                waits_for_people = error.entry().kind == Kind::Locked;
                if compared.take().is_some() {
                    tracing::error!(token.label = token.label(), %error, "the token cannot be used");
                }
            }
        }
    }
}

async fn look(keys: &Keys, token: &Token) -> Result<Comparison, KeyError> {
    let rows = db::in_token(&keys.db, token.label()).await?;
    note(keys, token, rows, token.indexed_keys().await).await
}

fn tell(token: &str, comparison: &Comparison) {
    tracing::info!(token.label = token, keys = comparison.present, "the token's keys were compared");
    for label in comparison.missing.iter().chain(&comparison.replaced) {
        tracing::warn!(token.label = token, key.label = label, "the token does not have this key as it was recorded");
    }
}

/// Notes what was seen of a token, or that it is away. The rows were read before the token was: a key that was made in
/// between is in the token and not among them, and so is not taken for missing.
async fn note(
    keys: &Keys,
    token: &Token,
    rows: Vec<KeyRecord>,
    seen: Result<Vec<TokenKey>, TokenError>,
) -> Result<Comparison, KeyError> {
    let seen = match seen {
        Err(error) if error.is_absence() => {
            mark_absent(keys, token).await?;
            return Err(error.into());
        }
        other => other?,
    };
    let mut seen: HashMap<KeyId, TokenKey> = seen.into_iter().map(|key| (key.id, key)).collect();
    let mut comparison = Comparison::default();
    let mut transaction = keys.db.begin().await?;
    for key in rows {
        let presence = comparison.add(&key, seen.remove(&key.id).as_ref());
        if presence != key.presence {
            db::set_presence(&mut transaction, key.id, presence.as_str()).await?;
        }
    }
    commit(transaction).await?;
    comparison.unrecorded = seen.into_values().map(|object| object.label).collect();
    comparison.unrecorded.sort();
    Ok(comparison)
}

impl Comparison {
    fn add(&mut self, key: &KeyRecord, object: Option<&TokenKey>) -> Presence {
        match object {
            Some(object) if is_same(key, object) => {
                self.present += 1;
                Presence::Present
            }
            Some(_) => {
                self.replaced.push(key.label.to_string());
                Presence::Missing
            }
            None => {
                self.missing.push(key.label.to_string());
                Presence::Missing
            }
        }
    }
}

/// A token that is away makes its keys absent; nothing else about them changes.
async fn mark_absent(keys: &Keys, token: &Token) -> Result<(), KeyError> {
    let mut transaction = keys.db.begin().await?;
    db::mark_absent(&mut transaction, token.label()).await?;
    Ok(commit(transaction).await?)
}

fn is_same(key: &KeyRecord, object: &TokenKey) -> bool {
    key.public_key().is_ok_and(|public_key| public_key.der() == object.public_key_der)
}

/// How soon it shows that a token is away or back.
const PERIOD: Duration = Duration::from_secs(3);
