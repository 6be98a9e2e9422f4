//! Puts everything together: settings, `init`, and the start of an instance.
//!
//! The only place that knows all folders; nothing below imports it but the command line. Environment
//! variables are read in [`settings`] and nowhere else.

pub mod description;
pub mod error;
pub mod errors_page;
pub mod init;
mod limits;
pub mod serve;
pub mod settings;
mod softhsm;
pub mod start;
#[cfg(test)]
mod tests;
mod unsettled;
pub mod worker;

pub use error::AppError;
