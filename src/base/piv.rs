//! Slots of a PIV application (NIST SP 800-73-4, part 1, section 4.3), and what Yubico adds to a key in one: when it
//! wants the PIN, and when a touch.

use super::{
    algorithm::{UnknownName, named},
    custody::Purpose,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

named! {
    /// When a key in a slot wants the PIN.
    PinPolicy, "PIN policy" {
        /// Never.
        Never = "never",
        /// Once after the card was put in.
        Once = "once",
        /// Before each use.
        Always = "always",
    }
}

named! {
    /// When a key in a slot wants somebody to touch the device.
    TouchPolicy, "touch policy" {
        /// Never.
        Never = "never",
        /// For each use.
        Always = "always",
        /// For a use later than 15 seconds after the last touch.
        Cached = "cached",
    }
}

/// A slot for a key that people use: 9a, 9c, 9d, 9e, or one of the twenty retired ones, 82 to 95.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^(9[acde]|8[2-9a-f]|9[0-5])$")]
pub struct PivSlot(u8);

/// Where a key is to be made, and what it will want of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotPlan {
    /// The slot.
    pub slot: PivSlot,
    /// When it wants the PIN.
    pub pin_policy: PinPolicy,
    /// When it wants a touch.
    pub touch_policy: TouchPolicy,
}

impl PivSlot {
    /// Every slot, those with a purpose of their own first.
    pub fn all() -> impl Iterator<Item = Self> {
        [0x9A, 0x9C, 0x9D, 0x9E].into_iter().chain(0x82..=0x95).map(Self)
    }

    /// The slot that the standard has for such keys.
    #[must_use]
    pub const fn of_purpose(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Signing => Self(0x9C),
            Purpose::Secrets => Self(0x9D),
            _ => Self(0x9A),
        }
    }

    /// The PIN policy that a device gives to a key of this slot by itself.
    #[must_use]
    pub const fn usual_pin_policy(self) -> PinPolicy {
        match self.0 {
            0x9C => PinPolicy::Always,
            0x9E => PinPolicy::Never,
            _ => PinPolicy::Once,
        }
    }

    /// Its number in commands to the card.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PivSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:02x}", self.0))
    }
}

impl FromStr for PivSlot {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let named = |slot: &Self| slot.to_string().eq_ignore_ascii_case(text);
        Self::all().find(named).ok_or_else(|| UnknownName {
            what: "PIV slot",
            given: text.to_owned(),
            known: "9a, 9c, 9d, 9e, 82 to 95".to_owned(),
        })
    }
}

impl TryFrom<String> for PivSlot {
    type Error = UnknownName;

    fn try_from(text: String) -> Result<Self, UnknownName> {
        text.parse()
    }
}

impl From<PivSlot> for String {
    fn from(slot: PivSlot) -> Self {
        slot.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_24_slots_for_keys_and_neither_that_of_the_attestation_key_nor_of_the_pin_is_one() {
        assert_eq!(PivSlot::all().count(), 24);
        for text in ["9a", "9C", "82", "95", "8f"] {
            assert!(text.parse::<PivSlot>().is_ok(), "{text}");
        }
        for text in ["f9", "9b", "80", "81", "96", "", "9"] {
            assert!(text.parse::<PivSlot>().is_err(), "{text}");
        }
    }
}
