//! A `YubiKey`'s PIV application as a token, by the `yubikey` crate over PC/SC; a file per verb.
//!
//! A card does one thing at a time, so there is one handle under one lock, whatever the number of threads. It stays
//! open: a PIN that a card asks for once is forgotten with every selection of an application. Keys are found by their
//! public keys, since slots have numbers and no ids.
//!
//! Invariants: a slot with a key is never written to; the PIN is sent again only if the card took it, and the last try
//! is never used; the management key is with the card for one task; no key leaves, since PIV has no command for that.

mod attest;
mod card;
mod change;
mod fault;
mod pin;
mod sign;
mod slots;
mod wire;

use crate::base::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    secret::Secret,
};
use crate::pki::public_key::PublicKey;
use crate::token::{
    address::{TokenAddress, TokenDescription},
    api::{AlgorithmCapability, Capabilities},
    error::TokenError,
    message::{AdoptedKey, Answer, OpenToken, Operation, TokenKey},
    worker::{
        backend::{self, Fate},
        lock,
    },
};
use card::Card;
use fault::Failure;
use slots::{DELETES_KEYS, Slots, TELLS_METADATA};
use std::{
    fs::File,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// An opened `YubiKey`.
pub(in crate::token::worker) struct Backend {
    address: TokenAddress,
    serial: u32,
    state: Mutex<State>,
    /// Locked for life, so that no second worker of this instance opens a token beside this one.
    _lock: File,
}

/// The card, and what is known of it.
struct State {
    card: Card,
    /// The PIN that the card has taken; none before the login, and once it was refused.
    pin: Option<Secret>,
    slots: Slots,
}

impl Backend {
    /// Waits for the lock and finds the card.
    pub(in crate::token::worker) fn open(open: &OpenToken, serial: u32) -> Result<Self, TokenError> {
        let lock = lock::take(open)?;
        let card = Card::open(&open.address, serial)?;
        let state = Mutex::new(State { card, pin: None, slots: Slots::default() });
        Ok(Self { address: open.address.clone(), serial, state, _lock: lock })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a thread that panicked left half done is read anew with the next connection at the latest.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self, state: &mut State, operation: &Operation) -> (Result<Answer, TokenError>, Fate) {
        let cause = match state.dispatch(operation) {
            Ok(answer) => return (Ok(answer), Fate::GoOn),
            Err(Failure::Told(error)) => return (Err(*error), Fate::GoOn),
            Err(Failure::Lost(cause)) => cause,
        };
        let broken = || fault::refused(self.address.label.clone(), operation.name(), "the card", &cause);
        match self.reconnect(state) {
            Ok(()) if operation.is_repeatable() => match state.dispatch(operation) {
                Ok(answer) => (Ok(answer), Fate::GoOn),
                Err(Failure::Told(error)) => (Err(*error), Fate::GoOn),
                Err(Failure::Lost(_)) => (Err(broken()), Fate::End),
            },
            Ok(()) => (Err(broken()), Fate::GoOn),
            Err(Failure::Told(error)) => (Err(*error), Fate::End),
            Err(Failure::Lost(_)) => (Err(broken()), Fate::End),
        }
    }

    /// A new connection after the card was away or reset, logged in as before.
    fn reconnect(&self, state: &mut State) -> Result<(), Failure> {
        let card = Card::open(&self.address, self.serial)?;
        std::mem::replace(&mut state.card, card).leave();
        if state.pin.is_some() {
            state.show_pin()?;
        }
        state.refresh().map(|_| ())
    }
}

impl backend::Backend for Backend {
    fn name(&self) -> String {
        self.address.label.clone()
    }

    fn description(&self) -> Result<TokenDescription, TokenError> {
        self.state().card.describe().map_err(|failure| match failure {
            Failure::Told(error) => *error,
            Failure::Lost(cause) => fault::refused(self.address.label.clone(), "describe", "the card", &cause),
        })
    }

    fn perform(&self, operation: &Operation) -> (Result<Answer, TokenError>, Fate) {
        let mut state = self.state();
        let was_logged_in = state.pin.is_some();
        let (result, fate) = self.attempt(&mut state, operation);
        // A PIN that the card refused, or may have changed, is forgotten: only a new worker logs in.
        let is_logged_out = was_logged_in && state.pin.is_none();
        (result, if is_logged_out { Fate::End } else { fate })
    }
}

impl State {
    fn dispatch(&mut self, operation: &Operation) -> Result<Answer, Failure> {
        match operation {
            Operation::Cancel | Operation::MakeToken(_) | Operation::Open(_) => {
                let detail = format!("`{}` is no request to an open token", operation.name());
                Err(TokenError::Protocol { detail }.into())
            }
            Operation::Login(pin) => self.log_in(&pin.0).map(|()| Answer::Done),
            Operation::Adopt(keys) => self.adopt(keys).map(Answer::Keys),
            _ if self.pin.is_none() => Err(self.card.refused(operation.name(), "the card", "nobody has logged in")),
            Operation::Refresh => self.refresh().map(Answer::Count),
            Operation::List { offset } => Ok(Answer::Keys(self.slots.keys().into_iter().skip(*offset).collect())),
            Operation::Scan { offset } => Ok(Answer::Objects(self.slots.objects().into_iter().skip(*offset).collect())),
            Operation::ListKeks => Ok(Answer::Keks(Vec::new())),
            Operation::Probe => Ok(Answer::Capabilities(self.capabilities())),
            Operation::Sign(job) => self.sign(job).map(Answer::Signatures),
            Operation::Attest { public_key_sha256 } => self.attest(*public_key_sha256).map(Answer::Attestation),
            Operation::Managed(job) => self.managed(job),
            Operation::ChangePin(new) => self.change_pin(&new.0).map(|()| Answer::Done),
            Operation::CloseSessionKeks => Ok(Answer::Done),
            // A card that was pulled is noticed by it.
            Operation::KeepAlive => self.card.describe().map(|_| Answer::Done),
            Operation::Destroy { .. }
            | Operation::Export(_)
            | Operation::Generate(_)
            | Operation::ImportKeks(_)
            | Operation::OpenContentKey(_)
            | Operation::OpenSessionKeks(_)
            | Operation::Prove(_)
            | Operation::SealContentKey(_)
            | Operation::StoreCertificate(_)
            | Operation::Unwrap(_)
            | Operation::Wrap(_) => Err(self.not_piv(operation.name())),
        }
    }

    /// Learns ids of keys by their public keys; answers those that are there.
    fn adopt(&mut self, keys: &[AdoptedKey]) -> Result<Vec<TokenKey>, Failure> {
        for adopted in keys {
            let public = PublicKey::from_der(&adopted.public_key_der);
            let public = public.map_err(|error| self.card.refused("adopt", adopted.key, &error.to_string()))?;
            self.slots.call(public.sha256(), adopted.key);
        }
        let told = |key: &TokenKey| keys.iter().any(|adopted| adopted.key == key.id);
        Ok(self.slots.keys().into_iter().filter(told).collect())
    }

    fn log_in(&mut self, pin: &Secret) -> Result<(), Failure> {
        self.card.verify_pin(pin)?;
        self.pin = Some(pin.duplicate());
        self.refresh().map(|_| ())
    }

    /// Looks into all slots; how many keys there are.
    fn refresh(&mut self) -> Result<usize, Failure> {
        self.slots.refresh(&mut self.card)
    }

    fn not_piv(&self, operation: &str) -> Failure {
        TokenError::NotCapable {
            token: self.card.name(),
            operation: operation.to_owned(),
            cause: "it is a PIV application, whose keys are made in their slots and never leave them".to_owned(),
        }
        .into()
    }

    /// By the firmware's version: a trial would need an empty slot, and leave a key in it.
    fn capabilities(&self) -> Capabilities {
        let algorithms = KeyAlgorithm::ALL.iter().map(|algorithm| self.capability(*algorithm)).collect();
        // No command gives a private key out, so no attribute can be ignored.
        Capabilities { algorithms, honours_extractable: true, ..Capabilities::default() }
    }

    fn capability(&self, algorithm: KeyAlgorithm) -> AlgorithmCapability {
        let version = self.card.key.version();
        let since_5_7 = matches!(algorithm, KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 | KeyAlgorithm::Ed25519);
        let lacking = if sign::number_of(algorithm).is_none() {
            Some("no PIV application of a YubiKey has such keys".to_owned())
        } else if !self.card.has(TELLS_METADATA) {
            Some(format!("firmware {version} does not tell whether a slot is empty, from 5.3 on it does"))
        } else if since_5_7 && !self.card.has(DELETES_KEYS) {
            Some(format!("firmware {version} has no such keys, from 5.7 on it has"))
        } else {
            None
        };
        let sign = lacking.is_none();
        let cause = lacking.unwrap_or_else(|| "PIV keys never leave their slots: `--policy token-only`".to_owned());
        let signatures = SignatureAlgorithm::ALL.iter().copied().filter(|signature| algorithm.can_sign(*signature));
        let signatures = if sign { signatures.collect() } else { Vec::new() };
        AlgorithmCapability { algorithm, sign, signatures, per_second: None, wrap: false, cause: Some(cause) }
    }
}
