//! What is in the slots: read once at login, changed with every key that is made or deleted here.

use super::{card::Card, fault::Failure};
use crate::base::{
    ids::{KeyId, hex},
    piv::{PinPolicy, PivSlot, TouchPolicy},
};
use crate::pki::{
    attestation::{pin_policy, touch_policy},
    certificate::Certificate,
    public_key::PublicKey,
};
use crate::token::{
    api::ObjectAttributes,
    message::{TokenKey, TokenObject},
};
use der::Encode as _;
use std::collections::BTreeMap;
use yubikey::{
    Error, Version,
    piv::{self, Origin, SlotId},
};

/// The slots that are not empty, and the inventory's ids of keys by the SHA-256 of their public keys.
#[derive(Default)]
pub(super) struct Slots {
    held: Vec<Held>,
    ids: BTreeMap<[u8; 32], KeyId>,
}

/// A slot with a key.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) slot: PivSlot,
    /// None for a kind that keyward does not know.
    pub(super) public: Option<PublicKey>,
    /// None where the firmware does not tell.
    pub(super) pin_policy: Option<PinPolicy>,
    pub(super) touch_policy: Option<TouchPolicy>,
    /// Whether the device made the key itself.
    pub(super) local: bool,
}

impl Slots {
    /// Looks into every slot; ids stay known. How many keys there are.
    pub(super) fn refresh(&mut self, card: &mut Card) -> Result<usize, Failure> {
        let mut found = Vec::new();
        for slot in PivSlot::all() {
            found.extend(look(card, slot)?);
        }
        self.held = found;
        Ok(self.keys().len())
    }

    /// From now on the key with this public key is known by this id.
    pub(super) fn call(&mut self, public_key_sha256: [u8; 32], id: KeyId) {
        self.ids.insert(public_key_sha256, id);
    }

    pub(super) fn in_slot(&self, slot: PivSlot) -> Option<&Held> {
        self.held.iter().find(|held| held.slot == slot)
    }

    pub(super) fn with_public_key(&self, sha256: [u8; 32]) -> Option<&Held> {
        self.held.iter().find(|held| held.sha256() == Some(sha256))
    }

    pub(super) fn with_id(&self, id: KeyId) -> Option<&Held> {
        self.held.iter().find(|held| self.id_of(held) == Some(id))
    }

    /// The empty ones, for people.
    pub(super) fn free(&self) -> String {
        let free: Vec<String> =
            PivSlot::all().filter(|slot| self.in_slot(*slot).is_none()).map(|slot| slot.to_string()).collect();
        free.join(", ")
    }

    pub(super) fn put(&mut self, held: Held) {
        self.remove(held.slot);
        self.held.push(held);
    }

    pub(super) fn remove(&mut self, slot: PivSlot) {
        self.held.retain(|held| held.slot != slot);
    }

    /// Keys as the pool lists them.
    pub(super) fn keys(&self) -> Vec<TokenKey> {
        self.held.iter().filter_map(|held| self.as_token_key(held)).collect()
    }

    /// Keys as a scan lists them, whoever made them; the slot stands for the id.
    pub(super) fn objects(&self) -> Vec<TokenObject> {
        let object = |held: &Held| {
            let public = held.public.as_ref()?;
            Some(TokenObject {
                cka_id: vec![held.slot.number()],
                label: format!("slot {}", held.slot).into_bytes(),
                algorithm: Some(public.algorithm()),
                public_key_der: public.der().to_vec(),
                attributes: ObjectAttributes {
                    sensitive: true,
                    extractable: false,
                    wrap_with_trusted: false,
                    local: held.local,
                    never_extractable: held.local,
                    always_authenticate: held.pin_policy == Some(PinPolicy::Always),
                    signs: true,
                },
            })
        };
        self.held.iter().filter_map(object).collect()
    }

    fn id_of(&self, held: &Held) -> Option<KeyId> {
        self.ids.get(&held.sha256()?).copied()
    }

