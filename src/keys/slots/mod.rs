//! Keys in slots of a `YubiKey`: where they are, what they want of people, and what the device attests of them.
//!
//! PIV knows no ids: a worker is told the ids of the inventory's keys with their public keys, as of adopted ones.

pub mod attest;
pub(super) mod db;

use super::{
    KeyError, KeyRecord, Keys,
    api::{PivRequest, PivView},
};
use crate::base::{
    custody::Purpose,
    piv::{PivSlot, SlotPlan, TouchPolicy},
};
use crate::db::Database;
use crate::token::{Token, message::AdoptedKey};

/// What a device attested of a key, as PEM certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// Of the key, made by the device.
    pub certificate: String,
    /// Of the device's own key, from the factory.
    pub device: String,
}

/// Where a key is to be made: by what was asked for, else by its purpose and by what the device does itself; none in a
/// token without slots.
///
/// # Errors
/// Something was asked for that is for slots, and the token has none.
pub fn plan(token: &Token, purpose: Purpose, asked: Option<&PivRequest>) -> Result<Option<SlotPlan>, KeyError> {
    if !token.is_yubikey() {
        return match asked {
            None => Ok(None),
            Some(_) => Err(KeyError::SlotElsewhere { token: token.label().to_owned() }),
        };
    }
    let asked = asked.cloned().unwrap_or_default();
    let slot = asked.slot.unwrap_or_else(|| PivSlot::of_purpose(purpose));
    Ok(Some(SlotPlan {
        slot,
        pin_policy: asked.pin_policy.unwrap_or_else(|| slot.usual_pin_policy()),
        touch_policy: asked.touch_policy.unwrap_or(TouchPolicy::Never),
    }))
}

/// Where the key is, for a caller; none if it is in no slot.
///
/// # Errors
/// The inventory cannot be read.
pub async fn view(keys: &Keys, key: &KeyRecord) -> Result<Option<PivView>, KeyError> {
    // A token that keyward.toml no longer names may have been one with slots.
    if keys.tokens.find(&key.token).is_some_and(|token| !token.is_yubikey()) {
        return Ok(None);
    }
    let plan = db::find(&keys.db, key.id).await?;
    Ok(plan.map(|SlotPlan { slot, pin_policy, touch_policy }| PivView { slot, pin_policy, touch_policy }))
}

/// The keys of the inventory in this device, as its workers have to be told: PIV knows no ids, so they are found by
/// their public keys.
///
/// # Errors
/// The inventory cannot be read.
pub async fn in_device(db: &Database, token: &str) -> Result<Vec<AdoptedKey>, KeyError> {
    let rows = super::db::in_token(db, token).await?;
    let told = |row: KeyRecord| {
        let public_key_der = row.public_key()?.der().to_vec();
        Ok(AdoptedKey { key: row.id, cka_id: Vec::new(), label: Vec::new(), public_key_der })
    };
    rows.into_iter().map(told).collect()
}
