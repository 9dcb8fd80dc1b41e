//! How long a delay that is longer than need be is left to the speaker's next pause.

use std::time::Duration;

use crate::time::Instant;

/// Patience with the surplus of one stream's delay.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    /// Since when there has been a surplus.
    since: Option<Instant>,
    /// When it was large last.
    large_at: Option<Instant>,
}

impl Patience {
    /// Takes in that there is no surplus.
    pub(super) fn rest(&mut self) {
        self.since = None;
    }

    /// Tells whether a surplus of so many samples is left as it is for now.
    pub(super) fn bears(&mut self, now: Instant, surplus: u32) -> bool {
        let since = *self.since.get_or_insert(now);
        if surplus >= SURPLUS_LARGE {
            self.large_at = Some(now);
        }
        let is_left_over = |at| now.saturating_since(at) < LEFT_OVER_FOR;
        let patience = match surplus {
            _ if self.large_at.is_some_and(is_left_over) => PATIENCE_LITTLE,
            0..SURPLUS_SMALL => PATIENCE,
            _ => PATIENCE_LONG,
        };
        now.saturating_since(since) < patience
    }
}

/// How long a small surplus of delay is left to the speaker's next pause, before the sound is
/// shortened: what a clock's drift brings, and one step takes away.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same for a surplus that takes many steps, which are heard: longer than most sentences.
const PATIENCE_LONG: Duration = Duration::from_secs(8);

/// The same for a large surplus.
const PATIENCE_LITTLE: Duration = Duration::from_millis(500);

/// How long after a large surplus a smaller one is what is left of it, though some late packets hid
/// it for a while.
const LEFT_OVER_FOR: Duration = Duration::from_secs(10);

/// More samples than a step or two take away: 20 ms.
const SURPLUS_SMALL: u32 = 960;

/// So many samples disturb a conversation: 100 ms.
const SURPLUS_LARGE: u32 = 4_800;

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Instant = Instant::from_millis(1_000);

    /// Returns for how many half seconds a surplus is borne.
    fn borne(patience: &mut Patience, surplus: u32) -> usize {
        (0..100)
            .take_while(|n| patience.bears(BEGIN + Duration::from_millis(500) * *n, surplus))
            .count()
    }

    #[test]
    fn small_surplus_goes_soon_a_larger_one_late_and_a_large_one_at_once() {
        let halves = |surplus| borne(&mut Patience::default(), surplus);
        assert_eq!([959, 960, 4_799, 4_800].map(halves), [10, 16, 16, 1]);
    }

    #[test]
    fn what_is_left_of_a_large_surplus_is_not_waited_for_again() {
        let mut patience = Patience::default();
        assert!(patience.bears(BEGIN, 4_800));
        assert!(!patience.bears(BEGIN + PATIENCE_LITTLE, 1_000));
        patience.rest();
        let later = BEGIN + Duration::from_secs(5);
        assert!(patience.bears(later, 1_000));
        assert!(!patience.bears(later + PATIENCE_LITTLE, 1_000));
        assert!(patience.bears(BEGIN + LEFT_OVER_FOR, 1_000), "a new one");
    }
}
