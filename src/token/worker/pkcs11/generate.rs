//! Making a key pair in the token.

use super::{
    Backend,
    attributes::{self, Lifetime},
    facts,
    fault::{Failure, NO_MECHANISM},
    index::Entry,
    token::Token,
    wrap::AES_KEY_WRAP,
};
use crate::base::custody::KeyPolicy;
use crate::pki::public_key::PublicKey;
use crate::token::{
    error::TokenError,
    message::{NewKey, TokenKey},
};
use cryptoki::{
    error::{Error, RvError},
    object::{Attribute, ObjectHandle},
    session::Session,
};

/// The two handles of a pair.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) public: ObjectHandle,
    pub(super) private: ObjectHandle,
}

impl Backend {
    /// Makes a pair, and reads back whether it is what the policy asks for; a weaker one is destroyed at once.
    pub(super) fn generate(&self, session: &Session, new: &NewKey) -> Result<TokenKey, Failure> {
        let _creating = self.creating();
        if self.index().key(new.id).is_some() {
            return Err(self.token.another(new.id));
        }
        let pair = self.token.make_pair(session, new, Lifetime::Token)?;
        let entry = self.token.inspect_pair(session, pair, new).inspect_err(|_| {
            // The failure that led here is the one to report.
            let _ = session.destroy_object(pair.private);
            let _ = session.destroy_object(pair.public);
        })?;
        let key = entry.key.clone();
        self.index_mut().insert(entry);
        Ok(key)
    }
}

impl Token {
    /// A pair with every usage named, or, where the token does not take that, with ENCRYPT and DECRYPT left open.
    pub(super) fn make_pair(&self, session: &Session, new: &NewKey, lifetime: Lifetime) -> Result<Pair, Failure> {
        let refusal = |error| {
            let (_, name) = attributes::generation(new.algorithm.family());
            self.refusal("generate", format_args!("{} key {}", new.algorithm, new.id), name)(error)
        };
        let pair = |usage| make_pair_with(session, new, lifetime, usage);
        if self.leaves_usage_open() {
            return pair(Usage::Open).map_err(refusal);
        }
        let error = match pair(Usage::Named) {
            Err(error) if self.may_take_usage_open(&error) => error,
            other => return other.map_err(refusal),
        };
        let Ok(open) = pair(Usage::Open) else { return Err(refusal(error)) };
        // Unless it was a fault that passes.
        let Ok(named) = pair(Usage::Named) else {
            self.leave_usage_open();
            return Ok(open);
        };
        for object in [open.private, open.public] {
            session.destroy_object(object).map_err(self.refusal("destroy", new.id, NO_MECHANISM))?;
        }
        Ok(named)
    }

    /// Whether a pair may have been refused because its usage was named: tpm2-pkcs11 does that, by
    /// `CKR_GENERAL_ERROR`. No token that wraps keys is known to.
    fn may_take_usage_open(&self, error: &Error) -> bool {
        matches!(error, Error::Pkcs11(RvError::GeneralError | RvError::TemplateInconsistent, _))
            && self.mechanisms().is_ok_and(|listed| !listed.contains(&AES_KEY_WRAP))
    }

    fn inspect_pair(&self, session: &Session, pair: Pair, new: &NewKey) -> Result<Entry, Failure> {
        let facts = self.checked_facts(session, pair.private, new)?;
        let public = self.public_of(session, pair, new)?;
        Ok(Entry::new(pair.private, facts, Some(public)))
    }

    /// The public key of a new pair, which must be of the kind that was asked for.
    pub(super) fn public_of(&self, session: &Session, pair: Pair, new: &NewKey) -> Result<PublicKey, Failure> {
        facts::public_key(session, pair.public)
            .map_err(self.refusal("read attributes", new.id, NO_MECHANISM))?
            .map(|(_, key)| key)
            .filter(|key| key.algorithm() == new.algorithm)
            .ok_or_else(|| {
                let cause = format!("the token made a public key that is no {} key", new.algorithm);
                TokenError::ProofFailed { key: new.id, cause }.into()
            })
    }

