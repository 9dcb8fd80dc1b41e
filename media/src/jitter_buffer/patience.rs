//! How long a delay that is longer than need be is left to the speaker's next pause.

use std::time::Duration;

use crate::time::Instant;

/// Patience with the surplus of one stream's delay; made anew when there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    /// Since when there has been a surplus.
    since: Option<Instant>,
    /// Whether it was large since then: all of it is taken away then.
    was_large: bool,
}

impl Patience {
    /// Tells whether a surplus of so many samples is left as it is for now.
    pub(super) fn bears(&mut self, now: Instant, surplus: u32) -> bool {
        let since = *self.since.get_or_insert(now);
        self.was_large |= surplus >= SURPLUS_LARGE;
        let patience = match surplus {
            _ if self.was_large => PATIENCE_LITTLE,
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
    }
}
