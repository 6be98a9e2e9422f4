//! One `YubiKey`: found by its serial number, opened, asked for its PIN and its management key.

use super::{
    fault::Failure,
    slots,
    wire::{Command, Reply, SUCCESS, Wire},
};
use crate::base::secret::Secret;
use crate::token::{
    address::{Device, TokenAddress, TokenDescription},
    error::TokenError,
};
use pcsc::{Disposition, Error as PcscError};
use yubikey::{
    Context, Error, MgmAlgorithmId, MgmKey, Version, YubiKey,
    piv::{self, ManagementSlotId, SlotAlgorithmId, SlotId},
};
use zeroize::Zeroizing;

/// An open card.
pub(super) struct Card {
    label: String,
    /// None only while it is being dropped.
    pub(super) key: YubiKey,
    pub(super) wire: Wire,
}

/// How many PIN tries are left, and of how many if the card tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tries {
    pub(super) left: u8,
    pub(super) of: Option<u8>,
}

impl Card {
    /// Finds the card among all readers.
    pub(super) fn open(address: &TokenAddress, serial: u32) -> Result<Self, TokenError> {
        let absent = |seen: String| TokenError::TokenAbsent {
            label: address.label.clone(),
            device: Device::YubiKey(serial),
            seen,
        };
        let key = find(serial).map_err(absent)?;
        let wire = Wire::connect(key.name()).map_err(|error| absent(format!("it went away: {error}")))?;
        Ok(Self { label: address.label.clone(), key, wire })
    }

    /// What it says of itself.
    pub(super) fn describe(&mut self) -> Result<TokenDescription, Failure> {
        let tries = self.tries()?;
        Ok(TokenDescription {
            label: self.label.clone(),
            manufacturer: "Yubico".to_owned(),
            model: "YubiKey PIV".to_owned(),
            serial: self.key.serial().to_string(),
            firmware: self.key.version().to_string(),
            pin_count_low: tries.left < tries.of.unwrap_or(USUAL_TRIES),
            so_pin_count_low: false,
        })
    }

    pub(super) fn name(&self) -> String {
        self.label.clone()
    }

    /// Whether the firmware is at least this old.
    pub(super) fn has(&self, version: Version) -> bool {
        self.key.version() >= version
    }

    /// Sends the PIN, unless the card has one try left, which is not ours.
    pub(super) fn verify_pin(&mut self, pin: &Secret) -> Result<(), Failure> {
        let token = self.name();
        match self.tries()?.left {
            0 => return Err(TokenError::PinLocked { token }.into()),
            1 => return Err(TokenError::PinFinalTry { token }.into()),
            _ => {}
        }
        let Some(block) = pin_block(pin) else {
            return Err(pin_refused(token, "not sent: a PIV PIN has 6 to 8 characters".to_owned()).into());
        };
        let reply = self.wire.ask(Command { instruction: VERIFY, p1: 0, p2: PIN, data: &*block })?;
        match reply.status {
            SUCCESS => Ok(()),
            LOCKED => Err(TokenError::PinLocked { token }.into()),
            status if status & 0xFFF0 == WRONG_PIN => {
                let left = status & 0x000F;
                Err(pin_refused(token, format!("{}, {left} tries left", word(status))).into())
            }
            status => Err(self.refused("login", "the card", &word(status))),
        }
    }

    /// Whether the card remembers the PIN; asking costs no try.
    pub(super) fn is_verified(&mut self) -> Result<bool, Failure> {
        let reply = self.wire.ask(Command { instruction: VERIFY, p1: 0, p2: PIN, data: &[] })?;
        Ok(reply.status == SUCCESS)
    }

    /// Tries that are left. Firmware that has no metadata tells it only by forgetting a PIN that it knows.
    pub(super) fn tries(&mut self) -> Result<Tries, Failure> {
        if self.has(slots::TELLS_METADATA) {
            let pin = SlotId::Management(ManagementSlotId::Pin);
            let metadata = piv::metadata(&mut self.key, pin).map_err(|error| self.failure("describe", error))?;
            if let Some(retries) = metadata.retries {
                return Ok(Tries { left: retries.remaining_count, of: Some(retries.retry_count) });
            }
        }
        let left = self.key.get_pin_retries().map_err(|error| self.failure("describe", error))?;
        Ok(Tries { left, of: None })
    }

    /// Shows the management key, so that slots can be changed until [`Self::deauthenticate`].
    pub(super) fn authenticate(&mut self, operation: &str, management_key: &Secret) -> Result<(), Failure> {
        let kind = self.management_algorithm()?;
        let refused = |token, cause: &str| TokenError::ManagementKey {
            token,
            operation: operation.to_owned(),
            cause: cause.to_owned(),
        };
        let key = bytes_of_hex(management_key.expose())
            .and_then(|bytes| MgmKey::from_bytes(bytes.as_slice(), Some(kind)).ok())
            .ok_or_else(|| {
                refused(self.name(), &format!("the one given is no {} key in hexadecimal", kind_name(kind)))
            })?;
        match self.key.authenticate(&key) {
            Ok(()) => Ok(()),
            Err(Error::AuthenticationError) => Err(refused(self.name(), "the card refused the one given").into()),
            Err(other) => Err(self.failure(operation, other)),
        }
    }

