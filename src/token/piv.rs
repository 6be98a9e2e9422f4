//! What a token has that is the PIV application of a `YubiKey`: keys in slots, a management key to change them, people
//! who touch it, attestations.

use super::{
    error::TokenError,
    message::{
        AdoptedKey, Answer, Attestation, CertificateObject, ManagedJob, NewKey, Operation, PlainSecret, SlotTask,
        TokenKey,
    },
    pool::{LONG, SHORT, Token, out_of_turn},
    queue::Lane,
};
use crate::base::{ids::KeyId, piv::SlotPlan};
use std::{path::Path, time::Duration};

impl Token {
    /// Whether it is a `YubiKey`, whose keys lie in slots.
    #[must_use]
    pub fn is_yubikey(&self) -> bool {
        self.address().device.is_yubikey()
    }

    /// The file with the certificates of those who vouch for devices.
    #[must_use]
    pub fn attestation_roots(&self) -> Option<&Path> {
        self.settings.attestation_roots.as_deref()
    }

    /// Makes a key in an empty slot.
    ///
    /// # Errors
    /// The slot has a key, the management key is not at hand or not the right one, or the device has no such keys:
    /// then nothing was made. After [`TokenError::WorkerLost`] or [`TokenError::Deadline`] it may be there.
    pub async fn generate_in_slot(&self, key: NewKey, plan: SlotPlan) -> Result<TokenKey, TokenError> {
        let made = self.key(self.managed(SlotTask::Generate(key, plan)).await?, LONG).await?;
        let (key, public_key_der) = (made.id, made.public_key_der.clone());
        // The next worker has to be told: PIV knows no ids.
        self.settings.adopted.add(AdoptedKey { key, cka_id: Vec::new(), label: Vec::new(), public_key_der });
        Ok(made)
    }

    pub(super) async fn delete_from_slot(&self, key: KeyId) -> Result<usize, TokenError> {
        self.count(self.managed(SlotTask::Destroy { key }).await?).await
    }

    /// Has the device attest that it made the key with this public key itself.
    ///
    /// # Errors
    /// The device did not make it, or attests nothing.
    pub async fn attest(&self, public_key_sha256: [u8; 32]) -> Result<Attestation, TokenError> {
        match self.call(Operation::Attest { public_key_sha256 }, Lane::Batch, SHORT).await? {
            Answer::Attestation(attestation) => Ok(attestation),
            other => Err(out_of_turn(&other)),
        }
    }

    pub(super) async fn store_in_slot(&self, certificate: CertificateObject) -> Result<(), TokenError> {
        self.done(self.managed(SlotTask::StoreCertificate(certificate)).await?, SHORT).await
    }

    /// How long a caller waits for signatures: where somebody may have to touch the device, as long as it waits itself
    /// (15 seconds) and a little more, for each that may wait before this one in the device.
    pub(super) fn signing_limit(&self) -> Duration {
        if self.is_yubikey() { TOUCHED } else { SHORT }
    }

    async fn managed(&self, task: SlotTask) -> Result<Operation, TokenError> {
        let label = self.label();
        let missing = |cause: String| TokenError::ManagementKey {
            token: label.to_owned(),
            operation: task.name().to_owned(),
            cause,
        };
        let source =
            self.settings.so_pin.as_ref().ok_or_else(|| missing("keyward.toml names no file with it".to_owned()))?;
        let management_key = source.read(label).await.map_err(|error| missing(error.to_string()))?;
        Ok(Operation::Managed(ManagedJob { management_key: PlainSecret(management_key), task }))
    }
}

const TOUCHED: Duration = Duration::from_secs(40);
