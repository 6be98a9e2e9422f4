//! After a crash: intents without results are brought to an end, and presence is compared with the token.
//!
//! A key is whole or absent: a pair whose making was interrupted was never acknowledged and is removed;
//! a destruction whose intent is durable is finished.

use super::{KeyError, KeyRecord, Keys, db, destroy};
use crate::audit::{Intent, Outcome, Verdict};
use crate::base::{
    custody::Presence,
    ids::{KeyId, KeySelector},
};
use crate::db::commit;
use crate::token::{TokenError, message::TokenKey};
use serde_json::{Value, json};
use std::collections::HashMap;

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

/// Ends open intents, up to this number: those of a process that is gone. Does nothing, and asks nothing of the token,
/// if there are none.
///
/// # Errors
/// The token is away or locked: the intents stay open for the next time.
pub async fn settle_until(keys: &Keys, last: u64) -> Result<usize, KeyError> {
    let mut open = keys.audit.open_intents().await?;
    open.retain(|intent| intent.seq <= last);
    for intent in &open {
        settle_one(keys, intent).await?;
    }
    Ok(open.len())
}

async fn settle_one(keys: &Keys, intent: &Intent) -> Result<(), KeyError> {
    match intent.event.as_str() {
        "key.destroy" => finish_destruction(keys, intent).await,
        "key.generate" => {
            remove_unrecorded(keys, [intent.object.id.as_str()]).await?;
            close(keys, intent, intent.object.id.parse().ok()).await
        }
        "key.restore" => {
            let ids = intent.detail.get("keys").and_then(Value::as_array).into_iter().flatten();
            remove_unrecorded(keys, ids.filter_map(Value::as_str)).await?;
            close(keys, intent, None).await
        }
        _ => close(keys, intent, None).await,
    }
}

async fn finish_destruction(keys: &Keys, intent: &Intent) -> Result<(), KeyError> {
    let Ok(id) = intent.object.id.parse::<KeyId>() else { return close(keys, intent, None).await };
    let objects = keys.home().destroy(id).await?;
    match db::find(&keys.db, &KeySelector::Id(id)).await? {
        Some(key) => destroy::finish(keys, intent, &key, objects).await.map(|_| ()),
        None => {
            keys.audit.conclude(intent, Verdict::ok(json!({ "objects": objects, "recovered": true }))).await?;
            Ok(())
        }
    }
}

/// Removes objects that an interrupted operation left in the token without a row; also half a pair, which is no key
/// that the token would list.
async fn remove_unrecorded<'a>(keys: &Keys, ids: impl IntoIterator<Item = &'a str>) -> Result<(), KeyError> {
    for id in ids.into_iter().filter_map(|id| id.parse::<KeyId>().ok()) {
        if db::find(&keys.db, &KeySelector::Id(id)).await?.is_none() {
            keys.home().destroy(id).await?;
        }
    }
    Ok(())
}

/// Records how an interrupted intent ended: done if its key's row is there, otherwise failed.
async fn close(keys: &Keys, intent: &Intent, key: Option<KeyId>) -> Result<(), KeyError> {
    let done = match key {
        Some(id) => db::find(&keys.db, &KeySelector::Id(id)).await?.is_some(),
        None => false,
    };
    let (outcome, code) = if done { (Outcome::Ok, "") } else { (Outcome::Failed, "interrupted") };
    keys.audit.conclude(intent, Verdict::new(outcome, code, json!({ "recovered": true }))).await?;
    Ok(())
}

/// Compares the inventory with the token, and notes each key's presence.
///
/// # Errors
/// The token is away or locked.
pub async fn compare(keys: &Keys) -> Result<Comparison, KeyError> {
    let seen = match keys.home().keys().await {
        Err(error @ TokenError::TokenAbsent { .. }) => {
            mark_absent(keys).await?;
            return Err(error.into());
        }
        other => other?,
    };
    let mut seen: HashMap<KeyId, TokenKey> = seen.into_iter().map(|key| (key.id, key)).collect();
    let mut comparison = Comparison::default();
    let mut transaction = keys.db.begin().await?;
    for key in db::all(&keys.db).await? {
        let presence = match seen.remove(&key.id) {
            None => {
                comparison.missing.push(key.label.to_string());
                Presence::Missing
            }
            Some(object) if is_same(&key, &object) => {
                comparison.present += 1;
                Presence::Present
            }
            Some(_) => {
                comparison.replaced.push(key.label.to_string());
                Presence::Missing
            }
        };
        if presence != key.presence {
            db::set_presence(&mut transaction, key.id, presence.as_str()).await?;
        }
    }
    commit(transaction).await?;
    comparison.unrecorded = seen.into_values().map(|object| object.label).collect();
    comparison.unrecorded.sort();
    Ok(comparison)
}

/// A token that is away makes its keys absent; nothing else about them changes.
async fn mark_absent(keys: &Keys) -> Result<(), KeyError> {
    let mut transaction = keys.db.begin().await?;
    for key in db::all(&keys.db).await? {
        db::set_presence(&mut transaction, key.id, Presence::Absent.as_str()).await?;
    }
    Ok(commit(transaction).await?)
}

fn is_same(key: &KeyRecord, object: &TokenKey) -> bool {
    key.public_key().is_ok_and(|public_key| public_key.der() == object.public_key_der)
}
