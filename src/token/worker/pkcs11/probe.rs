//! What the token can do, by trial on scratch session objects. Mechanism lists and attributes lie; bytes do not.
//!
//! Each trial has a session of its own, so that a refusal spoils nothing and the session's end takes every scratch
//! object away.

use super::{
    Backend,
    attributes::{self, Lifetime, SecretUse, Template, Trust, session_secret, unwrap_template},
    fault::{Class, Failure, NO_MECHANISM, is_denial},
    generate::Pair,
    token::Token,
    wrap::{AES_KEY_WRAP, AES_KEY_WRAP_KWP, AES_KEY_WRAP_PAD, mechanism_name},
};
use crate::base::{
    algorithm::{KeyAlgorithm, KeyFamily},
    custody::{KekPurpose, KeyPolicy, Purpose},
    ids::{KeyId, KeyLabel},
};
use crate::pki::{key_wrap, private_key, public_key::PublicKey};
use crate::token::{
    api::{AlgorithmCapability, Capabilities},
    error::TokenError,
    message::NewKey,
};
use cryptoki::{
    error::Error,
    mechanism::MechanismType,
    object::{Attribute, ObjectHandle},
    session::Session,
};
use zeroize::Zeroizing;

impl Backend {
    /// Tries everything; a refusal is a result, only a token that goes away is a failure.
    pub(super) fn probe(&self) -> Result<Capabilities, Failure> {
        let _creating = self.creating();
        let mut value = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *value).map_err(|error| self.token.refused("probe", "the token", &error.to_string()))?;
        let bench = Bench { token: &self.token, value };
        let wrapping = bench.wrapping()?;
        let key_wrap = wrapping.map(|wrapping| wrapping.mechanism);
        Ok(Capabilities {
            algorithms: bench.algorithms(key_wrap)?,
            key_wrap,
            content_key_wrap: bench.holds(|session| bench.wraps_content_key(session))?,
            unwrap_template: bench.protects(wrapping, |session, by| bench.honours_unwrap_template(session, by))?,
            honours_extractable: bench
                .protects(wrapping, |session, by| bench.keeps_in(session, by, KeyPolicy::TokenOnly))?,
            honours_wrap_with_trusted: bench
                .protects(wrapping, |session, by| bench.keeps_in(session, by, KeyPolicy::BackupOnly))?,
        })
    }
}

/// The token, and the value of the scratch KEKs.
struct Bench<'a> {
    token: &'a Token,
    value: Zeroizing<[u8; 32]>,
}

/// What the token wraps, as a trial has shown.
#[derive(Clone, Copy)]
struct Wrapping {
    algorithm: KeyAlgorithm,
    mechanism: u64,
}

