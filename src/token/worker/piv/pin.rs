//! A new PIN in place of the one that the card has taken (NIST SP 800-73-4, part 2, section 3.2.2).

use super::{
    State,
    card::{PIN, pin_block, word},
    fault::Failure,
    wire::{Command, SUCCESS},
};
use crate::base::secret::Secret;
use crate::token::error::TokenError;
use zeroize::Zeroizing;

impl State {
    /// Changes the PIN. The old one is that of the login, so no try is lost; one that was changed meanwhile by somebody
    /// else is never sent again.
    pub(super) fn change_pin(&mut self, new: &Secret) -> Result<(), Failure> {
        let token = self.card.name();
        let unsuitable = |cause: String| TokenError::PinUnsuitable { token: token.clone(), cause };
        let new_block = pin_block(new).ok_or_else(|| unsuitable("a PIV PIN has 6 to 8 characters".to_owned()))?;
        // The card looks at the old one like at any other, so it has to be right before.
        self.show_pin()?;
        let old = self
            .pin
            .take()
            .ok_or_else(|| self.card.refused("change PIN", "the card", "the PIN is not kept any more"))?;
        let old_block = pin_block(&old).ok_or_else(|| unsuitable("the present one is no PIV PIN".to_owned()))?;
        let data = Zeroizing::new([*old_block, *new_block].concat());
        let reply = self.card.ask(Command { instruction: CHANGE_REFERENCE, p1: 0, p2: PIN, data: &data })?;
        if reply.status != SUCCESS {
            self.pin = Some(old);
            return Err(unsuitable(format!("the card does not take it ({})", word(reply.status))).into());
        }
        self.pin = Some(new.duplicate());
        Ok(())
    }
}

const CHANGE_REFERENCE: u8 = 0x24;
