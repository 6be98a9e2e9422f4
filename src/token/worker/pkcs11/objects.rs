//! Private key objects as any program may have left them: with a foreign CKA_ID or none, several of one label, without
//! a public key object. Nothing of them is changed.

use super::{
    Backend, PAGE_BYTES, facts,
    fault::Failure,
    index::{self, Page},
    token::Token,
};
use crate::pki::{certificate::Certificate, public_key::PublicKey};
use crate::token::{api::ObjectAttributes, message::TokenObject};
use cryptoki::{
    error::Error,
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};

impl Backend {
    /// Private key objects from `offset`, as many as an answer holds.
    pub(super) fn scan(&self, session: &Session, offset: usize) -> Result<Vec<TokenObject>, Failure> {
        let _searching = self.searching();
        let beside = Beside::read(&self.token, session)?;
        let mut page = Page::new(PAGE_BYTES);
        for handle in index::find(&self.token, session, ObjectClass::PRIVATE_KEY)?.into_iter().skip(offset) {
            let object = self.token.read(handle, |handle| object(session, handle, &beside))?;
            if object.is_some_and(|object| !page.take(object)) {
                break;
            }
        }
        Ok(page.into_items())
    }
}

/// What lies beside private keys and tells their public halves.
pub(super) struct Beside(Vec<Half>);

struct Half {
    id: Vec<u8>,
    label: Vec<u8>,
    key: PublicKey,
}

impl Beside {
    /// Reads public key objects and certificates.
    pub(super) fn read(token: &Token, session: &Session) -> Result<Self, Failure> {
        let mut halves = Vec::new();
        for class in [ObjectClass::PUBLIC_KEY, ObjectClass::CERTIFICATE] {
            for handle in index::find(token, session, class)? {
                halves.extend(token.read(handle, |handle| half(session, handle))?);
            }
        }
        Ok(Self(halves))
    }

    /// The one public key that belongs to this id; where there is no id, or it is that of several keys, to this label
    /// as well.
    fn public_key(&self, id: &[u8], label: &[u8]) -> Option<PublicKey> {
        let of_id = || self.0.iter().filter(|half| half.id == id);
        let of_label = only(of_id().filter(|half| !label.is_empty() && half.label == label));
        let of_id = if id.is_empty() { None } else { only(of_id()) };
        of_id.or(of_label).cloned()
    }
}

/// The key that all of these are, if it is one.
fn only<'a>(mut halves: impl Iterator<Item = &'a Half>) -> Option<&'a PublicKey> {
    let first = &halves.next()?.key;
    halves.all(|half| half.key == *first).then_some(first)
}

fn half(session: &Session, handle: ObjectHandle) -> Result<Option<Half>, Error> {
    let (id, label) = names(session, handle)?;
    Ok(half_of(session, handle)?.map(|key| Half { id, label, key }))
}

/// The public key that a public key object or a certificate tells.
pub(super) fn half_of(session: &Session, handle: ObjectHandle) -> Result<Option<PublicKey>, Error> {
    if let Some(key) = facts::told_public_key(session, handle)? {
        return Ok(Some(key));
    }
    let value = session.get_attributes(handle, &[AttributeType::Value])?;
    Ok(value.into_iter().find_map(|attribute| match attribute {
        Attribute::Value(der) => Certificate::from_der(&der).ok().map(|found| found.public_key().clone()),
        _ => None,
    }))
}

/// Reads a private key object.
pub(super) fn object(session: &Session, handle: ObjectHandle, beside: &Beside) -> Result<Option<TokenObject>, Error> {
    let (cka_id, label) = names(session, handle)?;
    let told = facts::told_public_key(session, handle)?;
    let public = told.or_else(|| beside.public_key(&cka_id, &label));
    let algorithm = match &public {
        Some(key) => Some(key.algorithm()),
        None => facts::algorithm_of(session, handle),
    };
    let public_key_der = public.map_or_else(Vec::new, |key| key.der().to_vec());
    Ok(Some(TokenObject { cka_id, label, algorithm, public_key_der, attributes: attributes(session, handle)? }))
}

/// CKA_ID and CKA_LABEL; empty where there is none.
fn names(session: &Session, handle: ObjectHandle) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let (mut id, mut label) = (Vec::new(), Vec::new());
    for attribute in session.get_attributes(handle, &[AttributeType::Id, AttributeType::Label])? {
        match attribute {
            Attribute::Id(bytes) => id = bytes,
            Attribute::Label(bytes) => label = bytes,
            _ => {}
        }
    }
    Ok((id, label))
}

fn attributes(session: &Session, handle: ObjectHandle) -> Result<ObjectAttributes, Error> {
    // What cannot be read counts as the weaker value.
    let mut seen = ObjectAttributes { extractable: true, ..ObjectAttributes::default() };
    for attribute in session.get_attributes(handle, ATTRIBUTES)? {
        match attribute {
            Attribute::AlwaysAuthenticate(value) => seen.always_authenticate = value,
            Attribute::Extractable(value) => seen.extractable = value,
            Attribute::Local(value) => seen.local = value,
            Attribute::NeverExtractable(value) => seen.never_extractable = value,
            Attribute::Sensitive(value) => seen.sensitive = value,
            Attribute::Sign(value) => seen.signs = value,
            Attribute::WrapWithTrusted(value) => seen.wrap_with_trusted = value,
            _ => {}
        }
    }
    Ok(seen)
}

const ATTRIBUTES: &[AttributeType] = &[
    AttributeType::AlwaysAuthenticate,
    AttributeType::Extractable,
    AttributeType::Local,
    AttributeType::NeverExtractable,
    AttributeType::Sensitive,
    AttributeType::Sign,
    AttributeType::WrapWithTrusted,
];
