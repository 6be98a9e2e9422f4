//! Attestations of `YubiKeys`: a certificate that the device makes of a key that it has made itself, signed by a key that
//! is in it from the factory, and what its extensions say (Yubico, "PIV attestation").
//!
//! Invariant: whether an attestation holds is decided by signatures up to a root that the operator trusts; no root is
//! built in.

use super::{PkiError, certificate::Certificate};
use crate::base::piv::{PinPolicy, TouchPolicy};
use der::asn1::ObjectIdentifier;

/// What an attestation says of a key and its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Firmware of the device, `5.7.1`.
    pub firmware: Option<String>,
    /// Serial number of the device; some have none in it.
    pub serial: Option<u32>,
    /// When the key wants the PIN.
    pub pin_policy: Option<PinPolicy>,
    /// When it wants a touch.
    pub touch_policy: Option<TouchPolicy>,
}

impl Statement {
    /// Reads the extensions of an attestation certificate; what is not there is none.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let value = |oid| certificate.extension(oid);
        let policies = value(POLICIES).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
        Self {
            firmware: value(FIRMWARE).and_then(version),
            serial: value(SERIAL).and_then(integer),
            pin_policy: policies.and_then(|[pin, _]| pin_policy(pin)),
            touch_policy: policies.and_then(|[_, touch]| touch_policy(touch)),
        }
    }
}

/// Follows the signatures from an attestation by the device's own certificate to one of the roots; that root.
///
/// # Errors
/// [`PkiError::ChainBroken`]: the device's key did not sign it, or none of the roots vouches for the device.
pub fn trusted_root<'a>(
    attestation: &Certificate,
    device: &Certificate,
    roots: &'a [Certificate],
) -> Result<&'a Certificate, PkiError> {
    let broken = |cause: String| Err(PkiError::ChainBroken { cause });
    if !attestation.is_issued_by(device) {
        return broken(format!("the attestation is not signed by the device's key (`{}`)", device.subject()));
    }
    match roots.iter().find(|root| device.is_issued_by(root) || vouched_for(device, roots, root)) {
        Some(root) => Ok(root),
        None => broken(format!(
            "none of the {} trusted roots has signed the device's certificate (issued by `{}`)",
            roots.len(),
            device.issuer()
        )),
    }
}

/// Whether one of the given certificates stands between device and root; Yubico has such ones since firmware 5.7.4.
fn vouched_for(device: &Certificate, given: &[Certificate], root: &Certificate) -> bool {
    root.is_self_signed() && given.iter().any(|middle| device.is_issued_by(middle) && middle.is_issued_by(root))
}

fn version(bytes: &[u8]) -> Option<String> {
    match bytes {
        [major, minor, patch] => Some(format!("{major}.{minor}.{patch}")),
        _ => None,
    }
}

/// A DER INTEGER of at most four bytes and a sign byte.
fn integer(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [0x02, length, value @ ..] if usize::from(*length) == value.len() && (1..=5).contains(&value.len()) => {
            let value = value.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            u32::try_from(value).ok()
        }
        _ => None,
    }
}

/// The PIN policy of this number, in attestations and in commands.
#[must_use]
pub const fn pin_policy(number: u8) -> Option<PinPolicy> {
    match number {
        1 => Some(PinPolicy::Never),
        2 => Some(PinPolicy::Once),
        3 => Some(PinPolicy::Always),
        _ => None,
    }
}

/// The touch policy of this number.
#[must_use]
pub const fn touch_policy(number: u8) -> Option<TouchPolicy> {
    match number {
        1 => Some(TouchPolicy::Never),
        2 => Some(TouchPolicy::Always),
        3 => Some(TouchPolicy::Cached),
        _ => None,
    }
}

const FIRMWARE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.3");
const SERIAL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.7");
const POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.8");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_an_integer_of_at_most_32_bits() {
        assert_eq!(integer(&[0x02, 0x02, 0x03, 0xE8]), Some(1000));
        assert_eq!(integer(&[0x02, 0x05, 0x00, 0xFF, 0xFF, 0xFF, 0xFF]), Some(u32::MAX));
        assert_eq!(integer(&[0x02, 0x05, 0x01, 0x00, 0x00, 0x00, 0x00]), None);
        assert_eq!(integer(&[0x02, 0x03, 0x03, 0xE8]), None);
        assert_eq!(integer(&[]), None);
    }

    #[test]
    fn a_number_that_names_no_policy_is_none() {
        assert_eq!((pin_policy(3), touch_policy(3)), (Some(PinPolicy::Always), Some(TouchPolicy::Cached)));
        assert_eq!((pin_policy(0), touch_policy(4)), (None, None));
    }
}
