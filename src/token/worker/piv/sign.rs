//! Signatures (NIST SP 800-73-4, part 2, section 3.2.4). RSA is raw in a card, so the padding is made here.

use super::{
    State,
    card::{Card, NOT_SATISFIED, word},
    fault::Failure,
    slots::Held,
    wire::{Command, Reply, SUCCESS, element, tagged},
};
use crate::base::{
    algorithm::{KeyAlgorithm, KeyFamily, SignatureAlgorithm},
    ids::KeyId,
    piv::PinPolicy,
    secret::Secret,
};
use crate::pki::{PkiError, padding, public_key::PublicKey, signature};
use crate::token::{error::TokenError, message::SignJob};
use yubikey::piv::AlgorithmId;

impl State {
    /// Signs each input by the key with the public key that the caller named, and by no other. Each signature is
    /// verified before it is given out: beside what a card takes for one, that is nothing.
    pub(super) fn sign(&mut self, job: &SignJob) -> Result<Vec<Vec<u8>>, Failure> {
        let held = self.slots.with_public_key(job.public_key_sha256);
        let held = held.cloned().ok_or_else(|| self.card.missing(job.key))?;
        let Some(public) = &held.public else { return Err(self.card.missing(job.key)) };
        job.inputs.iter().map(|input| self.sign_one(job, (&held, public), input)).collect()
    }

    fn sign_one(
        &mut self,
        job: &SignJob,
        (held, public): (&Held, &PublicKey),
        input: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let block = self.card.block(job, public, input)?;
        if held.pin_policy == Some(PinPolicy::Always) {
            self.show_pin()?;
        }
        let mut reply = self.card.use_key(held, public.algorithm(), &block)?;
        if reply.status == NOT_SATISFIED && held.pin_policy != Some(PinPolicy::Never) && !self.card.is_verified()? {
            // Another program has selected an application since, which makes the card forget the PIN.
            self.show_pin()?;
            reply = self.card.use_key(held, public.algorithm(), &block)?;
        }
        match reply.status {
            SUCCESS => self.card.signature(job, public, input, &reply),
            NOT_SATISFIED if held.may_want_touch() => Err(TokenError::TouchMissed {
                key: job.key,
                token: self.card.name(),
                operation: "a signature".to_owned(),
            }
            .into()),
            status => Err(self.card.refused("sign", job.key, &word(status))),
        }
    }

    /// Gives the card the PIN again that it has taken before; one that it refuses now is never sent again.
    pub(super) fn show_pin(&mut self) -> Result<(), Failure> {
        let pin =
            self.pin.take().ok_or_else(|| self.card.refused("login", "the card", "the PIN is not kept any more"))?;
        let shown = self.card.verify_pin(&pin);
        // A connection that broke says nothing about the PIN.
        if matches!(shown, Ok(()) | Err(Failure::Lost(_))) {
            self.pin = Some(Secret::duplicate(&pin));
        }
        shown
    }
}

impl Card {
    /// What the card signs.
    fn block(&self, job: &SignJob, public: &PublicKey, input: &[u8]) -> Result<Vec<u8>, Failure> {
        let (key, scheme) = (public.algorithm(), job.algorithm);
        if !key.can_sign(scheme) {
            return Err(TokenError::NotCapable {
                token: self.name(),
                operation: format!("make {scheme} signatures with {key} key {}", job.key),
                cause: "the scheme is for other keys".to_owned(),
            }
            .into());
        }
        if scheme.digest().is_some_and(|digest| digest.length_bytes() != input.len()) {
            return Err(self.refused("sign", job.key, "the digest has another length"));
        }
        padded(key, scheme, input).map_err(|error| self.refused("sign", job.key, &error.to_string()))
    }

    /// GENERAL AUTHENTICATE with a challenge, which is what signs.
    fn use_key(&mut self, held: &Held, algorithm: KeyAlgorithm, block: &[u8]) -> Result<Reply, Failure> {
        let Some(kind) = number_of(algorithm) else {
            return Err(self.refused("sign", held.slot, "no such algorithm"));
        };
        let template = [tagged(RESPONSE, &[]), tagged(CHALLENGE, block)].concat();
        let data = tagged(DYNAMIC_AUTHENTICATION, &template);
        self.ask(Command { instruction: GENERAL_AUTHENTICATE, p1: kind.into(), p2: held.slot.number(), data: &data })
    }

