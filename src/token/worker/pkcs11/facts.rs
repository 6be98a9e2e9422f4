//! What is read back from key objects (PKCS#11 v3.1, sections 4.8, 4.9, 6.3).

use super::attributes::curve_parameters;
use crate::base::{
    algorithm::{KeyAlgorithm, KeyFamily},
    ids::KeyId,
};
use crate::pki::public_key::PublicKey;
use crate::token::message::TokenKey;
use cryptoki::{
    error::Error,
    object::{Attribute, AttributeType, ObjectHandle},
    session::Session,
};

/// Reads a private key object, without its public key; none if its CKA_ID is no key id.
pub(super) fn key_facts(session: &Session, handle: ObjectHandle) -> Result<Option<TokenKey>, Error> {
    // What cannot be read counts as the weaker value.
    let mut facts = TokenKey {
        id: KeyId::from_bytes([0; 16]),
        label: String::new(),
        algorithm: None,
        public_key_der: Vec::new(),
        sensitive: false,
        extractable: true,
        wrap_with_trusted: false,
        local: false,
        never_extractable: false,
        always_authenticate: false,
    };
    let mut id = None;
    for attribute in session.get_attributes(handle, FACTS)? {
        match attribute {
            Attribute::AlwaysAuthenticate(value) => facts.always_authenticate = value,
            Attribute::Extractable(value) => facts.extractable = value,
            Attribute::Id(bytes) => id = key_id(&bytes),
            Attribute::Label(bytes) => facts.label = label(&bytes),
            Attribute::Local(value) => facts.local = value,
            Attribute::NeverExtractable(value) => facts.never_extractable = value,
            Attribute::Sensitive(value) => facts.sensitive = value,
            Attribute::WrapWithTrusted(value) => facts.wrap_with_trusted = value,
            _ => {}
        }
    }
    let Some(id) = id else { return Ok(None) };
    facts.id = id;
    Ok(Some(facts))
}

/// The algorithm of a private key object, for one that has no public key beside it.
pub(super) fn algorithm_of(session: &Session, handle: ObjectHandle) -> Option<KeyAlgorithm> {
    // A key type that cryptoki cannot name is one that keyward does not know either.
    let attributes = session.get_attributes(handle, &[AttributeType::Modulus, AttributeType::EcParams]).ok()?;
    attributes.iter().find_map(|attribute| match attribute {
        Attribute::EcParams(parameters) => curve(parameters),
        Attribute::Modulus(modulus) => KeyAlgorithm::ALL.iter().copied().find(|algorithm| {
            algorithm.family() == KeyFamily::Rsa && usize::try_from(algorithm.bits() / 8) == Ok(modulus.len())
        }),
        _ => None,
    })
}

/// Reads a public key object; none if its CKA_ID is no key id, or it is of a kind that keyward does not know.
pub(super) fn public_key(session: &Session, handle: ObjectHandle) -> Result<Option<(KeyId, PublicKey)>, Error> {
    let attributes = session.get_attributes(handle, PUBLIC)?;
    let id = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Id(bytes) => key_id(bytes),
        _ => None,
    });
    Ok(id.zip(put_together(attributes)))
}

/// The public key that an object tells of itself, be it the private one.
///
/// # Errors
/// The token does not give the attributes.
pub(super) fn told_public_key(session: &Session, handle: ObjectHandle) -> Result<Option<PublicKey>, Error> {
    if let Some(key) = put_together(session.get_attributes(handle, PUBLIC)?) {
        return Ok(Some(key));
    }
    let whole = session.get_attributes(handle, &[AttributeType::PublicKeyInfo])?;
    Ok(whole.into_iter().find_map(|attribute| match attribute {
        Attribute::PublicKeyInfo(der) => PublicKey::from_der(&der).ok(),
        _ => None,
    }))
}

fn put_together(attributes: Vec<Attribute>) -> Option<PublicKey> {
    let (mut parameters, mut point, mut modulus, mut exponent) = (None, None, None, None);
    for attribute in attributes {
        match attribute {
            Attribute::EcParams(bytes) => parameters = Some(bytes),
            Attribute::EcPoint(bytes) => point = Some(bytes),
            Attribute::Modulus(bytes) => modulus = Some(bytes),
            Attribute::PublicExponent(bytes) => exponent = Some(bytes),
            _ => {}
        }
    }
    match (parameters, point, modulus, exponent) {
        (Some(parameters), Some(point), _, _) => {
            curve(&parameters).and_then(|algorithm| PublicKey::from_ec_point(algorithm, &point).ok())
        }
        (_, _, Some(modulus), Some(exponent)) => PublicKey::from_rsa(&modulus, &exponent).ok(),
        _ => None,
    }
}

/// A CKA_LABEL as text: other programs can make it as long as they like, and of any bytes.
pub(super) fn label(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(LONGEST_LABEL).collect()
}

fn key_id(bytes: &[u8]) -> Option<KeyId> {
    <[u8; 16]>::try_from(bytes).ok().map(KeyId::from_bytes)
}

/// The curve that `CKA_EC_PARAMS` names.
fn curve(parameters: &[u8]) -> Option<KeyAlgorithm> {
    if parameters == ED25519_OBJECT_IDENTIFIER {
        return Some(KeyAlgorithm::Ed25519);
    }
    KeyAlgorithm::ALL
        .iter()
        .copied()
        .find(|algorithm| algorithm.family() != KeyFamily::Rsa && curve_parameters(*algorithm) == parameters)
}

/// Characters of a label that are read; keyward's own have 64 at most.
const LONGEST_LABEL: usize = 255;
/// 1.3.101.112, by which other tokens name the curve.
const ED25519_OBJECT_IDENTIFIER: &[u8] = b"\x06\x03\x2b\x65\x70";
const FACTS: &[AttributeType] = &[
    AttributeType::Id,
    AttributeType::Label,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::WrapWithTrusted,
    AttributeType::Local,
    AttributeType::NeverExtractable,
    AttributeType::AlwaysAuthenticate,
];
const PUBLIC: &[AttributeType] = &[
    AttributeType::Id,
    AttributeType::EcParams,
    AttributeType::EcPoint,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_found_again_by_its_parameters() {
        for algorithm in KeyAlgorithm::ALL.iter().copied().filter(|algorithm| algorithm.family() != KeyFamily::Rsa) {
            assert_eq!(curve(curve_parameters(algorithm)), Some(algorithm));
        }
    }

    #[test]
    fn ed25519_is_also_known_by_its_object_identifier() {
        assert_eq!(curve(&[0x06, 0x03, 0x2B, 0x65, 0x70]), Some(KeyAlgorithm::Ed25519));
    }

    #[test]
    fn a_curve_that_keyward_does_not_know_is_none() {
        // brainpoolP256r1, and no parameters at all.
        assert_eq!(curve(&[0x06, 0x09, 0x2B, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07]), None);
        assert_eq!(curve(&[]), None);
    }

    #[test]
    fn a_label_is_cut_to_255_characters_whatever_its_bytes_are() {
        assert_eq!(label("ä".repeat(300).as_bytes()), "ä".repeat(255));
        assert_eq!(label(&[b'a', 0xFF]), "a\u{FFFD}");
    }

    #[test]
    fn only_a_cka_id_of_sixteen_bytes_is_a_key_id() {
        assert_eq!(key_id(&[3; 16]), Some(KeyId::from_bytes([3; 16])));
        assert_eq!(key_id(&[3; 15]), None);
        assert_eq!(key_id(&[]), None);
    }
}
