//! After a crash: intents without results are brought to an end.
//!
//! A key is whole or absent: a pair whose making was interrupted was never acknowledged and is removed;
//! a destruction whose intent is durable is finished.

use super::{KeyError, Keys, db, destroy};
use crate::audit::{Intent, Outcome, Verdict};
use crate::base::ids::{KeyId, KeySelector};
use crate::token::Token;
use serde_json::{Value, json};

/// Ends open intents, up to this number: those of a process that is gone. Answers how many; those that need a further
/// token which is away stay open.
///
/// # Errors
/// The token is away or locked: the intents stay open for the next time.
pub async fn settle_until(keys: &Keys, last: u64) -> Result<usize, KeyError> {
    let mut open = keys.audit.open_intents().await?;
    open.retain(|intent| intent.seq <= last);
    let mut settled = open.len();
    for intent in &open {
        match settle_one(keys, intent).await {
            Err(KeyError::Token(error)) if token_of(keys, intent).label() != keys.home().label() => {
                tracing::warn!(%error, "an interrupted request waits for a further token");
                settled -= 1;
            }
            other => other?,
        }
    }
    Ok(settled)
}

async fn settle_one(keys: &Keys, intent: &Intent) -> Result<(), KeyError> {
    match intent.event.as_str() {
        "key.destroy" => finish_destruction(keys, intent).await,
        "key.generate" => {
            remove_unrecorded(keys, token_of(keys, intent), [intent.object.id.as_str()]).await?;
            close(keys, intent, intent.object.id.parse().ok()).await
        }
        "key.restore" => {
            let ids = intent.detail.get("keys").and_then(Value::as_array).into_iter().flatten();
            remove_unrecorded(keys, keys.home(), ids.filter_map(Value::as_str)).await?;
            close(keys, intent, None).await
        }
        // Nothing of the object was changed.
        "key.adopt" => close(keys, intent, intent.object.id.parse().ok()).await,
        _ => close(keys, intent, None).await,
    }
}

/// The token that the interrupted request was about; the instance's own if it names none that is known.
fn token_of<'a>(keys: &'a Keys, intent: &Intent) -> &'a Token {
    let label = intent.detail.get("token").and_then(Value::as_str);
    label.and_then(|label| keys.tokens.find(label)).unwrap_or(keys.home())
}

async fn finish_destruction(keys: &Keys, intent: &Intent) -> Result<(), KeyError> {
    let Ok(id) = intent.object.id.parse::<KeyId>() else { return close(keys, intent, None).await };
    let objects = token_of(keys, intent).destroy(id).await?;
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
async fn remove_unrecorded<'a>(
    keys: &Keys,
    token: &Token,
    ids: impl IntoIterator<Item = &'a str>,
) -> Result<(), KeyError> {
    for id in ids.into_iter().filter_map(|id| id.parse::<KeyId>().ok()) {
        if db::find(&keys.db, &KeySelector::Id(id)).await?.is_none() {
            token.destroy(id).await?;
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
