//! The import of KEKs, by both PINs, in a process of its own: in a serving one the SO could not log in.
//!
//! TRUSTED can only be set by the SO when the object is created; the SO cannot make private objects; and an object
//! that is not private lies in clear on SoftHSM's disk. So the SO makes a session object, the user logs in in the
//! same session, and one copy makes it a private token object that nobody can change.

use super::{
    Backend,
    attributes::{SecretUse, Template, Trust, unwrap_template},
    fault::{Failure, NO_MECHANISM},
    index::{self, KEK_LABEL_PREFIX},
    token::Who,
};
use crate::base::{
    custody::KekPurpose,
    ids::{KekId, KeyId, hex},
};
use crate::token::{
    error::TokenError,
    message::{ImportedKek, KekImport, KekValue, TokenKek},
};
use cryptoki::{
    error::{Error, RvError},
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};
use std::collections::HashMap;

impl Backend {
    /// Imports each KEK that is not there yet; the session ends with the import, and the login with it.
    pub(super) fn import_keks(&self, session: &Session, import: &KekImport) -> Result<Vec<ImportedKek>, Failure> {
        if self.is_logged_in() {
            let detail = "KEKs are imported by a worker that has not logged in".to_owned();
            return Err(TokenError::Protocol { detail }.into());
        }
        let _creating = self.creating();
        let trusted = self.create_trusted(session, import)?;
        self.token.log_in(session, Who::User, &import.pin.0)?;
        let there = self.keks_there(session)?;
        let imported = import.keks.iter().map(|kek| self.import_kek(session, import, kek, &trusted, &there)).collect();
        // A KEK that was there already leaves its session object behind.
        for handle in trusted.values() {
            let _ = session.destroy_object(*handle);
        }
        // The import stands or falls by its objects, not by this; the session ends now anyway.
        let _ = session.logout();
        imported
    }

    /// The SO's part: session objects of the KEKs that can be trusted. None where the token knows no such thing.
    fn create_trusted(&self, session: &Session, import: &KekImport) -> Result<HashMap<KekId, ObjectHandle>, Failure> {
        let mut handles = HashMap::new();
        let Some(so_pin) = &import.so_pin else {
            return Ok(handles);
        };
        self.token.log_in(session, Who::SecurityOfficer, &so_pin.0)?;
        for kek in import.keks.iter().filter(|kek| kek.purpose == KekPurpose::BackupOnly) {
            let template = secret(kek, import).with([
                Attribute::Token(false),
                Attribute::Private(false),
                Attribute::Trusted(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
            ]);
            match self.create(session, &template, &unwrap_rule(kek, import, Trust::Trusted)) {
                Ok(handle) => {
                    handles.insert(kek.id, handle);
                }
                Err(error) if cannot_trust(&error) => {}
                Err(error) => return Err(self.token.refusal("import KEK", label(kek), NO_MECHANISM)(error)),
            }
        }
        session.logout().map_err(self.token.refusal("logout", "the token", NO_MECHANISM))?;
        Ok(handles)
    }

    fn keks_there(&self, session: &Session) -> Result<HashMap<KekId, TokenKek>, Failure> {
        let mut there = HashMap::new();
        for handle in index::find(&self.token, session, ObjectClass::SECRET_KEY)? {
            let kek = index::read_kek(session, handle).map_err(self.token.refusal(
                "read attributes",
                "a KEK",
                NO_MECHANISM,
            ))?;
            there.extend(kek.map(|kek| (kek.id, kek)));
        }
        Ok(there)
    }

    fn import_kek(
        &self,
        session: &Session,
        import: &KekImport,
        kek: &KekValue,
        trusted: &HashMap<KekId, ObjectHandle>,
        there: &HashMap<KekId, TokenKek>,
    ) -> Result<ImportedKek, Failure> {
        if let Some(known) = there.get(&kek.id) {
            return Ok(ImportedKek { id: kek.id, trusted: known.trusted });
        }
        let made = match trusted.get(&kek.id) {
            Some(handle) => session.copy_object(*handle, &lasting(kek)),
            None => self.create_untrusted(session, kek, import),
        };
        let handle = made.map_err(self.token.refusal("import KEK", label(kek), NO_MECHANISM))?;
        self.check_kek(session, handle, kek).inspect_err(|_| {
            // The failure that led here is the one to report.
            let _ = session.destroy_object(handle);
        })
    }

    fn create_untrusted(&self, session: &Session, kek: &KekValue, import: &KekImport) -> Result<ObjectHandle, Error> {
        let template =
            secret(kek, import).with([Attribute::Sensitive(true), Attribute::Extractable(false)]).with(lasting(kek));
        self.create(session, &template, &unwrap_rule(kek, import, Trust::Untrusted))
    }

    fn create(&self, session: &Session, template: &Template, rule: &[Attribute]) -> Result<ObjectHandle, Error> {
        self.token.module.create_unwrapping_key(session, template.as_slice(), rule)
    }

    /// Reads the KEK back: it must be the value of the ceremony, and must not be readable.
    fn check_kek(&self, session: &Session, handle: ObjectHandle, kek: &KekValue) -> Result<ImportedKek, Failure> {
        let attributes = session.get_attributes(handle, CHECKED).map_err(self.token.refusal(
            "read attributes",
            label(kek),
            NO_MECHANISM,
        ))?;
        let mut imported = ImportedKek { id: kek.id, trusted: false };
        for attribute in attributes {
            match attribute {
                Attribute::CheckValue(value) if !value.is_empty() && hex(&value) != kek.kcv.to_ascii_lowercase() => {
                    return Err(self.token.refused("import KEK", label(kek), &format!("check value {}", hex(&value))));
                }
                Attribute::Extractable(true) => return Err(weaker(kek, "CKA_EXTRACTABLE is true")),
                Attribute::Private(false) => return Err(weaker(kek, "CKA_PRIVATE is false")),
                Attribute::Sensitive(false) => return Err(weaker(kek, "CKA_SENSITIVE is false")),
                Attribute::Trusted(trusted) => imported.trusted = trusted,
                _ => {}
            }
        }
        Ok(imported)
    }
}

/// Value and usage; where the token does not honour UNWRAP_TEMPLATE, a KEK that unwraps would open any backup.
fn secret(kek: &KekValue, import: &KekImport) -> Template {
    let usage = match kek.purpose {
        KekPurpose::Inventory => SecretUse::WrapAndUnwrap,
        KekPurpose::BackupOnly | KekPurpose::Exportable if import.unwrap_template => SecretUse::WrapAndUnwrap,
        KekPurpose::BackupOnly | KekPurpose::Exportable => SecretUse::Wrap,
    };
    Template::secret_key(kek.value.0.expose(), usage)
}

fn unwrap_rule(kek: &KekValue, import: &KekImport, trust: Trust) -> Vec<Attribute> {
    if import.unwrap_template { unwrap_template(kek.purpose, trust) } else { Vec::new() }
}

/// What makes it a token object. MODIFIABLE is last: SoftHSM refuses every attribute after it.
fn lasting(kek: &KekValue) -> [Attribute; 5] {
    [
        Attribute::Label(label(kek).into_bytes()),
        Attribute::Id(kek.id.as_bytes().to_vec()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Modifiable(false),
    ]
}

fn label(kek: &KekValue) -> String {
    format!("{KEK_LABEL_PREFIX}{}-{}", kek.purpose, kek.kcv)
}

/// Whether the token says that there are no trusted KEKs in it.
fn cannot_trust(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::ActionProhibited
                | RvError::AttributeReadOnly
                | RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid
                | RvError::TemplateInconsistent,
            _
        )
    )
}

