//! Shares of a secret as words: SLIP-0039, "Shamir's Secret-Sharing for Mnemonic Codes".
//!
//! keyward writes the simplest form: one group, not extendable, iteration exponent 0, no passphrase,
//! which every implementation reads. It reads groups and extendable shares too.
//!
//! ```
//! use keyward::{base::secret::Secret, ceremony::slip39};
//!
//! let secret = Secret::new((0..32).collect());
//! let quorum = slip39::Quorum::new(2, 3)?;
//! let words = slip39::split(&secret, quorum, &mut slip39::system_random)?;
//!
//! let first = slip39::Share::parse(words[0].expose())?;
//! let third = slip39::Share::parse(words[2].expose())?;
//! assert!(slip39::combine(&[first, third], slip39::NO_PASSPHRASE)? == secret);
//! # Ok::<(), keyward::ceremony::CeremonyError>(())
//! ```

mod bits;
mod checksum;
mod cipher;
mod combine;
mod field;
mod quorum;
mod random;
mod share;
mod split;
mod words;

#[cfg(test)]
mod vectors;

pub use combine::{check_fits, combine};
pub use quorum::Quorum;
pub use random::{Random, system_random};
pub use share::{Mnemonic, Share};
pub use split::split;

/// The passphrase of every share that keyward writes.
pub const NO_PASSPHRASE: &[u8] = b"";
