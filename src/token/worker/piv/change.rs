//! What changes a slot, and so wants the management key: making a key, storing its certificate, deleting both.

use super::{
    State,
    card::word,
    fault::Failure,
    sign::number_of,
    slots::{self, DELETES_KEYS, Held, TELLS_METADATA},
    wire::{Command, SUCCESS},
};
use crate::base::piv::{PinPolicy, PivSlot, SlotPlan, TouchPolicy};
use crate::pki::{certificate::Certificate as Parsed, public_key::PublicKey};
use crate::token::{
    error::TokenError,
    message::{Answer, CertificateObject, ManagedJob, NewKey, SlotTask, TokenKey},
};
use der::Encode as _;
use yubikey::{Certificate, certificate::CertInfo, piv};

impl State {
    /// Checks what can be checked, shows the management key, carries the task out, and has the card forget the key.
    pub(super) fn managed(&mut self, job: &ManagedJob) -> Result<Answer, Failure> {
        let place = self.place_of(&job.task)?;
        let Some(slot) = place else { return Ok(Answer::Count(0)) };
        self.card.authenticate(job.task.name(), &job.management_key.0)?;
        let result = match &job.task {
            SlotTask::Destroy { .. } => self.delete(slot).map(|()| Answer::Count(1)),
            SlotTask::Generate(new, plan) => self.generate(new, *plan).map(Answer::Key),
            SlotTask::StoreCertificate(object) => self.store(slot, object).map(|()| Answer::Done),
        };
        self.card.deauthenticate()?;
        self.show_pin()?;
        result
    }

    /// The slot that a task is about, if it can be carried out there; none if there is nothing to delete.
    fn place_of(&self, task: &SlotTask) -> Result<Option<PivSlot>, Failure> {
        match task {
            SlotTask::Destroy { key } => self.slots.with_id(*key).map(|held| self.deletable(held.slot)).transpose(),
            SlotTask::Generate(new, plan) => self.makeable(new, plan.slot).map(Some),
            SlotTask::StoreCertificate(object) => {
                let certified = Parsed::from_der(&object.der).ok();
                let held = certified.and_then(|leaf| self.slots.with_public_key(leaf.public_key().sha256()));
                held.map(|held| Some(held.slot)).ok_or_else(|| self.card.missing(object.key))
            }
        }
    }

    fn deletable(&self, slot: PivSlot) -> Result<PivSlot, Failure> {
        if self.card.has(DELETES_KEYS) {
            return Ok(slot);
        }
        Err(self.cannot(format!("delete the key in slot {slot}"), "deletes no single key, from 5.7 on it does; the key stays \
            in the inventory. A reset of the PIV application by the vendor's tool (`ykman piv reset`) deletes all of them"))
    }

    fn makeable(&self, new: &NewKey, slot: PivSlot) -> Result<PivSlot, Failure> {
        if let Some(held) = self.slots.in_slot(slot) {
            return Err(TokenError::SlotTaken {
                token: self.card.name(),
                slot,
                holder: self.slots.summary(held),
                free: self.slots.free(),
            }
            .into());
        }
        if !self.card.has(TELLS_METADATA) {
            return Err(self.cannot(
                format!("make {} keys", new.algorithm),
                "does not tell whether a slot is empty, from 5.3 on it does",
            ));
        }
        Ok(slot)
    }

    fn cannot(&self, operation: String, cause: &str) -> Failure {
        TokenError::NotCapable {
            token: self.card.name(),
            operation,
            cause: format!("firmware {} {cause}", self.card.key.version()),
        }
        .into()
    }

    fn generate(&mut self, new: &NewKey, plan: SlotPlan) -> Result<TokenKey, Failure> {
        let SlotPlan { slot, pin_policy, touch_policy } = plan;
        let unknown = || self.cannot(format!("make {} keys", new.algorithm), "has no such keys");
        let algorithm = number_of(new.algorithm).ok_or_else(unknown)?;
        let id = slots::id_of(slot).map_err(|error| self.card.failure("generate", error))?;
        let policies = (pin_policy_of(pin_policy), touch_policy_of(touch_policy));
        let made = piv::generate(&mut self.card.key, id, algorithm, policies.0, policies.1);
        let info = made.map_err(|error| self.card.failure("generate", error))?;
        let public = info.to_der().ok().and_then(|der| PublicKey::from_der(&der).ok());
        let public = public.filter(|public| public.algorithm() == new.algorithm).ok_or_else(|| {
            let cause = format!("the card made a public key that is no {} key", new.algorithm);
            Failure::from(TokenError::ProofFailed { key: new.id, cause })
        })?;
        let held = Held {
            slot,
            public: Some(public),
            pin_policy: Some(pin_policy),
            touch_policy: Some(touch_policy),
            local: true,
        };
        if let Some(sha256) = held.sha256() {
            self.slots.call(sha256, new.id);
        }
        let key = self.slots.as_token_key(&held).ok_or_else(|| self.card.missing(new.id))?;
        self.slots.put(held);
        Ok(key)
    }

    /// A slot has one certificate, which is the newest.
    fn store(&mut self, slot: PivSlot, object: &CertificateObject) -> Result<(), Failure> {
        let operation = "store certificate";
        let id = slots::id_of(slot).map_err(|error| self.card.failure(operation, error))?;
        let certificate = Certificate::from_bytes(object.der.clone());
        let certificate = certificate.map_err(|error| self.card.failure(operation, error))?;
        let stored = certificate.write(&mut self.card.key, id, CertInfo::Uncompressed);
        stored.map_err(|error| self.card.failure(operation, error))
    }

    /// MOVE KEY to nowhere deletes the key (firmware 5.7); its certificate goes with it.
    fn delete(&mut self, slot: PivSlot) -> Result<(), Failure> {
        let reply = self.card.ask(Command { instruction: MOVE_KEY, p1: NOWHERE, p2: slot.number(), data: &[] })?;
        if reply.status != SUCCESS {
            return Err(self.card.refused("destroy", format_args!("slot {slot}"), &word(reply.status)));
        }
        self.slots.remove(slot);
        let id = slots::id_of(slot).map_err(|error| self.card.failure("destroy", error))?;
        // A certificate that stays without its key does no harm, and the key is gone.
        let _ = Certificate::delete(&mut self.card.key, id);
        Ok(())
    }
}

const fn pin_policy_of(policy: PinPolicy) -> yubikey::PinPolicy {
    match policy {
        PinPolicy::Never => yubikey::PinPolicy::Never,
        PinPolicy::Once => yubikey::PinPolicy::Once,
        PinPolicy::Always => yubikey::PinPolicy::Always,
    }
}

const fn touch_policy_of(policy: TouchPolicy) -> yubikey::TouchPolicy {
    match policy {
        TouchPolicy::Never => yubikey::TouchPolicy::Never,
        TouchPolicy::Always => yubikey::TouchPolicy::Always,
        TouchPolicy::Cached => yubikey::TouchPolicy::Cached,
    }
}

const MOVE_KEY: u8 = 0xF6;
/// The destination that deletes.
const NOWHERE: u8 = 0xFF;
