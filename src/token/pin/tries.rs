//! How many wrong PINs a process sends: not every token counts them (SoftHSM never locks), so keyward does.

use std::time::Duration;
use tokio::time::Instant;

/// Refused PINs in a row.
#[derive(Debug, Default)]
pub(super) struct Tries {
    refused: usize,
    last: Option<Instant>,
}

impl Tries {
    /// How long no PIN may be sent any more, if there were too many.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        let until = self.last? + PAUSE;
        (self.refused >= MOST && now < until).then(|| until - now)
    }

    /// Another one was refused.
    pub(super) fn note_refusal(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now >= last + PAUSE) {
            self.refused = 0;
        }
        self.refused += 1;
        self.last = Some(now);
    }

    /// One was accepted.
    pub(super) fn note_acceptance(&mut self) {
        *self = Self::default();
    }
}

/// Different PINs that a token may refuse before keyward makes a pause.
pub(super) const MOST: usize = 5;
/// As long as it takes to make guessing pointless, and as somebody with the right PIN can wait.
const PAUSE: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_five_refused_pins_there_is_a_pause_of_a_quarter_of_an_hour() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        let minutes = |minutes: u64| now + Duration::from_secs(60 * minutes);

        (0..4).for_each(|_| tries.note_refusal(now));
        assert_eq!(tries.pause(now), None);
        tries.note_refusal(now);

        assert_eq!(tries.pause(minutes(5)), Some(Duration::from_secs(600)));
        assert_eq!(tries.pause(minutes(15)), None);
        tries.note_refusal(minutes(15));
        assert_eq!(tries.pause(minutes(15)), None, "it counts anew");
    }

    #[test]
    fn an_accepted_pin_ends_the_row() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        (0..4).for_each(|_| tries.note_refusal(now));

        tries.note_acceptance();
        tries.note_refusal(now);

        assert_eq!(tries.pause(now), None);
    }
}
