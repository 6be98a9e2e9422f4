//! The keys of an archive, ready to be unwrapped.

use super::{
    BackupError,
    archive::{Archive, INVENTORY, key_member},
    inventory::{Inventory, InventoryKey},
    manifest::ManifestKey,
};
use crate::base::{custody::KekPurpose, ids::KekId};
use crate::keys::Keys;
use crate::pki::{cms, public_key::PublicKey};
use crate::token::{
    WrappedKey,
    message::{KekSource, NewKey},
};

/// An archive whose inventory could be opened, so its KEKs are at hand.
pub(super) struct OpenArchive<'a> {
    pub(super) archive: &'a Archive,
    pub(super) inventory: Inventory,
    place: KekPlace,
    trusted_kek: bool,
}

/// Where the KEKs of an archive are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KekPlace {
    /// Session objects, made from shares for one restore.
    Session,
    /// Token objects.
    Token,
}

impl<'a> OpenArchive<'a> {
    /// Opens the inventory with the KEKs in the token, or with session KEKs.
    pub(super) async fn open(keys: &Keys, archive: &'a Archive, place: KekPlace) -> Result<Self, BackupError> {
        let sealed = archive.member(INVENTORY)?;
        let recipient = cms::recipient(sealed)?;
        let source = place.source(KekId::from_bytes(recipient.kek_id), KekPurpose::Inventory);
        let content_key = keys.home().open_content_key(source, recipient.wrapped.to_vec()).await?;
        let content_key: &[u8; 32] = content_key.expose().try_into().map_err(|_| BackupError::ArchiveInvalid {
            cause: "the content key of inventory.cms has not 32 bytes".to_owned(),
        })?;
        let inventory = Inventory::from_bytes(&cms::open(sealed, content_key)?)?;
        // A restored `backup-only` key gets WRAP_WITH_TRUSTED wherever the token can have a trusted KEK:
        // without it, whoever holds the PIN could carry the key out.
        let trusted_kek = keys.home().capabilities().await?.honours_wrap_with_trusted;
        Ok(Self { archive, inventory, place, trusted_kek })
    }

    /// A key's copy, what it should become, and what it must prove.
    pub(super) fn wrapped(&self, key: &ManifestKey) -> Result<WrappedKey, BackupError> {
        let known = self.inventory.key(key.id)?;
        let purpose = self.archive.manifest.kek(key.kek)?.purpose;
        let kek = self.place.source(key.kek, purpose);
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

impl KekPlace {
    const fn source(self, id: KekId, purpose: KekPurpose) -> KekSource {
        match self {
            Self::Session => KekSource::Session(purpose),
            Self::Token => KekSource::Token(id, purpose),
        }
    }
}