    /// The signature in a reply, in the form that was asked for, if it holds.
    fn signature(&self, job: &SignJob, public: &PublicKey, input: &[u8], reply: &Reply) -> Result<Vec<u8>, Failure> {
        let value = element(&reply.data, DYNAMIC_AUTHENTICATION).and_then(|template| element(template, RESPONSE));
        let value = value.ok_or_else(|| self.refused("sign", job.key, "an answer without a signature"))?;
        let scheme = job.algorithm;
        let signature = if scheme.is_fixed() {
            let fixed = signature::ecdsa_fixed(scheme, value, bytes_of(public.algorithm()));
            fixed.map_err(|error| not_proved(job.key, &error))?
        } else {
            value.to_vec()
        };
        let verified = match scheme.digest() {
            Some(_) => public.verify_prehash(scheme, input, &signature),
            None => public.verify(scheme, input, &signature),
        };
        verified.map(|()| signature).map_err(|error| not_proved(job.key, &error))
    }
}

/// A digest as the card takes it, or the message for Ed25519.
fn padded(key: KeyAlgorithm, scheme: SignatureAlgorithm, input: &[u8]) -> Result<Vec<u8>, PkiError> {
    let length = bytes_of(key);
    match (scheme.family(), scheme.digest()) {
        (KeyFamily::Rsa, Some(digest)) if scheme.is_pss() => {
            let mut salt = vec![0; digest.length_bytes()];
            let cause = |error: getrandom::Error| PkiError::Encoding { what: "PSS salt", cause: error.to_string() };
            getrandom::fill(&mut salt).map_err(cause)?;
            padding::pss(digest, input, &salt, length)
        }
        (KeyFamily::Rsa, Some(digest)) => padding::pkcs1(digest, input, length),
        // The leftmost bits of a longer digest (FIPS 186-5, section 6.4.1); a shorter one is filled up in front.
        (KeyFamily::Elliptic, Some(_)) => {
            let cut = &input[..input.len().min(length)];
            Ok([vec![0; length - cut.len()].as_slice(), cut].concat())
        }
        _ => Ok(input.to_vec()),
    }
}

/// Length of modulus or order.
fn bytes_of(key: KeyAlgorithm) -> usize {
    usize::try_from(key.bits().div_ceil(8)).unwrap_or(usize::MAX)
}

fn not_proved(key: KeyId, error: &PkiError) -> Failure {
    TokenError::ProofFailed { key, cause: format!("the card's signature is wrong: {error}") }.into()
}

/// What the card calls an algorithm; none for those that no PIV application has.
pub(super) const fn number_of(algorithm: KeyAlgorithm) -> Option<AlgorithmId> {
    match algorithm {
        KeyAlgorithm::Rsa2048 => Some(AlgorithmId::Rsa2048),
        KeyAlgorithm::Rsa3072 => Some(AlgorithmId::Rsa3072),
        KeyAlgorithm::Rsa4096 => Some(AlgorithmId::Rsa4096),
        KeyAlgorithm::P256 => Some(AlgorithmId::EccP256),
        KeyAlgorithm::P384 => Some(AlgorithmId::EccP384),
        KeyAlgorithm::Ed25519 => Some(AlgorithmId::Ed25519),
        KeyAlgorithm::P521 | KeyAlgorithm::Secp256k1 => None,
    }
}

const GENERAL_AUTHENTICATE: u8 = 0x87;
const DYNAMIC_AUTHENTICATION: u8 = 0x7C;
const CHALLENGE: u8 = 0x81;
const RESPONSE: u8 = 0x82;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ecdsa_digest_is_cut_or_filled_to_the_length_of_the_order() {
        let block = |key, scheme, length| padded(key, scheme, &vec![7; length]).unwrap();

        assert_eq!(block(KeyAlgorithm::P256, SignatureAlgorithm::EcdsaSha512, 64), [7; 32]);
        let filled = block(KeyAlgorithm::P384, SignatureAlgorithm::EcdsaSha256, 32);
        assert_eq!((filled.len(), &filled[..16], &filled[16..]), (48, [0; 16].as_slice(), [7; 32].as_slice()));
    }

    #[test]
    fn an_ed25519_message_goes_to_the_card_as_it_is() {
        assert_eq!(padded(KeyAlgorithm::Ed25519, SignatureAlgorithm::Ed25519, &[9; 255]).unwrap(), [9; 255]);
    }
}
