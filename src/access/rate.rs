//! How many requests a caller may make: a bucket that fills evenly, and holds as many as come in a second (GCRA).

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::{fmt, num::NonZeroU32};

/// What one caller may still ask now.
pub(super) struct Allowance(DefaultDirectRateLimiter);

impl Allowance {
    pub(super) fn per_second(requests: NonZeroU32) -> Self {
        Self(RateLimiter::direct(Quota::per_second(requests)))
    }

    /// Takes one request from it, if there is one.
    pub(super) fn take(&self) -> bool {
        self.0.check().is_ok()
    }
}

impl fmt::Debug for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Allowance")
    }
}