impl Bench<'_> {
    /// One trial in its own session; the cause, if the token refused something.
    fn trial<T>(&self, try_it: impl FnOnce(&Session) -> Result<T, Failure>) -> Result<Result<T, String>, Failure> {
        match try_it(&self.token.open_session()?) {
            Ok(value) => Ok(Ok(value)),
            Err(failure) if failure.class == Class::Session => Err(failure),
            Err(failure) => Ok(Err(cause(&failure.error))),
        }
    }

    fn holds(&self, try_it: impl FnOnce(&Session) -> Result<bool, Failure>) -> Result<bool, Failure> {
        Ok(self.trial(try_it)?.unwrap_or(false))
    }

    /// Whether the token keeps something in. Without a mechanism that works nothing is seen to be kept in.
    fn protects(
        &self,
        wrapping: Option<Wrapping>,
        try_it: impl FnOnce(&Session, Wrapping) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        wrapping.map_or(Ok(false), |by| self.holds(|session| try_it(session, by)))
    }

    /// The first mechanism whose bytes software opens as RFC 5649; the numbers mean different things.
    fn wrapping(&self) -> Result<Option<Wrapping>, Failure> {
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::Rsa2048] {
            for mechanism in [AES_KEY_WRAP_PAD, AES_KEY_WRAP_KWP] {
                let new = scratch(algorithm, KeyPolicy::Exportable);
                let wraps = self.holds(|session| {
                    let (pair, public) = self.pair(session, &new)?;
                    self.wrapped(session, mechanism, pair, &public).map(|_| true)
                })?;
                if wraps {
                    return Ok(Some(Wrapping { algorithm, mechanism }));
                }
            }
        }
        Ok(None)
    }

    /// Larger RSA keys take seconds to make, so they are judged by RSA-2048 and the size that the mechanism gives.
    fn algorithms(&self, key_wrap: Option<u64>) -> Result<Vec<AlgorithmCapability>, Failure> {
        let mut capabilities: Vec<AlgorithmCapability> = Vec::new();
        for algorithm in KeyAlgorithm::ALL.iter().copied() {
            let smaller = capabilities.iter().find(|known| known.algorithm == KeyAlgorithm::Rsa2048);
            let capability = match smaller {
                Some(smaller) if algorithm.family() == KeyFamily::Rsa => self.larger(smaller, algorithm),
                _ => self.algorithm(algorithm, key_wrap)?,
            };
            capabilities.push(capability);
        }
        Ok(capabilities)
    }

    fn algorithm(&self, algorithm: KeyAlgorithm, key_wrap: Option<u64>) -> Result<AlgorithmCapability, Failure> {
        let mut sign = false;
        let new = scratch(algorithm, KeyPolicy::Exportable);
        let tried = self.trial(|session| {
            let (pair, public) = self.pair(session, &new)?;
            self.token.prove(session, new.id, pair.private, &public)?;
            sign = true;
            self.wraps(session, &new, key_wrap, (pair, &public))
        })?;
        Ok(AlgorithmCapability { algorithm, sign, wrap: tried.is_ok(), cause: tried.err() })
    }

    fn larger(&self, smaller: &AlgorithmCapability, algorithm: KeyAlgorithm) -> AlgorithmCapability {
        let limits = self.token.context.get_mechanism_info(self.token.slot, MechanismType::RSA_PKCS_KEY_PAIR_GEN);
        let largest = limits.map_or(0, |limits| limits.max_key_size());
        if usize::try_from(algorithm.bits()).is_ok_and(|bits| bits <= largest) {
            return AlgorithmCapability { algorithm, ..smaller.clone() };
        }
        let cause = Some(format!("CKM_RSA_PKCS_KEY_PAIR_GEN makes keys up to {largest} bits"));
        AlgorithmCapability { algorithm, sign: false, wrap: false, cause }
    }

    /// Wrap, open in software, unwrap, sign.
    fn wraps(
        &self,
        session: &Session,
        new: &NewKey,
        key_wrap: Option<u64>,
        (pair, public): (Pair, &PublicKey),
    ) -> Result<(), Failure> {
        let mechanism =
            key_wrap.ok_or_else(|| self.token.refused("wrap", new.id, "no mechanism makes RFC 5649 wraps"))?;
        let (kek, wrapped) = self.wrapped(session, mechanism, pair, public)?;
        let template = attributes::unwrapped_key(new, Lifetime::Session);
        let handle = self
            .token
            .module
            .unwrap_key(session, mechanism, kek, &wrapped, &template)
            .map_err(self.token.refusal("unwrap", new.id, mechanism_name(mechanism)))?;
        self.token.prove(session, new.id, handle, public)
    }

    /// A scratch KEK and the private key under it, which software has opened and found to be the right one.
    fn wrapped(
        &self,
        session: &Session,
        mechanism: u64,
        pair: Pair,
        public: &PublicKey,
    ) -> Result<(ObjectHandle, Vec<u8>), Failure> {
        let kek = self.kek(session, &[])?;
        let wrapped = self.wrap(session, mechanism, kek, pair.private)?;
        let found = key_wrap::open(&self.value, &wrapped)
            .and_then(private_key::cut_to_der)
            .and_then(|key| private_key::public_key_of(&key, public.algorithm()));
        match found {
            Ok(found) if found == *public => Ok((kek, wrapped)),
            _ => {
                Err(self.token.refused("wrap", mechanism_name(mechanism), "the bytes are no RFC 5649 wrap of the key"))
            }
        }
    }

    fn wraps_content_key(&self, session: &Session) -> Result<bool, Failure> {
        let content = [0x5A; 32];
        let template = Template::secret_key(&content, SecretUse::None).with([
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(true),
        ]);
        let key = self.create(session, &template, &[])?;
        let kek = self.kek(session, &[])?;
        let wrapped = self.wrap(session, AES_KEY_WRAP, kek, key)?;
        Ok(key_wrap::open_content_key(&self.value, &wrapped).is_ok_and(|opened| *opened == content))
    }

    /// Whether a KEK with a template opens a key as the template says, and refuses to open it readable.
    fn honours_unwrap_template(&self, session: &Session, by: Wrapping) -> Result<bool, Failure> {
        let mechanism = by.mechanism;
        let new = scratch(by.algorithm, KeyPolicy::Exportable);
        let (pair, _) = self.pair(session, &new)?;
        let kek = self.kek(session, &unwrap_template(KekPurpose::Exportable, Trust::Untrusted))?;
        let wrapped = self.wrap(session, mechanism, kek, pair.private)?;
        let mut template = attributes::unwrapped_key(&new, Lifetime::Session);
        let unwrap = |template: &[Attribute]| self.token.module.unwrap_key(session, mechanism, kek, &wrapped, template);
        unwrap(&template).map_err(self.token.refusal("unwrap", new.id, mechanism_name(mechanism)))?;
        for attribute in &mut template {
            if let Attribute::Sensitive(sensitive) = attribute {
                *sensitive = false;
            }
        }
        self.denied(unwrap(&template), "unwrap", mechanism)
    }

    /// Whether a key of this policy cannot be wrapped under an untrusted KEK that does wrap an exportable key.
    fn keeps_in(&self, session: &Session, by: Wrapping, policy: KeyPolicy) -> Result<bool, Failure> {
        let (permitted, public) = self.pair(session, &scratch(by.algorithm, KeyPolicy::Exportable))?;
        let (kek, _) = self.wrapped(session, by.mechanism, permitted, &public)?;
        let (forbidden, _) = self.pair(session, &scratch(by.algorithm, policy))?;
        let wrapped = self.token.module.wrap_key(session, by.mechanism, kek, forbidden.private);
        self.denied(wrapped, "wrap", by.mechanism)
    }

    /// What came of a forbidden operation. An error that is no denial shows nothing: the next try may succeed.
    fn denied<T>(&self, forbidden: Result<T, Error>, operation: &'static str, mechanism: u64) -> Result<bool, Failure> {
        match forbidden {
            Ok(_) => Ok(false),
            Err(error) if is_denial(&error) => Ok(true),
            Err(error) => Err(self.token.refusal(operation, "a scratch key", mechanism_name(mechanism))(error)),
        }
    }

    fn pair(&self, session: &Session, new: &NewKey) -> Result<(Pair, PublicKey), Failure> {
        let pair = self.token.make_pair(session, new, Lifetime::Session)?;
        self.token.checked_facts(session, pair.private, new)?;
        Ok((pair, self.token.public_of(session, pair, new)?))
    }

    fn kek(&self, session: &Session, rule: &[Attribute]) -> Result<ObjectHandle, Failure> {
        let template = Template::secret_key(&*self.value, SecretUse::WrapAndUnwrap).with(session_secret());
        self.create(session, &template, rule)
    }

    fn create(&self, session: &Session, template: &Template, rule: &[Attribute]) -> Result<ObjectHandle, Failure> {
        self.token.module.create_unwrapping_key(session, template.as_slice(), rule).map_err(self.token.refusal(
            "create",
            "a session AES key",
            NO_MECHANISM,
        ))
    }

    fn wrap(
        &self,
        session: &Session,
        mechanism: u64,
        kek: ObjectHandle,
        key: ObjectHandle,
    ) -> Result<Vec<u8>, Failure> {
        self.token.module.wrap_key(session, mechanism, kek, key).map_err(self.token.refusal(
            "wrap",
            "a scratch key",
            mechanism_name(mechanism),
        ))
    }
}

