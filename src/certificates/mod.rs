//! Certificates: attached to keys, self-signed by them, and those of the instance itself.
//!
//! Owns the rows of certificates. Use cases: [`self_sign`], [`add`], [`list`]; [`authority`] has the
//! instance's CA and the audit certificate, [`client`] those of callers.
//!
//! Invariants: a certificate is attached only to the key whose public key it certifies, with a chain in
//! order; its object lies beside the key in the token.

pub mod add;
pub mod api;
pub mod authority;
pub mod client;
mod db;
pub mod error;
pub mod list;
pub mod self_sign;
pub mod server;

pub use error::CertificateError;
pub use list::{chain_of, ids_of, pems_of};
