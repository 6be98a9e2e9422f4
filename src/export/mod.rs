//! Exports: the controlled release of a private key into a file of a person.
//!
//! [`create()`] is the one gate. Invariants: only an `exportable` key passes, and the permit that the token
//! pool asks for is made nowhere else; the file is built and encrypted inside the token worker; what is
//! released was recorded before the first byte of the answer.

pub mod api;
mod create;
mod db;
pub mod error;

pub use create::create;
pub use db::{find, list};
pub use error::ExportError;
