//! What the token can do, by trial on scratch session objects. Mechanism lists and attributes lie; bytes do not.
//!
//! Each trial has a session of its own, so that a refusal spoils nothing and the session's end takes every scratch
//! object away. A token without session objects has scratch pairs that are destroyed after their trial.

use super::{
    Backend,
    attributes::{self, Lifetime, SecretUse, Template, session_secret},
    fault::{Class, Failure, NO_MECHANISM},
    generate::Pair,
    keeping::Keeping,
    measure::Measured,
    token::Token,
    wrap::{AES_KEY_WRAP, AES_KEY_WRAP_KWP, AES_KEY_WRAP_PAD, mechanism_name},
};
use crate::base::{
    algorithm::{KeyAlgorithm, KeyFamily},
    custody::{KeyPolicy, Purpose},
    ids::{KeyId, KeyLabel},
};
use crate::pki::{key_wrap, private_key, public_key::PublicKey};
use crate::token::{
    api::{AlgorithmCapability, Capabilities},
    error::TokenError,
    message::NewKey,
};
use cryptoki::{
    mechanism::MechanismType,
    object::{Attribute, ObjectHandle},
    session::Session,
};
use std::cell::RefCell;
use zeroize::Zeroizing;

impl Backend {
    /// Tries everything; a refusal is a result, only a token that goes away is a failure.
    pub(super) fn probe(&self) -> Result<Capabilities, Failure> {
        let condition = self.condition()?;
        let _creating = self.creating();
        let mut value = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *value).map_err(|error| self.token.refused("probe", "the token", &error.to_string()))?;
        let mut bench = Bench { token: &self.token, value, lifetime: Lifetime::Session, made: RefCell::default() };
        bench.lifetime = bench.lifetime()?;
        let wrapping = bench.wrapping()?;
        let key_wrap = wrapping.map(|wrapping| wrapping.mechanism);
        let keeping = bench.keeping(wrapping)?;
        Ok(Capabilities {
            algorithms: bench.algorithms(key_wrap)?,
            key_wrap,
            content_key_wrap: bench.holds(|session| bench.wraps_content_key(session))?,
            unwrap_template: bench.protects(wrapping, |session, by| bench.honours_unwrap_template(session, by))?,
            honours_extractable: keeping == Keeping::KeepsIn,
            honours_wrap_with_trusted: bench
                .protects(wrapping, |session, by| bench.keeps_in(session, by, KeyPolicy::BackupOnly))?,
            wraps_keys: keeping != Keeping::WrapsNothing,
            limits_usage: !self.token.leaves_usage_open(),
            session_objects: bench.lifetime == Lifetime::Session,
            secret_keys: bench.holds(|session| bench.kek(session, &[]).map(|_| true))?,
            module: self.token.module_facts()?,
            condition,
        })
    }
}

/// The token, and the value of the scratch KEKs.
pub(super) struct Bench<'a> {
    pub(super) token: &'a Token,
    value: Zeroizing<[u8; 32]>,
    /// Of scratch pairs.
    lifetime: Lifetime,
    /// Pairs of a trial that do not end with its session.
    made: RefCell<Vec<Pair>>,
}

/// What the token wraps, as a trial has shown.
#[derive(Clone, Copy)]
pub(super) struct Wrapping {
    pub(super) algorithm: KeyAlgorithm,
    pub(super) mechanism: u64,
}

