//! Pauses between workers that die or cannot be started, so that a broken token is not tried without end.

use super::error::TokenError;
use crate::base::fault::{Fault as _, Kind};
use std::time::Duration;
use tokio::time::Instant;

/// Deaths and failed starts in a row, and when the next start may be.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    deaths: usize,
    until: Option<Instant>,
    /// Why the last start failed; none after a worker that served.
    failure: Option<TokenError>,
}

impl Backoff {
    /// A worker has ended that lived from `started` to `now`.
    pub(super) fn note_death(&mut self, started: Instant, now: Instant) {
        if now - started > GOOD_LIFE {
            self.deaths = 0;
        }
        self.failure = None;
        self.pause(now);
    }

    /// No worker could be started. What a person has to put right, a PIN or an absent token, needs no pause: such a
    /// start fails at once, and the first call after the repair has to succeed.
    pub(super) fn note_failure(&mut self, error: &TokenError, now: Instant) {
        if matches!(error.entry().kind, Kind::Locked | Kind::TokenAbsent) {
            return;
        }
        self.failure = Some(error.clone());
        self.pause(now);
    }

    /// What a caller is told without another try; none if the next one is so near that he had better wait.
    pub(super) fn refusal(&self, now: Instant) -> Option<&TokenError> {
        self.failure.as_ref().filter(|_| self.until.is_some_and(|until| now + PATIENCE < until))
    }

    /// Until when no worker may be started.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }

    fn pause(&mut self, now: Instant) {
        self.until = Some(now + PAUSES[self.deaths.min(PAUSES.len() - 1)]);
        self.deaths += 1;
    }
}

/// A worker that lived so long is not part of a row of deaths: it served, and starting one every few seconds costs less
/// than an outage.
const GOOD_LIFE: Duration = Duration::from_secs(3);
/// The longest pause that a caller waits for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause before the next worker, by the number of deaths in a row before the last one.
const PAUSES: [Duration; 4] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> TokenError {
        TokenError::WorkerLost { token: "keyward".to_owned(), operation: "open".to_owned() }
    }

    #[test]
    fn deaths_in_a_row_are_followed_by_longer_pauses_and_a_good_life_ends_the_row() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let mut pause = |lived| {
            backoff.note_death(now, now + Duration::from_secs(lived));
            backoff.until().unwrap() - now - Duration::from_secs(lived)
        };

        assert_eq!([1, 1, 1, 1, 1].map(|lived| pause(lived).as_secs()), [0, 1, 5, 30, 30]);
        assert_eq!([4, 1].map(|lived| pause(lived).as_secs()), [0, 1]);
    }

    #[test]
    fn during_a_pause_of_more_than_a_second_after_failed_starts_a_caller_is_told_why_at_once() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());

        for _ in 0..2 {
            backoff.note_failure(&lost(), now);
            assert_eq!(backoff.refusal(now), None);
        }
        backoff.note_failure(&lost(), now);

        assert_eq!(backoff.refusal(now), Some(&lost()));
        assert_eq!(backoff.refusal(now + Duration::from_secs(4)), None);
    }

    #[test]
    fn a_refused_pin_is_followed_by_no_pause() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let refused = TokenError::PinLocked { token: "keyward".to_owned() };

        for _ in 0..3 {
            backoff.note_failure(&refused, now);
        }

        assert_eq!((backoff.refusal(now), backoff.until()), (None, None));
    }
}
