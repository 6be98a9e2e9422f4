//! Templates for objects (PKCS#11 v3.1, section 4).
//!
//! Every usage is named in every template: what is not named is true on SoftHSM.

use crate::base::{
    algorithm::{KeyAlgorithm, KeyFamily},
    custody::{KekPurpose, KeyPolicy},
};
use crate::pki::public_key::PublicKey;
use crate::token::message::NewKey;
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, KeyType, ObjectClass},
};
use zeroize::Zeroize as _;

/// Whether an object outlives its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// TOKEN=0.
    Session,
    /// TOKEN=1.
    Token,
}

/// What a secret key may do; everything else is named as false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecretUse {
    /// Nothing: it is only carried.
    None,
    /// UNWRAP.
    Unwrap,
    /// WRAP.
    Wrap,
    /// Both.
    WrapAndUnwrap,
}

/// A template whose key value is zeroed when it is dropped; it has no `Debug`, which would print the value.
pub(super) struct Template(Vec<Attribute>);

/// The private key's half of a generation, and all of an unwrap but class and type.
pub(super) fn private_key(new: &NewKey, lifetime: Lifetime) -> Vec<Attribute> {
    let decrypts = new.purpose.decrypts();
    let family = new.algorithm.family();
    let mut template = vec![
        Attribute::Token(lifetime == Lifetime::Token),
        Attribute::Private(true),
        Attribute::Id(new.id.as_bytes().to_vec()),
        Attribute::Label(new.label.as_str().as_bytes().to_vec()),
        Attribute::Sensitive(true),
        Attribute::Extractable(new.policy != KeyPolicy::TokenOnly),
        Attribute::Sign(new.purpose.signs()),
        Attribute::SignRecover(false),
        Attribute::Decrypt(decrypts && family == KeyFamily::Rsa),
        Attribute::Derive(decrypts && family == KeyFamily::Elliptic),
        Attribute::Unwrap(false),
    ];
    if needs_trusted(new) {
        template.push(Attribute::WrapWithTrusted(true));
    }
    template
}

/// Whether the key may only be wrapped under a trusted KEK.
pub(super) fn needs_trusted(new: &NewKey) -> bool {
    new.policy == KeyPolicy::BackupOnly && new.trusted_kek
}

/// What an unwrap template has beside [`private_key`].
pub(super) fn unwrapped_key(new: &NewKey, lifetime: Lifetime) -> Vec<Attribute> {
    let mut template =
        vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(key_type(new.algorithm.family()))];
    template.append(&mut private_key(new, lifetime));
    template
}

/// The public key's half of a generation.
pub(super) fn generated_public_key(new: &NewKey, lifetime: Lifetime) -> Vec<Attribute> {
    let mut template = public_usage(new, lifetime);
    match new.algorithm.family() {
        KeyFamily::Edwards | KeyFamily::Elliptic => {
            template.push(Attribute::EcParams(curve_parameters(new.algorithm).to_vec()));
        }
        KeyFamily::Rsa => {
            template.push(Attribute::ModulusBits(u64::from(new.algorithm.bits()).into()));
            template.push(Attribute::PublicExponent(RSA_EXPONENT.to_vec()));
        }
    }
    template
}

/// A public key object made from its value; none if the value cannot be put into attributes.
pub(super) fn stored_public_key(new: &NewKey, key: &PublicKey) -> Option<Vec<Attribute>> {
    let mut template =
        vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(key_type(key.algorithm().family()))];
    template.append(&mut public_usage(new, Lifetime::Token));
    if let Some((modulus, exponent)) = key.rsa_parts() {
        template.push(Attribute::Modulus(modulus));
        template.push(Attribute::PublicExponent(exponent));
    } else {
        let point = key.ec_point()?;
        template.push(Attribute::EcParams(curve_parameters(key.algorithm()).to_vec()));
        template.push(Attribute::EcPoint(octet_string(&point)?));
    }
    Some(template)
}

/// DER OCTET STRING around a point, which no curve of ours makes longer than 255 bytes.
fn octet_string(point: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(point.len()).ok()?;
    let head: &[u8] = if length < 0x80 { &[0x04, length] } else { &[0x04, 0x81, length] };
    Some([head, point].concat())
}

