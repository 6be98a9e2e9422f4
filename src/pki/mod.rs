//! Bytes to types and back: public keys, names, CSRs, certificates, chains, PKCS#8, PKCS#12, PEM, CMS.
//!
//! No I/O. Signatures are asked for through [`crate::base::signing::Signer`], so nothing in here knows
//! where a key is. Plain private keys pass through [`private_key`] and [`pkcs12`] only, and only the
//! token worker calls those with a real key.

pub mod attestation;
pub mod certificate;
pub mod chain;
pub mod cms;
pub mod error;
pub mod issue;
pub mod key_wrap;
pub mod name;
pub mod padding;
pub mod pkcs12;
pub mod private_key;
pub mod public_key;
pub mod request;
pub mod signature;
#[cfg(test)]
mod testing;
pub mod tls_key;

pub use error::PkiError;
