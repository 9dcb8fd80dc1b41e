//! Decides whether an overloaded shard's members are to send with less.
//!
//! Pure: told how the load stands. What each member's own way loses, the shard itself reckons with.

use std::time::Duration;

use sabha_media::shard::BitrateOrder;
use sabha_media::time::Instant;

/// The most that a shard's members may send with.
#[derive(Clone, Debug, Default)]
pub struct BitrateLimit {
    order: BitrateOrder,
    calm_since: Option<Instant>,
}

impl BitrateLimit {
    /// Takes a reading and returns the order: less from the moment at which the load is too high
    /// though nothing more can be given up, until there has been room for `CALM`.
    pub fn handle_reading(
        &mut self,
        now: Instant,
        is_at_end: bool,
        has_room: bool,
    ) -> BitrateOrder {
        let since = has_room.then(|| *self.calm_since.get_or_insert(now));
        self.calm_since = since;
        if is_at_end {
            self.order = BitrateOrder::OVERLOADED;
        } else if since.is_some_and(|since| now.saturating_since(since) >= CALM) {
            self.order = BitrateOrder::OWN;
        }
        self.order
    }
}

/// How long the load must be low before members send with their own setting again. Chosen longer
/// than most pauses, and than it takes until all of them are told.
const CALM: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn less_is_ordered_at_the_ladders_end_and_taken_back_after_a_calm() {
        let (mut limit, mut now) = (BitrateLimit::default(), Instant::from_millis(1_000));
        let mut read = |is_at_end, has_room| {
            now += SECOND;
            limit.handle_reading(now, is_at_end, has_room)
        };
        assert_eq!(read(false, true), BitrateOrder::OWN);
        assert_eq!(read(false, false), BitrateOrder::OWN, "other effort is given up first");
        assert_eq!(read(true, false), BitrateOrder::OVERLOADED);
        for _ in 0..60 {
            assert_eq!(read(false, false), BitrateOrder::OVERLOADED, "no room yet");
        }
        for _ in 0..9 {
            assert_eq!(read(false, true), BitrateOrder::OVERLOADED);
        }
        assert_eq!(read(false, false), BitrateOrder::OVERLOADED, "the calm begins anew");
        for _ in 0..10 {
            assert_eq!(read(false, true), BitrateOrder::OVERLOADED);
        }
        assert_eq!(read(false, true), BitrateOrder::OWN);
    }
}
