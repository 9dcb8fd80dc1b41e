//! Decides what a shard's members are told to send.
//!
//! Pure: told the number of legs and how the load stands.

use std::time::Duration;

use sabha_media::shard::UplinkOrder;
use sabha_media::time::Instant;

/// What a shard's members are told to send, and since when.
#[derive(Clone, Debug)]
pub struct Uplink {
    order: UplinkOrder,
    calm_since: Option<Instant>,
    /// When `Probes` was last lifted.
    lifted_at: Option<Instant>,
    calm_needed: Duration,
}

/// What the order depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UplinkReading {
    /// Legs on the shard.
    pub legs: usize,
    /// Whether the load is too high though nothing more can be given up.
    pub is_at_end: bool,
    /// The share of the time that receiving takes, about.
    pub receiving: f64,
    /// Whether the load leaves room for more to receive.
    pub has_room: bool,
}

impl Uplink {
    /// Begins with few members, who send everything.
    pub fn new() -> Self {
        let order = UplinkOrder::Everything;
        Self { order, calm_since: None, lifted_at: None, calm_needed: CALM_MIN }
    }

    /// Takes a reading and returns the order.
    pub fn handle_reading(&mut self, now: Instant, reading: &UplinkReading) -> UplinkOrder {
        let limit = if self.order == UplinkOrder::Everything { LEGS_MAX } else { LEGS_MIN };
        let by_legs =
            if reading.legs < limit { UplinkOrder::Everything } else { UplinkOrder::Voice };
        let is_flooded = reading.is_at_end && reading.receiving >= RECEIVING_MIN;
        let order = self.order;
        self.order = match order {
            UplinkOrder::Probes if self.is_over(now, reading) => by_legs,
            UplinkOrder::Probes => UplinkOrder::Probes,
            UplinkOrder::Everything | UplinkOrder::Voice if is_flooded => self.restrict(now),
            UplinkOrder::Everything | UplinkOrder::Voice => by_legs,
        };
        self.order
    }

    fn restrict(&mut self, now: Instant) -> UplinkOrder {
        let is_again =
            self.lifted_at.is_some_and(|at| now.saturating_since(at) < self.calm_needed * 2);
        self.calm_needed = if is_again { (self.calm_needed * 2).min(CALM_MAX) } else { CALM_MIN };
        self.calm_since = None;
        UplinkOrder::Probes
    }

    /// Returns whether the load has been low for so long that members may send again.
    fn is_over(&mut self, now: Instant, reading: &UplinkReading) -> bool {
        if !reading.has_room {
            self.calm_since = None;
            return false;
        }
        let since = *self.calm_since.get_or_insert(now);
        let is_over = now.saturating_since(since) >= self.calm_needed;
        if is_over {
            self.lifted_at = Some(now);
        }
        is_over
    }
}

impl Default for Uplink {
    fn default() -> Self {
        Self::new()
    }
}

/// Legs from which on members with a closed gate send nothing but a level each second. Fewer cost
/// a hundredth of a core, and what they send tells the mixer how loud each room's noise is.
const LEGS_MAX: usize = 64;

/// Legs below which they send everything again; a quarter less, so that one who comes and goes
/// changes nothing.
const LEGS_MIN: usize = 48;

/// The share of the time that receiving takes before members are told to send levels only: below
/// that little would be gained, and it costs each onset a round trip.
const RECEIVING_MIN: f64 = 0.15;

/// How long the load must be low before members may send again. Chosen longer than most pauses.
const CALM_MIN: Duration = Duration::from_secs(10);

/// The same after that was too early, each time twice as long.
const CALM_MAX: Duration = Duration::from_secs(80);

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings a second apart.
    struct Rig {
        uplink: Uplink,
        now: Instant,
    }

    impl Rig {
        fn new() -> Self {
            Self { uplink: Uplink::new(), now: Instant::from_millis(1_000) }
        }

        fn reads(&mut self, reading: UplinkReading) -> UplinkOrder {
            self.now += Duration::from_secs(1);
            self.uplink.handle_reading(self.now, &reading)
        }

        /// Returns the seconds until members may send again.
        fn lifted_after(&mut self) -> u32 {
            (1..).find(|_| self.reads(quiet(100)) != UplinkOrder::Probes).unwrap()
        }
    }

    fn quiet(legs: usize) -> UplinkReading {
        UplinkReading { legs, is_at_end: false, receiving: 0.01, has_room: true }
    }

    fn flooded(legs: usize) -> UplinkReading {
        UplinkReading { legs, is_at_end: true, receiving: 0.3, has_room: false }
    }

    #[test]
    fn few_members_send_everything_and_many_only_voice() {
        let mut rig = Rig::new();
        assert_eq!(rig.reads(quiet(63)), UplinkOrder::Everything);
        assert_eq!(rig.reads(quiet(64)), UplinkOrder::Voice);
        assert_eq!(rig.reads(quiet(48)), UplinkOrder::Voice);
        assert_eq!(rig.reads(quiet(47)), UplinkOrder::Everything);
        assert_eq!(rig.reads(quiet(63)), UplinkOrder::Everything);
    }

    #[test]
    fn levels_only_are_ordered_where_receiving_is_the_trouble() {
        let mut rig = Rig::new();
        let sending = UplinkReading { receiving: 0.1, ..flooded(100) };
        assert_eq!(rig.reads(sending), UplinkOrder::Voice);
        let bearable = UplinkReading { is_at_end: false, ..flooded(100) };
        assert_eq!(rig.reads(bearable), UplinkOrder::Voice);
        assert_eq!(rig.reads(flooded(100)), UplinkOrder::Probes);
        assert_eq!(rig.reads(bearable), UplinkOrder::Probes);
    }

    #[test]
    fn levels_only_are_lifted_after_a_calm_which_grows_if_that_was_too_early() {
        let mut rig = Rig::new();
        rig.reads(flooded(100));
        assert_eq!(rig.lifted_after(), 11);
        assert_eq!(rig.reads(flooded(100)), UplinkOrder::Probes);
        assert_eq!(rig.lifted_after(), 21);
        rig.reads(flooded(100));
        assert_eq!(rig.lifted_after(), 41);
        for _ in 0..100 {
            assert_eq!(rig.reads(quiet(100)), UplinkOrder::Voice);
        }
        rig.reads(flooded(100));
        assert_eq!(rig.lifted_after(), 11);
    }

    #[test]
    fn calm_that_is_broken_begins_anew() {
        let mut rig = Rig::new();
        rig.reads(flooded(100));
        for _ in 0..9 {
            rig.reads(quiet(100));
        }
        assert_eq!(rig.reads(flooded(100)), UplinkOrder::Probes);
        assert_eq!(rig.lifted_after(), 11);
    }
}
