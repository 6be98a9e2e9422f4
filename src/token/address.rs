//! How a token is named: by module and label, which must be the only one of its kind there, or by the serial number of a
//! `YubiKey`; as RFC 7512 URI, with the serial number, for people. Never by slot number.

use super::uri::percent;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// Where to find a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAddress {
    /// What leads to it.
    pub device: Device,
    /// CKA label of the token; of a `YubiKey`, which has none, the name in keyward.toml.
    pub label: String,
}

/// What leads to a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    /// Path of the vendor's PKCS#11 module.
    Module(PathBuf),
    /// Serial number of a `YubiKey`, whose PIV application is the token.
    YubiKey(u32),
}

impl Device {
    /// Where a token was looked for that is not there, for messages: "it is not …".
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Module(path) => format!("in any slot of {}", path.display()),
            Self::YubiKey(serial) => format!("at any card reader as YubiKey {serial}"),
        }
    }

    /// Whether it is a `YubiKey`, whose keys lie in slots.
    #[must_use]
    pub const fn is_yubikey(&self) -> bool {
        matches!(self, Self::YubiKey(_))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(path) => path.display().fmt(f),
            Self::YubiKey(serial) => write!(f, "YubiKey {serial}"),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for Device {
    fn from(module: P) -> Self {
        Self::Module(module.into())
    }
}

/// What a token says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDescription {
    /// Label, without trailing blanks.
    pub label: String,
    /// Manufacturer, without trailing blanks.
    pub manufacturer: String,
    /// Model, without trailing blanks.
    pub model: String,
    /// Serial number, without trailing blanks.
    pub serial: String,
    /// Firmware version `major.minor`.
    pub firmware: String,
    /// `CKF_USER_PIN_COUNT_LOW`: a wrong PIN was given since the last right one.
    pub pin_count_low: bool,
    /// `CKF_SO_PIN_COUNT_LOW`: the same for the SO PIN.
    pub so_pin_count_low: bool,
}

impl TokenDescription {
    /// RFC 7512 URI that names the token without module or PIN.
    #[must_use]
    pub fn uri(&self) -> String {
        format!(
            "pkcs11:token={};serial={};model={};manufacturer={}",
            percent(self.label.as_bytes()),
            percent(self.serial.as_bytes()),
            percent(self.model.as_bytes()),
            percent(self.manufacturer.as_bytes())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_escapes_what_would_end_an_attribute() {
        let description = TokenDescription {
            label: "a;b c".to_owned(),
            manufacturer: "SoftHSM project".to_owned(),
            model: "SoftHSM v2".to_owned(),
            serial: "1234".to_owned(),
            firmware: "2.6".to_owned(),
            pin_count_low: false,
            so_pin_count_low: false,
        };

        assert_eq!(
            description.uri(),
            "pkcs11:token=a%3Bb%20c;serial=1234;model=SoftHSM%20v2;manufacturer=SoftHSM%20project"
        );
    }
}