    /// What a new private key object says of itself, if that is at least what its policy asks for.
    pub(super) fn checked_facts(
        &self,
        session: &Session,
        handle: ObjectHandle,
        new: &NewKey,
    ) -> Result<TokenKey, Failure> {
        let facts = facts::key_facts(session, handle)
            .map_err(self.refusal("read attributes", new.id, NO_MECHANISM))?
            .filter(|facts| facts.id == new.id)
            .ok_or_else(|| weaker(new, "CKA_ID"))?;
        match weakness(&facts, new) {
            Some(attribute) => Err(weaker(new, attribute)),
            None => Ok(facts),
        }
    }
}

/// Whether a template says what a key may not encrypt or decrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    /// Every usage is named.
    Named,
    /// ENCRYPT and DECRYPT are as the token likes.
    Open,
}

/// One call of `C_GenerateKeyPair`. When it fails it leaves no operation open in the session.
fn make_pair_with(session: &Session, new: &NewKey, lifetime: Lifetime, usage: Usage) -> Result<Pair, Error> {
    let (mechanism, _) = attributes::generation(new.algorithm.family());
    let mut public = attributes::generated_public_key(new, lifetime);
    let mut private = attributes::private_key(new, lifetime);
    if usage == Usage::Open {
        let is_named = |attribute: &Attribute| !matches!(attribute, Attribute::Encrypt(_) | Attribute::Decrypt(_));
        public.retain(is_named);
        private.retain(is_named);
    }
    session.generate_key_pair(&mechanism, &public, &private).map(|(public, private)| Pair { public, private })
}

/// The attribute by which an object is weaker than its policy.
fn weakness(facts: &TokenKey, new: &NewKey) -> Option<&'static str> {
    if !facts.sensitive {
        Some("CKA_SENSITIVE is false")
    } else if new.policy == KeyPolicy::TokenOnly && facts.extractable {
        Some("CKA_EXTRACTABLE is true")
    } else if attributes::needs_trusted(new) && !facts.wrap_with_trusted {
        Some("CKA_WRAP_WITH_TRUSTED is false")
    } else {
        None
    }
}

fn weaker(new: &NewKey, attribute: &str) -> Failure {
    TokenError::WeakerThanPolicy { key: new.id, attribute: attribute.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{algorithm::KeyAlgorithm, custody::Purpose, ids::KeyId, ids::KeyLabel};

    fn asked(policy: KeyPolicy) -> NewKey {
        NewKey {
            id: KeyId::from_bytes([7; 16]),
            label: KeyLabel::internal("keyward-test"),
            algorithm: KeyAlgorithm::P256,
            policy,
            purpose: Purpose::Tls,
            trusted_kek: true,
        }
    }

    fn strongest() -> TokenKey {
        TokenKey {
            id: KeyId::from_bytes([7; 16]),
            label: String::new(),
            algorithm: None,
            public_key_der: Vec::new(),
            sensitive: true,
            extractable: false,
            wrap_with_trusted: true,
            local: true,
            never_extractable: true,
            always_authenticate: false,
        }
    }

    #[test]
    fn an_object_that_came_out_readable_is_weaker_than_every_policy() {
        let facts = TokenKey { sensitive: false, ..strongest() };

        for policy in KeyPolicy::ALL {
            assert_eq!(weakness(&facts, &asked(*policy)), Some("CKA_SENSITIVE is false"));
        }
    }

    #[test]
    fn an_extractable_object_is_weaker_than_token_only_alone() {
        let facts = TokenKey { extractable: true, ..strongest() };

        assert_eq!(weakness(&facts, &asked(KeyPolicy::TokenOnly)), Some("CKA_EXTRACTABLE is true"));
        assert_eq!(weakness(&facts, &asked(KeyPolicy::BackupOnly)), None);
        assert_eq!(weakness(&facts, &asked(KeyPolicy::Exportable)), None);
    }

    #[test]
    fn a_backup_only_key_that_any_key_may_wrap_is_weaker_where_there_is_a_trusted_kek() {
        let facts = TokenKey { wrap_with_trusted: false, ..strongest() };
        let untrusted = NewKey { trusted_kek: false, ..asked(KeyPolicy::BackupOnly) };

        assert_eq!(weakness(&facts, &asked(KeyPolicy::BackupOnly)), Some("CKA_WRAP_WITH_TRUSTED is false"));
        assert_eq!(weakness(&facts, &untrusted), None);
        assert_eq!(weakness(&facts, &asked(KeyPolicy::Exportable)), None);
    }
}