/// Public keys are readable without a login, so that other programs find them.
fn public_usage(new: &NewKey, lifetime: Lifetime) -> Vec<Attribute> {
    let encrypts = new.purpose.decrypts() && new.algorithm.family() == KeyFamily::Rsa;
    vec![
        Attribute::Token(lifetime == Lifetime::Token),
        Attribute::Private(false),
        Attribute::Id(new.id.as_bytes().to_vec()),
        Attribute::Label(new.label.as_str().as_bytes().to_vec()),
        Attribute::Verify(new.purpose.signs()),
        Attribute::VerifyRecover(false),
        Attribute::Encrypt(encrypts),
        Attribute::Wrap(false),
        Attribute::Derive(false),
    ]
}

impl Template {
    /// An AES key from its value, with every usage named; lifetime, label and the like are added by [`Self::with`].
    pub(super) fn secret_key(value: &[u8], usage: SecretUse) -> Self {
        Self(vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Value(value.to_vec()),
            Attribute::Wrap(matches!(usage, SecretUse::Wrap | SecretUse::WrapAndUnwrap)),
            Attribute::Unwrap(matches!(usage, SecretUse::Unwrap | SecretUse::WrapAndUnwrap)),
            Attribute::Encrypt(false),
            Attribute::Decrypt(false),
            Attribute::Sign(false),
            Attribute::Verify(false),
            Attribute::Derive(false),
        ])
    }

    /// The same with more attributes, in this order.
    pub(super) fn with(mut self, attributes: impl IntoIterator<Item = Attribute>) -> Self {
        self.0.extend(attributes);
        self
    }

    pub(super) fn as_slice(&self) -> &[Attribute] {
        &self.0
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        for attribute in &mut self.0 {
            if let Attribute::Value(value) = attribute {
                value.zeroize();
            }
        }
    }
}

/// What a session AES key has beside its usage: it cannot leave, and ends with its session.
pub(super) fn session_secret() -> [Attribute; 4] {
    [Attribute::Token(false), Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false)]
}

/// What everything unwrapped under a KEK must be; the caller of `C_UnwrapKey` repeats it all on SoftHSM.
///
/// A KEK that is not trusted cannot wrap WRAP_WITH_TRUSTED keys, so it does not ask for them either.
pub(super) fn unwrap_template(purpose: KekPurpose, trust: Trust) -> Vec<Attribute> {
    if purpose == KekPurpose::Inventory {
        return Vec::new();
    }
    let mut template =
        vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Private(true), Attribute::Sensitive(true)];
    if purpose == KekPurpose::BackupOnly && trust == Trust::Trusted {
        template.push(Attribute::WrapWithTrusted(true));
    }
    template
}

/// Whether a KEK is, or will be, TRUSTED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// TRUSTED=1, which only the SO can set.
    Trusted,
    /// TRUSTED=0.
    Untrusted,
}

const fn key_type(family: KeyFamily) -> KeyType {
    match family {
        KeyFamily::Edwards => KeyType::EC_EDWARDS,
        KeyFamily::Elliptic => KeyType::EC,
        KeyFamily::Rsa => KeyType::RSA,
    }
}

/// The mechanism that makes a pair, and its name.
pub(super) const fn generation(family: KeyFamily) -> (Mechanism<'static>, &'static str) {
    match family {
        KeyFamily::Edwards => (Mechanism::EccEdwardsKeyPairGen, "CKM_EC_EDWARDS_KEY_PAIR_GEN"),
        KeyFamily::Elliptic => (Mechanism::EccKeyPairGen, "CKM_EC_KEY_PAIR_GEN"),
        KeyFamily::Rsa => (Mechanism::RsaPkcsKeyPairGen, "CKM_RSA_PKCS_KEY_PAIR_GEN"),
    }
}

/// `CKA_EC_PARAMS` as tokens take it when a key is made.
pub(super) const fn curve_parameters(algorithm: KeyAlgorithm) -> &'static [u8] {
    match algorithm {
        // SoftHSM 2.6.1 takes the PrintableString only, not the object identifier.
        KeyAlgorithm::Ed25519 => b"\x13\x0cedwards25519",
        KeyAlgorithm::P256 => b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        KeyAlgorithm::P384 => b"\x06\x05\x2b\x81\x04\x00\x22",
        KeyAlgorithm::P521 => b"\x06\x05\x2b\x81\x04\x00\x23",
        KeyAlgorithm::Secp256k1 => b"\x06\x05\x2b\x81\x04\x00\x0a",
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => b"",
    }
}

