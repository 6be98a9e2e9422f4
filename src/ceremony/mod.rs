//! The ceremony secret: how it is shared out, put together again, and turned into the KEKs.
//!
//! One secret of 32 bytes is made outside any token. [`slip39`] splits it among custodians (SLIP-0039),
//! [`kek`] derives the three key-encryption keys of an instance from it, [`share_file`] is the text in
//! which a rig, or a custodian, keeps a share. What holds everywhere in here:
//!
//! - The secret and the shares live in memory only, for one act, and are zeroed after it.
//! - No passphrase protects a share: a wrong one would give another secret, unnoticed.
//! - A recombined secret is believed only after its check values (KCV) are compared.
//! - An error names the set, the place and the kind of fault, never a share.

pub mod api;
pub mod error;
pub mod kek;
pub mod provisional;
pub mod recover;
pub mod share_file;
pub mod slip39;

pub use error::CeremonyError;
