//! PKCS#11 URIs (RFC 7512): how people name a private key object that is in a token already.
//!
//! A PIN in a URI is refused, since it would end in histories and logs; so is a slot number, which changes.

use std::fmt::{self, Write as _};

/// The attributes by which an object is looked for. What is not given matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectUri {
    /// Label of the token.
    pub token: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// CKA_ID.
    pub id: Option<Vec<u8>>,
    /// CKA_LABEL.
    pub object: Option<Vec<u8>>,
}

impl ObjectUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("pkcs11:").ok_or("it does not begin with `pkcs11:`")?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if query.split('&').any(|attribute| attribute.starts_with("pin-")) {
            return Err("a PIN has no place in it: keyward has the token's PIN from its source".to_owned());
        }
        let mut uri = Self::default();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute.split_once('=').ok_or(format!("`{attribute}` has no `=`"))?;
            uri.take(
                name,
                bytes(value).ok_or(format!("the value of `{name}` is not percent-encoded as it should be"))?,
            )?;
        }
        match (&uri.id, &uri.object) {
            (None, None) => Err("it names neither `id` nor `object`".to_owned()),
            _ => Ok(uri),
        }
    }

    fn take(&mut self, name: &str, value: Vec<u8>) -> Result<(), String> {
        match name {
            "token" => self.token = Some(text(name, value)?),
            "serial" => self.serial = Some(text(name, value)?),
            "id" => self.id = Some(value),
            "object" => self.object = Some(value),
            "type" if value == b"private" => {}
            "type" => return Err("its type is not `private`: only a private key can be adopted".to_owned()),
            // The label and the serial number say which token it is.
            "manufacturer" | "model" => {}
            "slot-id" => return Err("a slot number changes; name the token by its label".to_owned()),
            other => return Err(format!("`{other}` is no attribute that names a key")),
        }
        Ok(())
    }

    /// Whether an object with this id and label is meant.
    #[must_use]
    pub fn matches(&self, id: &[u8], label: &[u8]) -> bool {
        self.id.as_ref().is_none_or(|wanted| wanted == id) && self.object.as_ref().is_none_or(|wanted| wanted == label)
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let of_text = |text: &Option<String>| text.as_ref().map(|text| percent(text.as_bytes()));
        let attributes = [
            ("token", of_text(&self.token)),
            ("serial", of_text(&self.serial)),
            // RFC 7512, section 2.3: an id is percent-encoded throughout.
            ("id", self.id.as_ref().map(|id| id.iter().map(|byte| format!("%{byte:02X}")).collect())),
            ("object", self.object.as_ref().map(|label| percent(label))),
        ];
        for (name, value) in attributes {
            if let Some(value) = value {
                write!(f, "{name}={value};")?;
            }
        }
        f.write_str("type=private")
    }
}

/// Text or bytes as the value of an attribute.
pub(super) fn percent(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn text(name: &str, value: Vec<u8>) -> Result<String, String> {
    String::from_utf8(value).map_err(|_| format!("the value of `{name}` is no text"))
}

fn bytes(value: &str) -> Option<Vec<u8>> {
    let mut rest = value.bytes();
    let mut out = Vec::with_capacity(value.len());
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                out.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte => out.push(byte),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_reads_back_as_it_is_written() {
        let uri = ObjectUri {
            token: Some("a;b c".to_owned()),
            serial: Some("12".to_owned()),
            id: Some(vec![0x01, b'a', 0xFF]),
            object: Some(b"web=1".to_vec()),
        };

        assert_eq!(uri.to_string(), "pkcs11:token=a%3Bb%20c;serial=12;id=%01%61%FF;object=web%3D1;type=private");
        assert_eq!(ObjectUri::parse(&uri.to_string()), Ok(uri));
    }

    #[test]
    fn what_is_not_named_matches_everything() {
        let uri = ObjectUri::parse("pkcs11:object=web").unwrap();

        assert!(uri.matches(b"", b"web"));
        assert!(uri.matches(&[7], b"web"));
        assert!(!uri.matches(&[7], b"web2"));
    }

    #[test]
    fn a_pin_a_slot_and_what_names_no_private_key_are_refused() {
        let fault = |text: &str| ObjectUri::parse(text).unwrap_err();

        assert!(fault("pkcs11:object=web?pin-value=1234").contains("PIN"));
        assert!(!fault("pkcs11:object=web?pin-value=1234").contains("1234"));
        assert!(fault("pkcs11:slot-id=1;object=web").contains("slot number"));
        assert!(fault("pkcs11:object=web;type=cert").contains("`private`"));
        assert!(fault("pkcs11:token=t").contains("neither `id` nor `object`"));
        assert!(fault("pkcs11:object=%4").contains("percent-encoded"));
        assert!(fault("pkcs11:object=%zz").contains("percent-encoded"));
        assert!(fault("pkcs11:colour=red;id=%01").contains("`colour`"));
        assert!(fault("web").contains("`pkcs11:`"));
        assert!(fault("pkcs11:web").contains("no `=`"));
    }
}