/// A KEK's id has the form of a key's.
fn weaker(kek: &KekValue, attribute: &str) -> Failure {
    let key = KeyId::from_bytes(*kek.id.as_bytes());
    TokenError::WeakerThanPolicy { key, attribute: attribute.to_owned() }.into()
}

const CHECKED: &[AttributeType] = &[
    AttributeType::CheckValue,
    AttributeType::Extractable,
    AttributeType::Private,
    AttributeType::Sensitive,
    AttributeType::Trusted,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::token::message::PlainSecret;

    fn kek(purpose: KekPurpose) -> KekValue {
        KekValue {
            id: KekId::from_bytes([9; 16]),
            purpose,
            kcv: "a1b2c3".to_owned(),
            value: PlainSecret(Secret::new(vec![0; 32])),
        }
    }

    fn import(unwrap_template: bool) -> KekImport {
        KekImport { so_pin: None, pin: PlainSecret(Secret::new(Vec::new())), keks: Vec::new(), unwrap_template }
    }

    #[test]
    fn a_kek_is_labelled_by_purpose_and_check_value() {
        assert_eq!(label(&kek(KekPurpose::BackupOnly)), "keyward-kek-backup-only-a1b2c3");
    }

    #[test]
    fn a_private_key_kek_unwraps_only_where_its_template_is_honoured() {
        for purpose in [KekPurpose::BackupOnly, KekPurpose::Exportable] {
            assert!(secret(&kek(purpose), &import(false)).as_slice().contains(&Attribute::Unwrap(false)));
            assert!(secret(&kek(purpose), &import(true)).as_slice().contains(&Attribute::Unwrap(true)));
            assert!(unwrap_rule(&kek(purpose), &import(false), Trust::Trusted).is_empty());
        }
    }

    #[test]
    fn the_last_attribute_of_a_lasting_kek_forbids_changes() {
        let last = lasting(&kek(KekPurpose::Inventory)).last().cloned();

        assert_eq!(last, Some(Attribute::Modifiable(false)));
    }
}