impl Bench<'_> {
    /// One trial in its own session; the cause, if the token refused something.
    fn trial<T>(&self, try_it: impl FnOnce(&Session) -> Result<T, Failure>) -> Result<Result<T, String>, Failure> {
        let tried = try_it(&self.token.open_session()?);
        self.clear()?;
        match tried {
            Ok(value) => Ok(Ok(value)),
            Err(failure) if matches!(failure.class, Class::Session | Class::Unbegun) => Err(failure),
            Err(failure) => Ok(Err(cause(&failure.error))),
        }
    }

    /// Destroys what does not end with a session.
    fn clear(&self) -> Result<(), Failure> {
        for pair in self.made.take() {
            let session = self.token.open_session()?;
            for object in [pair.private, pair.public] {
                let refusal = self.token.refusal("destroy", "a scratch key", NO_MECHANISM);
                session.destroy_object(object).map_err(refusal)?;
            }
        }
        Ok(())
    }

    /// Some tokens, like a TPM, have no session objects. Others are told from those that refuse the whole pair.
    fn lifetime(&self) -> Result<Lifetime, Failure> {
        let makes = |lifetime| {
            self.holds(|session| {
                for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::Rsa2048] {
                    let new = scratch(algorithm, KeyPolicy::TokenOnly);
                    match self.token.make_pair(session, &new, lifetime) {
                        Ok(pair) => {
                            self.note(pair, lifetime);
                            return Ok(true);
                        }
                        // That is no word about pairs.
                        Err(failure) if matches!(failure.class, Class::Session | Class::Unbegun) => {
                            return Err(failure);
                        }
                        Err(_) => {}
                    }
                }
                Ok(false)
            })
        };
        Ok(if makes(Lifetime::Session)? || !makes(Lifetime::Token)? { Lifetime::Session } else { Lifetime::Token })
    }

    fn note(&self, pair: Pair, lifetime: Lifetime) {
        if lifetime == Lifetime::Token {
            self.made.borrow_mut().push(pair);
        }
    }

    pub(super) fn holds(&self, try_it: impl FnOnce(&Session) -> Result<bool, Failure>) -> Result<bool, Failure> {
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
                Some(smaller) if algorithm.family() == KeyFamily::Rsa => self.larger(smaller, algorithm)?,
                _ => self.algorithm(algorithm, key_wrap)?,
            };
            capabilities.push(capability);
        }
        Ok(capabilities)
    }

    fn algorithm(&self, algorithm: KeyAlgorithm, key_wrap: Option<u64>) -> Result<AlgorithmCapability, Failure> {
        let mut seen = None;
        let wraps = self.trial(|session| {
            let new = scratch(algorithm, KeyPolicy::Exportable);
            let (pair, public) = self.measured(session, &new, &mut seen)?;
            self.wraps(session, &new, key_wrap, (pair, &public))
        })?;
        // A token that has no extractable keys at all, like a TPM, may have others.
        let signs = match &seen {
            Some(_) => Ok(()),
            None => self.trial(|session| {
                self.measured(session, &scratch(algorithm, KeyPolicy::TokenOnly), &mut seen).map(|_| ())
            })?,
        };
        let Measured { signatures, per_second } = seen.unwrap_or_default();
        let (sign, wrap, cause) = (signs.is_ok(), signs.is_ok() && wraps.is_ok(), signs.err().or(wraps.err()));
        Ok(AlgorithmCapability { algorithm, sign, wrap, cause, signatures, per_second })
    }

    /// A pair that was seen to sign.
    fn measured(
        &self,
        session: &Session,
        new: &NewKey,
        seen: &mut Option<Measured>,
    ) -> Result<(Pair, PublicKey), Failure> {
        let (pair, public) = self.pair(session, new)?;
        self.token.prove(session, new.id, pair.private, &public)?;
        *seen = Some(self.token.measure(session, pair.private, &public)?);
        Ok((pair, public))
    }

    fn larger(&self, smaller: &AlgorithmCapability, algorithm: KeyAlgorithm) -> Result<AlgorithmCapability, Failure> {
        let limits = self.token.context.get_mechanism_info(self.token.slot, MechanismType::RSA_PKCS_KEY_PAIR_GEN);
        let limits = limits.map_err(self.token.refusal("describe", "a mechanism", "CKM_RSA_PKCS_KEY_PAIR_GEN"));
        let largest = match limits {
            Ok(limits) => limits.max_key_size(),
            Err(failure) if failure.class == Class::Plain => 0,
            Err(failure) => return Err(failure),
        };
        if usize::try_from(algorithm.bits()).is_ok_and(|bits| bits <= largest) {
            return Ok(AlgorithmCapability { algorithm, per_second: None, ..smaller.clone() });
        }
        let cause = Some(format!("CKM_RSA_PKCS_KEY_PAIR_GEN makes keys up to {largest} bits"));
        let signatures = Vec::new();
        Ok(AlgorithmCapability { algorithm, sign: false, wrap: false, cause, signatures, per_second: None })
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
    pub(super) fn wrapped(
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

    pub(super) fn pair(&self, session: &Session, new: &NewKey) -> Result<(Pair, PublicKey), Failure> {
        let pair = self.token.make_pair(session, new, self.lifetime)?;
        self.note(pair, self.lifetime);
        self.token.checked_facts(session, pair.private, new)?;
        Ok((pair, self.token.public_of(session, pair, new)?))
    }

    pub(super) fn kek(&self, session: &Session, rule: &[Attribute]) -> Result<ObjectHandle, Failure> {
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

    pub(super) fn wrap(
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

pub(super) fn scratch(algorithm: KeyAlgorithm, policy: KeyPolicy) -> NewKey {
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
        TokenError::ProofFailed { cause, .. } => cause.clone(),
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
