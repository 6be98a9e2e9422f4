//! Ids and labels.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$meta:meta])* $type:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, format = "uuid")]
        pub struct $type(Uuid);

        impl $type {
            /// A new id: UUIDv7, so that ids sort by the time they were made.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "each call makes another id; a default would hide that")]
            pub fn new() -> Self { Self(Uuid::now_v7()) }

            /// The id whose 16 bytes these are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self { Self(Uuid::from_bytes(bytes)) }

            /// The 16 bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] { self.0.as_bytes() }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0.hyphenated().to_string()) }
        }

        impl FromStr for $type {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { Uuid::try_parse(text).map(Self) }
        }
    };
}

id!(
    /// A backup, its archive and their record.
    BackupId
);
id!(
    /// A recorded order with its result.
    CommandId
);
id!(
    /// What somebody shows to be let in.
    CredentialId
);
id!(
    /// A drill and its report.
    DrillId
);
id!(
    /// An export.
    ExportId
);
id!(
    /// An instance of keyward; comes back with a restore.
    InstanceId
);
id!(
    /// A key-encryption key; also its CKA_ID and its CMS KEKIdentifier.
    KekId
);
id!(
    /// A key; its 16 bytes are the CKA_ID of its objects in the token.
    KeyId
);
id!(
    /// One request, in logs, audit records and problem documents.
    RequestId
);

/// A key's human name: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, not shaped like an id, not beginning with `keyward-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
#[serde(try_from = "String", into = "String")]
pub struct KeyLabel(String);

/// Why a text is not a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A letter or digit first, then up to 63 of letters, digits, `.`, `_`, `-`.
    #[error("a label is 1 to 64 letters, digits, `.`, `_` or `-`, and begins with a letter or digit")]
    Characters,
    /// Labels and ids are told apart by their shape.
    #[error("a label must not look like an id (UUID)")]
    LooksLikeId,
    /// `keyward-` names keys of keyward's own.
    #[error("labels that begin with `keyward-` are keyward's own")]
    Reserved,
}

impl KeyLabel {
    /// The label that keyward gives to one of its own keys.
    #[must_use]
    pub fn internal(name: &'static str) -> Self {
        debug_assert!(name.starts_with(RESERVED_PREFIX));
        Self(name.to_owned())
    }

    /// A label read back from a token or a database, where reserved ones occur.
    ///
    /// # Errors
    /// The text was never a label.
    pub fn stored(text: &str) -> Result<Self, LabelError> {
        match text.parse() {
            Err(LabelError::Reserved) => Ok(Self(text.to_owned())),
            other => other,
        }
    }

    /// The label's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyLabel {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let first_is_plain = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest_is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !first_is_plain || !rest_is_plain || text.len() > 64 {
            return Err(LabelError::Characters);
        }
        if Uuid::try_parse(text).is_ok() {
            return Err(LabelError::LooksLikeId);
        }
        if text.starts_with(RESERVED_PREFIX) {
            return Err(LabelError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for KeyLabel {
    type Error = LabelError;

    fn try_from(text: String) -> Result<Self, LabelError> {
        Self::stored(&text)
    }
}

impl From<KeyLabel> for String {
    fn from(label: KeyLabel) -> Self {
        label.0
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How a caller names a key: by its label or by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySelector {
    /// By id.
    Id(KeyId),
    /// By label.
    Label(String),
}

impl From<&str> for KeySelector {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Label(text.to_owned()), Self::Id)
    }
}

impl fmt::Display for KeySelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Label(label) => f.pad(label),
        }
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    out
}

const RESERVED_PREFIX: &str = "keyward-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_plain_and_is_neither_an_id_nor_reserved() {
        for good in ["web", "Web-01.example_com", "0"] {
            assert_eq!(good.parse::<KeyLabel>().map(|label| label.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "-web", ".web", "we b", "wéb", &"x".repeat(65)] {
            assert_eq!(bad.parse::<KeyLabel>(), Err(LabelError::Characters), "{bad}");
        }
        assert_eq!("0190b2a1-0000-7000-8000-000000000000".parse::<KeyLabel>(), Err(LabelError::LooksLikeId));
        assert_eq!("0190b2a1000070008000000000000000".parse::<KeyLabel>(), Err(LabelError::LooksLikeId));
        assert_eq!("keyward-ca".parse::<KeyLabel>(), Err(LabelError::Reserved));
    }

    #[test]
    fn an_id_is_its_sixteen_bytes() {
        let id = KeyId::new();

        assert_eq!(KeyId::from_bytes(*id.as_bytes()), id);
        assert_eq!(KeySelector::from(id.to_string().as_str()), KeySelector::Id(id));
        assert_eq!(KeySelector::from("web"), KeySelector::Label("web".to_owned()));
    }
}
