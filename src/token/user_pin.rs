//! What is done with the user PIN of a token: unlock, seal, change. One of them at a time.

use super::{
    error::TokenError,
    message::{Operation, PlainSecret},
    pool::{LONG, Token},
    process, softhsm,
};
use crate::base::secret::Secret;

/// What has the new PIN after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinChange {
    /// What the settings name as the PIN's source.
    pub source_name: String,
    /// Whether the source has it; otherwise a person has to put it there before the next start.
    pub is_stored: bool,
}

impl Token {
    /// Whether nobody has given the PIN, or it was taken away.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.pins.user.is_sealed()
    }

    /// Uses this PIN from now on, whatever the source says, until [`Self::seal`] or the end of the process. A worker
    /// of its own tries it: where somebody is logged in already, a token takes any PIN.
    ///
    /// # Errors
    /// The token refuses the PIN, or has refused it before; or it is absent. Then nothing is changed.
    pub async fn unlock(&self, pin: Secret) -> Result<(), TokenError> {
        let _turn = self.turn.lock().await;
        let given = self.pins.user.given(pin)?;
        process::try_pin(&self.settings, &self.pins.user, &given).await?;
        self.pins.user.hold(given);
        self.describe().await.map(|_| ())
    }

    /// Uses the PIN of the source again.
    ///
    /// # Errors
    /// The source is a person; or as [`Self::describe`].
    pub async fn unlock_by_source(&self) -> Result<(), TokenError> {
        let _turn = self.turn.lock().await;
        self.pins.user.use_source()?;
        self.describe().await.map(|_| ())
    }

    /// Ends the worker and drops the PIN. What the worker has begun it may finish; what waits, and what is asked for
    /// later, is answered by [`TokenError::Sealed`].
    pub async fn seal(&self) {
        let _turn = self.turn.lock().await;
        self.pins.user.seal();
        self.supervisor.retire().await;
    }

    /// Gives the token a new user PIN, and puts it into the source if that is a file of ours. Whoever is at work goes
    /// on.
    ///
    /// A crash at any point leaves the old PIN and the new one side by side, or the one that the token has; the next
    /// login finds out which, by one wrong try at most.
    ///
    /// # Errors
    /// [`TokenError::PinUnsuitable`] and [`TokenError::PinUnstorable`] before the token was changed; otherwise those
    /// of a login.
    pub async fn change_pin(&self, new: Secret) -> Result<PinChange, TokenError> {
        let _turn = self.turn.lock().await;
        let user = &self.pins.user;
        // Whoever serves is logged in, so the old PIN is right, and what an earlier change left open is settled.
        self.describe().await?;
        user.begin_change(&new)?;
        let changed = self.done(Operation::ChangePin(PlainSecret(new.duplicate())), LONG).await;
        let is_stored = match changed {
            Ok(()) => user.finish_change()?,
            Err(error) if process::is_unclear(&error) => self.settle_change(&new, error).await?,
            Err(error) => {
                user.cancel_change();
                return Err(error);
            }
        };
        // Else the copy with the old PIN could be put back some day, when nobody has the old PIN any more.
        if let Err(error) = softhsm::keep(&self.settings.state_directory) {
            tracing::warn!(%error, "the copy of SoftHSM's file is the one of before the change of the PIN");
        }
        Ok(PinChange { source_name: user.source_name(), is_stored })
    }

    /// Has a new worker log in, which says which PIN the token has.
    async fn settle_change(&self, new: &Secret, error: TokenError) -> Result<bool, TokenError> {
        self.pins.user.leave_change_open();
        self.supervisor.retire().await;
        self.describe().await?;
        if self.pins.user.is_present(new).await { Ok(self.pins.user.stores()) } else { Err(error) }
    }
}
