//! How a token is named: by module and label, which must be the only one of its kind there; as RFC 7512 URI, with the
//! serial number, for people. Never by slot number.

use super::uri::percent;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where to find a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAddress {
    /// Path of the vendor's module.
    pub module: PathBuf,
    /// CKA label of the token.
    pub label: String,
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
