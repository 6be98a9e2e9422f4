//! The keys of an archive, ready to be unwrapped.

use super::{
    BackupError,
    api::KekRef,
    archive::{Archive, INVENTORY, key_member},
    inventory::{Inventory, InventoryKey},
    manifest::ManifestKey,
};
use crate::base::custody::KekPurpose;
use crate::keys::{Keys, keks};
use crate::pki::{cms, public_key::PublicKey};
use crate::token::{
    WrappedKey,
    message::{KekSource, NewKey},
};

/// A KEK of the archive that is not in this token, if there is one.
pub(super) async fn missing_kek(keys: &Keys, archive: &Archive) -> Result<Option<KekRef>, BackupError> {
    let here = keks::all(keys).await?;
    Ok(archive.manifest.keks.iter().find(|kek| !here.iter().any(|there| there.id == kek.id)).cloned())
}

/// That the archive was made under another KEK.
pub(super) fn differs(kek: &KekRef) -> BackupError {
    BackupError::KekDiffers { purpose: kek.purpose.to_string(), kcv: kek.kcv.clone() }
}

/// An archive whose inventory could be opened, so its KEKs are at hand.
pub(super) struct OpenArchive {
    pub(super) archive: Archive,
    pub(super) inventory: Inventory,
    from_session: bool,
    trusted_kek: bool,
}

impl OpenArchive {
    /// Opens the inventory with the KEKs in the token, or with session KEKs.
    pub(super) async fn open(keys: &Keys, archive: Archive, from_session: bool) -> Result<Self, BackupError> {
        let sealed = archive.member(INVENTORY)?;
        let recipient = cms::recipient(sealed)?;
        let source = if from_session {
            KekSource::Session(KekPurpose::Inventory)
        } else {
            KekSource::Token(crate::base::ids::KekId::from_bytes(recipient.kek_id), KekPurpose::Inventory)
        };
        let content_key = keys.token.open_content_key(source, recipient.wrapped.to_vec()).await?;
        let content_key: &[u8; 32] = content_key.expose().try_into().map_err(|_| BackupError::ArchiveInvalid {
            cause: "the content key of inventory.cms has not 32 bytes".to_owned(),
        })?;
        let inventory = Inventory::from_bytes(&cms::open(sealed, content_key)?)?;
        // A restored `backup-only` key gets WRAP_WITH_TRUSTED wherever the token can have a trusted KEK:
        // without it, whoever holds the PIN could carry the key out.
        let trusted_kek = keys.token.capabilities().await?.honours_wrap_with_trusted;
        Ok(Self { archive, inventory, from_session, trusted_kek })
    }

    /// A key's copy, what it should become, and what it must prove.
    pub(super) fn wrapped(&self, key: &ManifestKey) -> Result<WrappedKey, BackupError> {
        let known = self.inventory.key(key.id)?;
        let purpose = self.archive.manifest.kek(key.kek)?.purpose;
        let kek = if self.from_session { KekSource::Session(purpose) } else { KekSource::Token(key.kek, purpose) };
        Ok(WrappedKey {
            wrapped: self.archive.member(&key_member(key.id))?.to_vec(),
            kek,
            key: self.new_key(known),
            public_key_der: PublicKey::from_pem(&key.public_key_pem)?.der().to_vec(),
        })
    }

    fn new_key(&self, key: &InventoryKey) -> NewKey {
        NewKey {
            id: key.id,
            label: key.label.clone(),
            algorithm: key.algorithm,
            policy: key.policy,
            purpose: key.purpose,
            trusted_kek: self.trusted_kek,
        }
    }
}
