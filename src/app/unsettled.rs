//! What a crash left half done: brought to an end at the start, or as soon as the token can be used.

use super::AppError;
use crate::backup::{self, Backups};
use crate::base::fault::{Fault as _, Kind};
use crate::keys::{KeyError, Keys, recover};

/// Requests that an earlier process began and nobody has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsettled {
    /// Number of the last one's record: what is younger is of this process, and may be at work.
    until: Option<u64>,
}

impl Unsettled {
    /// What there is at the start, before anything new is begun.
    pub(super) async fn find(keys: &Keys) -> Result<Self, AppError> {
        Self::find_until(keys, u64::MAX).await
    }

    async fn find_until(keys: &Keys, last: u64) -> Result<Self, AppError> {
        let open = keys.audit.open_intents().await.map_err(KeyError::from)?;
        Ok(Self { until: open.iter().map(|intent| intent.seq).filter(|seq| *seq <= last).max() })
    }

    /// Brings it to an end. What needs a token that is away or locked is left for the next time.
    pub(super) async fn settle(&mut self, backups: &Backups) -> Result<(), AppError> {
        let keys = &backups.keys;
        let Some(until) = self.until.filter(|_| !keys.home().is_sealed()) else { return Ok(()) };
        match recover::settle_until(keys, until).await {
            Ok(0) => return Ok(()),
            Ok(count) => tracing::info!(count, "interrupted requests were brought to an end"),
            Err(error) if is_token_away(&error) => {
                tracing::warn!(%error, "interrupted requests wait for the token");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        *self = Self::find_until(keys, until).await?;
        if let Err(error) = backup::settle_audit_key(backups).await {
            // A log that was tampered with is not signed; that is for `audit verify` to say.
            tracing::error!(%error, "the audit key is not settled, or did not sign");
        }
        Ok(())
    }
}

fn is_token_away(error: &KeyError) -> bool {
    matches!(error.entry().kind, Kind::TokenAbsent | Kind::Locked | Kind::Unavailable)
}
