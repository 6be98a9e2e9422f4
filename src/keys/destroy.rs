//! `key destroy`: the key's objects leave the token, a tombstone stays.

use super::{KeyError, KeyRecord, Keys, api::DestroyAnswer, db, list};
use crate::access::require;
use crate::audit::{Intent, Verdict};
use crate::base::{
    ids::KeySelector,
    principal::{Caller, Role},
    time::Timestamp,
};
use crate::db::commit;
use crate::token::Token;
use serde_json::json;

/// Destroys a key; the answer names the copies that are still somewhere.
///
/// # Errors
/// The key is unknown or keyward's own, or the token refuses: then it is still whole. After a lost
/// worker the destruction is finished at the next start, since its intent is durable.
pub async fn destroy(keys: &Keys, caller: &Caller, selector: &KeySelector) -> Result<DestroyAnswer, KeyError> {
    require(caller, &[Role::Operator])?;
    let key = list::find(keys, selector).await?;
    if key.purpose.is_internal() {
        return Err(KeyError::Internal { key: key.label, purpose: key.purpose });
    }
    let token = keys.token(&key.token)?;
    let detail = json!({ "policy": key.policy, "token": key.token });
    let intent = keys.audit.intent(caller, "key.destroy", &key.object(), detail).await?;
    let objects = match token.destroy(key.id).await {
        Ok(objects) => objects,
        // Told that it failed, nobody expects it to be made up for when the token is back.
        Err(error) if error.is_before_the_token() => {
            keys.audit.conclude(&intent, Verdict::of_fault(&error, json!({}))).await?;
            return Err(error.into());
        }
        Err(error) => match after_failure(token, &key).await {
            // Gone after all.
            Some(false) => 0,
            Some(true) => {
                keys.audit.conclude(&intent, Verdict::of_fault(&error, json!({}))).await?;
                return Err(error.into());
            }
            // Nobody knows: the intent stays open, and recovery finishes it.
            None => return Err(error.into()),
        },
    };
    let destroyed_at = finish(keys, &intent, &key, objects).await?;
    let copies = list::copies(keys, key.id).await?;
    Ok(DestroyAnswer { id: key.id, label: key.label, destroyed_at, objects, copies })
}

/// Buries the row of a key whose objects are gone, with the result of its intent.
pub(super) async fn finish(
    keys: &Keys,
    intent: &Intent,
    key: &KeyRecord,
    objects: usize,
) -> Result<Timestamp, KeyError> {
    let destroyed_at = keys.clock.now();
    let _change = keys.index.change(key.id);
    let mut transaction = keys.db.begin().await?;
    db::bury(&mut transaction, key, destroyed_at).await?;
    keys.audit.result(&mut transaction, intent, Verdict::ok(json!({ "objects": objects }))).await?;
    commit(transaction).await?;
    Ok(destroyed_at)
}

/// Whether the key object is still in the token; none if that cannot be seen now.
async fn after_failure(token: &Token, key: &KeyRecord) -> Option<bool> {
    let seen = token.keys().await.ok()?;
    Some(seen.iter().any(|object| object.id == key.id))
}