fn scratch(algorithm: KeyAlgorithm, policy: KeyPolicy) -> NewKey {
    NewKey {
        id: KeyId::new(),
        label: KeyLabel::internal("keyward-scratch"),
        algorithm,
        policy,
        purpose: Purpose::Signing,
        trusted_kek: true,
    }
}

/// What the token answered, in a few words.
fn cause(error: &TokenError) -> String {
    match error {
        TokenError::Refused { operation, mechanism, rv, .. } if mechanism == NO_MECHANISM => {
            format!("{operation}: {rv}")
        }
        TokenError::Refused { operation, mechanism, rv, .. } => format!("{operation} by {mechanism}: {rv}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_names_operation_mechanism_and_return_code() {
        let refused = |mechanism: &str| TokenError::Refused {
            token: "keyward".to_owned(),
            operation: "wrap".to_owned(),
            object: "a scratch key".to_owned(),
            mechanism: mechanism.to_owned(),
            rv: "CKR_KEY_NOT_WRAPPABLE".to_owned(),
        };

        assert_eq!(cause(&refused("CKM_AES_KEY_WRAP_PAD")), "wrap by CKM_AES_KEY_WRAP_PAD: CKR_KEY_NOT_WRAPPABLE");
        assert_eq!(cause(&refused(NO_MECHANISM)), "wrap: CKR_KEY_NOT_WRAPPABLE");
    }
}
