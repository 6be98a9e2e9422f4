//! Where random bytes come from: handed in, so that a test can know them.

use crate::ceremony::CeremonyError;

/// Fills a slice with random bytes; [`system_random`] outside tests.
pub type Random<'a> = dyn FnMut(&mut [u8]) -> Result<(), CeremonyError> + 'a;

/// Random bytes of the operating system.
///
/// # Errors
/// The system gives none.
pub fn system_random(bytes: &mut [u8]) -> Result<(), CeremonyError> {
    getrandom::fill(bytes).map_err(|error| CeremonyError::RandomUnavailable { cause: error.to_string() })
}
