//! The content key of an archive's inventory under the inventory KEK (RFC 3394).

use super::{
    Backend,
    attributes::{SecretUse, Template},
    fault::{Failure, NO_MECHANISM, rv_name},
    unwrap::opens_nothing,
    wrap::AES_KEY_WRAP,
};
use crate::base::{custody::KekPurpose, secret::Secret};
use crate::token::{
    error::TokenError,
    message::{ContentKeyOpen, ContentKeySeal},
};
use cryptoki::{
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};

impl Backend {
    /// Wraps the content key.
    pub(super) fn seal_content_key(&self, session: &Session, seal: &ContentKeySeal) -> Result<Vec<u8>, Failure> {
        let _creating = self.creating();
        let kek = self.token_kek(seal.kek, KekPurpose::Inventory)?;
        let template = Template::secret_key(seal.content_key.0.expose(), SecretUse::None).with([
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(true),
        ]);
        let key = session.create_object(template.as_slice()).map_err(self.token.refusal(
            "seal",
            CONTENT_KEY,
            NO_MECHANISM,
        ))?;
        let wrapped = self.token.module.wrap_key(session, AES_KEY_WRAP, kek.handle, key).map_err(self.token.refusal(
            "seal",
            CONTENT_KEY,
            "CKM_AES_KEY_WRAP",
        ));
        let destroyed = self.destroy_session_object(session, key);
        wrapped.and_then(|wrapped| destroyed.map(|()| wrapped))
    }

    /// Opens it again.
    pub(super) fn open_content_key(&self, session: &Session, open: &ContentKeyOpen) -> Result<Secret, Failure> {
        let _creating = self.creating();
        let (kek, purpose) = self.unwrapping_kek(open.kek)?;
        let key =
            self.token.module.unwrap_key(session, AES_KEY_WRAP, kek, &open.wrapped, &readable()).map_err(|error| {
                if opens_nothing(&error) {
                    return TokenError::ContentKeyUnreadable { kek: purpose, rv: rv_name(&error) }.into();
                }
                self.token.refusal("open", CONTENT_KEY, "CKM_AES_KEY_WRAP")(error)
            })?;
        let value = self.read_value(session, key);
        let destroyed = self.destroy_session_object(session, key);
        value.and_then(|value| destroyed.map(|()| value))
    }

    fn read_value(&self, session: &Session, key: ObjectHandle) -> Result<Secret, Failure> {
        session
            .get_attributes(key, &[AttributeType::Value])
            .map_err(self.token.refusal("open", CONTENT_KEY, NO_MECHANISM))?
            .into_iter()
            .find_map(|attribute| if let Attribute::Value(value) = attribute { Some(Secret::new(value)) } else { None })
            .ok_or_else(|| self.token.refused("open", CONTENT_KEY, "CKR_ATTRIBUTE_SENSITIVE"))
    }

    /// Destroys a session object of ours.
    pub(super) fn destroy_session_object(&self, session: &Session, object: ObjectHandle) -> Result<(), Failure> {
        session.destroy_object(object).map_err(self.token.refusal("destroy", "a session object", NO_MECHANISM))
    }
}

/// A session AES key that can be read and do nothing.
fn readable() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
    ]
}

const CONTENT_KEY: &str = "the inventory's content key";
