//! `key attest`: that a device made a key itself, by the device's word and by those who vouch for it.

use super::{Attested, db};
use crate::base::{
    ids::KeySelector,
    piv::{PinPolicy, PivSlot, SlotPlan, TouchPolicy},
    principal::Caller,
};
use crate::db::commit;
use crate::keys::{KeyError, KeyRecord, Keys, api::AttestationView, scope};
use crate::pki::{
    PkiError,
    attestation::{Statement, trusted_root},
    certificate::Certificate,
};
use crate::token::{Token, address::Device};
use std::fs;

/// What the device attested of a key, as stored; asked of the device now if it was not yet.
///
/// # Errors
/// The key is unknown or in no slot; its device did not make it, or is away.
pub async fn attest(keys: &Keys, caller: &Caller, selector: &KeySelector) -> Result<AttestationView, KeyError> {
    let key = scope::find(keys, caller, selector).await?;
    let token = keys.token(&key.token)?;
    let attested = match db::attested(&keys.db, key.id).await? {
        Some(attested) => attested,
        None if token.is_yubikey() => fetch(keys, token, &key).await?,
        None => return Err(KeyError::NotAttested { key: key.label, token: key.token }),
    };
    let plan = db::find(&keys.db, key.id).await?;
    let certificate = Certificate::from_pem(&attested.certificate)?;
    let device = Certificate::from_pem(&attested.device)?;
    let (trusted_root, problem) = match judge(token, &key, &certificate, &device) {
        Ok(root) => (Some(root), None),
        Err(problem) => (None, Some(problem)),
    };
    let said = Statement::of(&certificate);
    Ok(AttestationView {
        key: key.id,
        label: key.label,
        slot: plan.map(|plan| plan.slot),
        device_serial: said.serial,
        firmware: said.firmware,
        pin_policy: said.pin_policy,
        touch_policy: said.touch_policy,
        trusted_root,
        problem,
        certificate_pem: attested.certificate,
        device_certificate_pem: attested.device,
    })
}

/// Asks the device, and keeps with the key what it says.
///
/// # Errors
/// The device did not make the key, or is away; or the inventory cannot be written.
pub async fn fetch(keys: &Keys, token: &Token, key: &KeyRecord) -> Result<Attested, KeyError> {
    let said = token.attest(key.public_key()?.sha256()).await?;
    let attested = Attested {
        certificate: Certificate::from_der(&said.certificate)?.to_pem()?,
        device: Certificate::from_der(&said.device)?.to_pem()?,
    };
    let mut transaction = keys.db.begin().await?;
    db::place(&mut transaction, key.id, &place(said.slot, &attested)?).await?;
    db::keep(&mut transaction, key.id, &attested).await?;
    commit(transaction).await?;
    Ok(attested)
}

/// Where a key is by the device's word; what the attestation does not say is taken for the strictest.
fn place(slot: PivSlot, attested: &Attested) -> Result<SlotPlan, KeyError> {
    let said = Statement::of(&Certificate::from_pem(&attested.certificate)?);
    Ok(SlotPlan {
        slot,
        pin_policy: said.pin_policy.unwrap_or(PinPolicy::Always),
        touch_policy: said.touch_policy.unwrap_or(TouchPolicy::Always),
    })
}

/// The root that vouches for the device, by its subject and SHA-256; or what does not hold, for people.
fn judge(token: &Token, key: &KeyRecord, attestation: &Certificate, device: &Certificate) -> Result<String, String> {
    let same_key = key.public_key().is_ok_and(|public| public == *attestation.public_key());
    if !same_key {
        return Err("the attestation is of another key".to_owned());
    }
    let serial = Statement::of(attestation).serial;
    if let (Device::YubiKey(expected), Some(said)) = (&token.address().device, serial)
        && *expected != said
    {
        return Err(format!("the attestation is of YubiKey {said}, not of {expected}"));
    }
    let roots = roots(token)?;
    match trusted_root(attestation, device, &roots) {
        Ok(root) => Ok(format!("{}, SHA-256 {}", root.subject(), root.fingerprint())),
        Err(PkiError::ChainBroken { cause }) => Err(cause),
        Err(other) => Err(other.to_string()),
    }
}

fn roots(token: &Token) -> Result<Vec<Certificate>, String> {
    let Some(path) = token.attestation_roots() else {
        return Err("nobody is trusted to vouch for devices: name Yubico's PIV root certificates as \
                    `attestation_roots` in the token's section of keyward.toml"
            .to_owned());
    };
    let bytes = fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Certificate::chain_from_bytes(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}