    /// What is in a slot, for people.
    pub(super) fn summary(&self, held: &Held) -> String {
        match &held.public {
            Some(public) => {
                let digest = hex(&public.sha256());
                let id = self.id_of(held).map(|id| format!(" {id}")).unwrap_or_default();
                format!("the {} key{id} (SHA-256 of its public key {})", public.algorithm(), &digest[..16])
            }
            None => "a key of a kind that keyward does not know".to_owned(),
        }
    }

    /// PIV knows no ids: a key that the inventory has not told of is listed under one that follows from its public key.
    pub(super) fn as_token_key(&self, held: &Held) -> Option<TokenKey> {
        let public = held.public.as_ref()?;
        let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = public.sha256();
        Some(TokenKey {
            id: self.id_of(held).unwrap_or_else(|| KeyId::from_bytes(first)),
            label: format!("slot {}", held.slot),
            algorithm: Some(public.algorithm()),
            public_key_der: public.der().to_vec(),
            // No command of a PIV application gives a private key out.
            sensitive: true,
            extractable: false,
            wrap_with_trusted: false,
            local: held.local,
            never_extractable: held.local,
            always_authenticate: held.pin_policy == Some(PinPolicy::Always),
        })
    }
}

impl Held {
    pub(super) fn sha256(&self) -> Option<[u8; 32]> {
        self.public.as_ref().map(PublicKey::sha256)
    }

    /// Whether a use may wait for somebody's finger; where the firmware does not tell, it may.
    pub(super) fn may_want_touch(&self) -> bool {
        self.touch_policy != Some(TouchPolicy::Never)
    }
}

/// The slot as the crate names it.
pub(super) fn id_of(slot: PivSlot) -> Result<SlotId, Error> {
    SlotId::try_from(slot.number())
}

fn look(card: &mut Card, slot: PivSlot) -> Result<Option<Held>, Failure> {
    let id = id_of(slot).map_err(|error| card.failure("find keys", error))?;
    if !card.has(TELLS_METADATA) {
        return look_at_certificate(card, slot, id);
    }
    let unknown = Held { slot, public: None, pin_policy: None, touch_policy: None, local: false };
    match piv::metadata(&mut card.key, id) {
        Err(Error::NotFound) => Ok(None),
        Ok(metadata) => {
            let der = metadata.public.and_then(|info| info.to_der().ok());
            Ok(Some(Held {
                public: der.and_then(|der| PublicKey::from_der(&der).ok()),
                pin_policy: metadata.policy.and_then(|(pin, _)| pin_policy(pin.into())),
                touch_policy: metadata.policy.and_then(|(_, touch)| touch_policy(touch.into())),
                local: metadata.origin == Some(Origin::Generated),
                ..unknown
            }))
        }
        Err(error @ Error::PcscError { .. }) => Err(card.failure("find keys", error)),
        // There is something, of a kind that the crate cannot read.
        Err(_) => Ok(Some(unknown)),
    }
}

/// Firmware without metadata shows a key by its certificate, or by attesting it.
fn look_at_certificate(card: &mut Card, slot: PivSlot, id: SlotId) -> Result<Option<Held>, Failure> {
    let attested = match piv::attest(&mut card.key, id) {
        Ok(der) => Certificate::from_der(&der).ok(),
        Err(error @ Error::PcscError { .. }) => return Err(card.failure("find keys", error)),
        Err(_) => None,
    };
    let local = attested.is_some();
    let public = match attested {
        Some(certificate) => Some(certificate.public_key().clone()),
        None => match yubikey::Certificate::read(&mut card.key, id) {
            Ok(stored) => {
                let info = stored.cert.tbs_certificate().subject_public_key_info().to_der().ok();
                info.and_then(|der| PublicKey::from_der(&der).ok())
            }
            Err(error @ Error::PcscError { .. }) => return Err(card.failure("find keys", error)),
            Err(_) => None,
        },
    };
    Ok(public.map(|public| Held { slot, public: Some(public), pin_policy: None, touch_policy: None, local }))
}

/// Firmware that tells what is in a slot, its policies, and how many PIN tries are left.
pub(super) const TELLS_METADATA: Version = Version { major: 5, minor: 3, patch: 0 };
/// Firmware that deletes single keys, and knows RSA beyond 2048 bits and Ed25519.
pub(super) const DELETES_KEYS: Version = Version { major: 5, minor: 7, patch: 0 };
