//! Wrapping a private key under a KEK in the token (RFC 5649, in one call).

use super::{Backend, fault::Failure, index::Kek, token::Token};
use crate::base::{custody::KekPurpose, ids::KekId};
use crate::token::{error::TokenError, message::WrapJob};

impl Backend {
    /// The wrapped key, as a backup keeps it.
    pub(super) fn wrap(&self, session: &cryptoki::session::Session, job: &WrapJob) -> Result<Vec<u8>, Failure> {
        let entry = self.index().key(job.key).ok_or_else(|| self.token.missing(job.key))?;
        if entry.sha256 != Some(job.public_key_sha256) {
            return Err(self.token.another(job.key));
        }
        let kek = self.token_kek(job.kek, job.purpose)?;
        self.token.module.wrap_key(session, job.mechanism, kek.handle, entry.handle).map_err(self.token.refusal(
            "wrap",
            job.key,
            mechanism_name(job.mechanism),
        ))
    }

    /// A KEK of the index.
    pub(super) fn token_kek(&self, id: KekId, purpose: KekPurpose) -> Result<Kek, Failure> {
        self.index().kek(id).ok_or_else(|| self.token.kek_missing(purpose, id))
    }
}

impl Token {
    pub(super) fn kek_missing(&self, purpose: KekPurpose, id: impl ToString) -> Failure {
        TokenError::KekMissing { purpose: purpose.to_string(), id: id.to_string(), token: self.name() }.into()
    }
}

/// The name of a key wrap mechanism, for errors.
pub(super) fn mechanism_name(mechanism: u64) -> String {
    match mechanism {
        AES_KEY_WRAP => "CKM_AES_KEY_WRAP".to_owned(),
        AES_KEY_WRAP_PAD => "CKM_AES_KEY_WRAP_PAD".to_owned(),
        AES_KEY_WRAP_KWP => "CKM_AES_KEY_WRAP_KWP".to_owned(),
        other => format!("mechanism 0x{other:08X}"),
    }
}

/// RFC 3394.
pub(super) const AES_KEY_WRAP: u64 = 0x2109;
/// RFC 5649 in SoftHSM; something else in NSS.
pub(super) const AES_KEY_WRAP_PAD: u64 = 0x210A;
/// RFC 5649 by PKCS#11 v3.0.
pub(super) const AES_KEY_WRAP_KWP: u64 = 0x210B;