    fn management_algorithm(&mut self) -> Result<MgmAlgorithmId, Failure> {
        if !self.has(slots::TELLS_METADATA) {
            return Ok(MgmAlgorithmId::ThreeDes);
        }
        let slot = SlotId::Management(ManagementSlotId::Management);
        let metadata = piv::metadata(&mut self.key, slot).map_err(|error| self.failure("describe", error))?;
        match metadata.algorithm {
            SlotAlgorithmId::Management(kind) => Ok(kind),
            _ => Err(self.refused("describe", "the management key", "it is of an unknown kind")),
        }
    }

    /// Has the card forget the management key, and with it the PIN.
    pub(super) fn deauthenticate(&mut self) -> Result<(), Failure> {
        // This call selects the application again, which is the only way.
        self.key.get_pin_retries().map(|_| ()).map_err(|error| self.failure("logout", error))
    }

    /// One command.
    pub(super) fn ask(&mut self, command: Command<'_>) -> Result<Reply, Failure> {
        Ok(self.wire.ask(command)?)
    }

    /// Lets the card go as it is; dropping it would reset it under whoever else uses it.
    pub(super) fn leave(self) {
        let _ = self.key.disconnect(Disposition::LeaveCard);
    }
}

/// Opens the card of this serial number; if it is not there, says what is.
fn find(serial: u32) -> Result<YubiKey, String> {
    let mut context = Context::open().map_err(|error| no_service(&error))?;
    let readers = context.iter().map_err(|error| no_service(&error))?;
    let mut seen = Vec::new();
    for reader in readers {
        match reader.open() {
            Ok(key) if key.serial().0 == serial => return Ok(key),
            Ok(other) => {
                seen.push(format!("YubiKey {}", other.serial()));
                let _ = other.disconnect(Disposition::LeaveCard);
            }
            Err(Error::PcscError { inner: Some(PcscError::SharingViolation) }) => {
                seen.push(format!("a card in `{}` that another program keeps to itself", reader.name()));
            }
            // Empty, or no YubiKey.
            Err(_) => {}
        }
    }
    Err(seen.join(", "))
}

fn no_service(error: &Error) -> String {
    match error {
        Error::PcscError { inner: Some(PcscError::NoReadersAvailable) } => String::new(),
        other => format!("none: the service pcscd does not answer ({other})"),
    }
}

/// The PIN as the card wants it: eight bytes, the rest 0xFF (NIST SP 800-73-4, part 2, section 2.4.3).
pub(super) fn pin_block(pin: &Secret) -> Option<Zeroizing<[u8; 8]>> {
    let bytes = pin.expose();
    let mut block = Zeroizing::new([0xFF; 8]);
    block.get_mut(..bytes.len())?.copy_from_slice(bytes);
    // An empty block would be a question, and a shorter PIN than that costs a try for nothing.
    (bytes.len() >= SHORTEST_PIN).then_some(block)
}

fn bytes_of_hex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    rest.is_empty().then_some(bytes)
}

fn pin_refused(token: String, rv: String) -> TokenError {
    TokenError::PinRefused { token, source_name: String::new(), rv }
}

const fn kind_name(kind: MgmAlgorithmId) -> &'static str {
    match kind {
        MgmAlgorithmId::ThreeDes => "3DES (48 digits)",
        MgmAlgorithmId::Aes128 => "AES-128 (32 digits)",
        MgmAlgorithmId::Aes192 => "AES-192 (48 digits)",
        MgmAlgorithmId::Aes256 => "AES-256 (64 digits)",
    }
}

/// A status word as the vendor's documents write it.
pub(super) fn word(status: u16) -> String {
    format!("SW {status:04X}")
}

/// "Security status not satisfied": no PIN, no management key, or no touch.
pub(super) const NOT_SATISFIED: u16 = 0x6982;
const LOCKED: u16 = 0x6983;
const WRONG_PIN: u16 = 0x63C0;
const VERIFY: u8 = 0x20;
/// Reference of the PIN.
pub(super) const PIN: u8 = 0x80;
const SHORTEST_PIN: usize = 6;
/// Tries of a card from the factory.
const USUAL_TRIES: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_filled_up_to_eight_bytes_and_a_longer_or_empty_one_is_never_sent() {
        let block = |text: &[u8]| pin_block(&Secret::new(text.to_vec())).map(|block| *block);

        assert_eq!(block(b"123456"), Some(*b"123456\xFF\xFF"));
        assert_eq!(block(b"12345678"), Some(*b"12345678"));
        assert_eq!(block(b"123456789"), None);
        assert_eq!(block(b""), None);
    }

    #[test]
    fn a_management_key_is_hexadecimal_of_either_case() {
        assert_eq!(bytes_of_hex(b"00aBfF").unwrap().as_slice(), [0x00, 0xAB, 0xFF]);
        assert!(bytes_of_hex(b"00a").is_none());
        assert!(bytes_of_hex(b"0g").is_none());
    }
}