/// 65537.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{
        custody::Purpose,
        ids::{KeyId, KeyLabel},
    };

    fn new_key(algorithm: KeyAlgorithm, policy: KeyPolicy, purpose: Purpose) -> NewKey {
        NewKey {
            id: KeyId::from_bytes([7; 16]),
            label: KeyLabel::internal("keyward-test"),
            algorithm,
            policy,
            purpose,
            trusted_kek: true,
        }
    }

    #[test]
    fn a_private_key_names_every_usage_and_cannot_be_read() {
        for algorithm in KeyAlgorithm::ALL {
            let template = private_key(&new_key(*algorithm, KeyPolicy::Exportable, Purpose::Signing), Lifetime::Token);

            for expected in [
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Id(vec![7; 16]),
                Attribute::Label(b"keyward-test".to_vec()),
                Attribute::Sign(true),
                Attribute::SignRecover(false),
                Attribute::Decrypt(false),
                Attribute::Derive(false),
                Attribute::Unwrap(false),
            ] {
                assert!(template.contains(&expected), "{algorithm} lacks {expected:?}");
            }
        }
    }

    #[test]
    fn the_policy_decides_whether_a_key_can_leave_and_under_which_keys() {
        let template = |policy| private_key(&new_key(KeyAlgorithm::P256, policy, Purpose::Tls), Lifetime::Token);

        assert!(template(KeyPolicy::TokenOnly).contains(&Attribute::Extractable(false)));
        assert!(template(KeyPolicy::BackupOnly).contains(&Attribute::Extractable(true)));
        assert!(template(KeyPolicy::BackupOnly).contains(&Attribute::WrapWithTrusted(true)));
        assert!(template(KeyPolicy::Exportable).contains(&Attribute::Extractable(true)));
        assert!(!template(KeyPolicy::Exportable).contains(&Attribute::WrapWithTrusted(true)));
    }

    #[test]
    fn a_secrets_key_decrypts_or_agrees_but_never_signs() {
        let template =
            |algorithm| private_key(&new_key(algorithm, KeyPolicy::BackupOnly, Purpose::Secrets), Lifetime::Token);

        assert!(template(KeyAlgorithm::Rsa2048).contains(&Attribute::Decrypt(true)));
        assert!(template(KeyAlgorithm::P384).contains(&Attribute::Derive(true)));
        assert!(template(KeyAlgorithm::P384).contains(&Attribute::Decrypt(false)));
        for algorithm in KeyAlgorithm::ALL {
            assert!(template(*algorithm).contains(&Attribute::Sign(false)));
        }
    }

    #[test]
    fn a_point_longer_than_127_bytes_has_a_long_length() {
        assert_eq!(octet_string(&[4; 65]).unwrap()[..3], [0x04, 65, 4]);
        assert_eq!(octet_string(&[4; 133]).unwrap()[..4], [0x04, 0x81, 133, 4]);
        assert_eq!(octet_string(&[4; 256]), None);
    }

    #[test]
    fn a_secret_key_names_every_usage() {
        let template = Template::secret_key(&[1; 32], SecretUse::Wrap).with(session_secret());

        for expected in [
            Attribute::Wrap(true),
            Attribute::Unwrap(false),
            Attribute::Encrypt(false),
            Attribute::Decrypt(false),
            Attribute::Sign(false),
            Attribute::Verify(false),
            Attribute::Derive(false),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ] {
            assert!(template.as_slice().contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn what_is_unwrapped_repeats_the_template_of_its_kek() {
        for (policy, kek) in
            [(KeyPolicy::BackupOnly, KekPurpose::BackupOnly), (KeyPolicy::Exportable, KekPurpose::Exportable)]
        {
            let unwrapped = unwrapped_key(&new_key(KeyAlgorithm::P256, policy, Purpose::Tls), Lifetime::Token);

            for demanded in unwrap_template(kek, Trust::Trusted) {
                assert!(unwrapped.contains(&demanded), "{policy} lacks {demanded:?}");
            }
        }
        assert!(unwrap_template(KekPurpose::Inventory, Trust::Untrusted).is_empty());
    }
}
