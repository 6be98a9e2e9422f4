//! Attestations: the device signs, by a key from the factory, that it made a key itself.

use super::{State, fault::Failure, slots, wire::element};
use crate::token::{error::TokenError, message::Attestation};
use yubikey::{Error, piv};

impl State {
    /// The attestation of the key with this public key, and the certificate of the device's own key.
    pub(super) fn attest(&mut self, public_key_sha256: [u8; 32]) -> Result<Attestation, Failure> {
        let held = self.slots.with_public_key(public_key_sha256).cloned();
        let held =
            held.ok_or_else(|| self.card.refused("attest", "the key", "no slot has a key with this public key"))?;
        let id = slots::id_of(held.slot).map_err(|error| self.card.failure("attest", error))?;
        let certificate = piv::attest(&mut self.card.key, id).map_err(|error| self.unattested(held.local, error))?;
        let object = self.card.key.fetch_object(DEVICE_CERTIFICATE);
        let object = object.map_err(|error| self.card.failure("attest", error))?;
        let device = element(&object, CERTIFICATE).map(<[u8]>::to_vec);
        let device = device.ok_or_else(|| self.card.refused("attest", "slot f9", "there is no certificate in it"))?;
        Ok(Attestation { slot: held.slot, certificate: certificate.to_vec(), device })
    }

    fn unattested(&self, local: bool, error: Error) -> Failure {
        if matches!(error, Error::PcscError { .. }) {
            return self.card.failure("attest", error);
        }
        let cause = if local { "the device refused it" } else { "the key was not made in the device" };
        TokenError::NotCapable {
            token: self.card.name(),
            operation: "attest the key".to_owned(),
            cause: cause.to_owned(),
        }
        .into()
    }
}

/// Object of slot f9.
const DEVICE_CERTIFICATE: u32 = 0x005F_FF01;
const CERTIFICATE: u8 = 0x70;
