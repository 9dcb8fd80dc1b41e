//! What a receiver learns of a stream's copies.

use std::time::Duration;

use crate::codec::samples_duration;
use crate::red::RedPacket;
use crate::time::Instant;

/// How many copies a stream carries now, how far behind their packets they come, and whether they
/// are needed. Outlives the stream's spurts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedArrivals {
    newest_index: u64,
    /// When a packet was last found missing; zero if never.
    missed_at: Instant,
    /// The first packet that was missing then, by the low bits of its index; how many were, and how
    /// many of those still are; and how long before that one was missing, in units of 64 ms.
    missed: u16,
    gap: u8,
    missing: u8,
    earlier: u8,
    /// The largest offset of the last packets' copies, in units of 2.5 ms.
    far: u8,
    copies: u8,
    /// Packets in a row whose copies do not reach as far.
    nearer: u8,
}

impl Default for RedArrivals {
    fn default() -> Self {
        Self {
            newest_index: 0,
            missed_at: Instant::ZERO,
            missed: 0,
            gap: 0,
            missing: 0,
            earlier: 0,
            far: FAR_AT_FIRST,
            copies: 0,
            nearer: 0,
        }
    }
}

impl RedArrivals {
    /// Takes note that the packet `index` has come, of whatever kind; also if it was found missing
    /// and comes after all.
    pub fn see(&mut self, now: Instant, index: u64) {
        let missing = index.saturating_sub(self.newest_index + 1);
        if self.newest_index > 0 && missing > 0 {
            let earlier = now.saturating_since(self.missed_at).as_millis() / EARLIER_MS + 1;
            self.earlier = u8::try_from(earlier).unwrap_or(u8::MAX);
            self.missed = low_bits(self.newest_index + 1);
            self.gap = u8::try_from(missing).unwrap_or(u8::MAX);
            (self.missing, self.missed_at) = (self.gap, now);
        } else if low_bits(index).wrapping_sub(self.missed) < self.gap.into() {
            self.missing = self.missing.saturating_sub(1);
            if self.missing == 0 {
                let earlier = EARLIER_MS as u64 * u64::from(self.earlier);
                self.missed_at = self.missed_at - Duration::from_millis(earlier);
                self.gap = 0;
            }
        }
        self.newest_index = self.newest_index.max(index);
    }

    /// Takes note of a packet's copies; `None` for one that is not redundant.
    pub fn count(&mut self, packet: Option<&RedPacket<'_>>) {
        let copies = packet.map_or(0, |packet| packet.copies().len()) as u8;
        let offsets = packet.into_iter().flat_map(RedPacket::copies).map(|copy| copy.offset);
        let far = u8::try_from(offsets.max().unwrap_or(0).div_ceil(FAR_UNIT)).unwrap_or(u8::MAX);
        self.nearer = if far < self.far { self.nearer + 1 } else { 0 };
        if far >= self.far || self.nearer == NEARER_MAX {
            *self = Self { far, copies, nearer: 0, ..*self };
        }
    }

    /// Returns how many copies the peer's packets carry now.
    pub fn copies(&self) -> u8 {
        self.copies
    }

    /// Returns how much longer a jitter buffer has to wait to make use of the copies: as much as the
    /// farthest comes later than its packet, and nothing as long as no packet is missing. To begin
    /// with a nearer one is for shorter, and each step is heard.
    pub fn wait(&self, now: Instant) -> Duration {
        let offset = if self.is_lossy(now) { self.far } else { 0 };
        samples_duration(u32::from(offset) * FAR_UNIT)
    }

    fn is_lossy(&self, now: Instant) -> bool {
        self.missed_at > Instant::ZERO && now.saturating_since(self.missed_at) < LOSSY_FOR
    }
}

fn low_bits(index: u64) -> u16 {
    (index & u64::from(u16::MAX)) as u16
}

/// How far behind their packets copies are taken to come before the first was seen: a stream begins
/// with two of them beside each other. Who lost a probe so waits from the first sound on.
const FAR_AT_FIRST: u8 = 16;

/// What offsets are counted in: 2.5 ms, Opus' shortest frame.
const FAR_UNIT: u32 = 120;

/// In what it is counted how much earlier a packet was missing.
const EARLIER_MS: u128 = 64;

/// How long after a missing packet copies are waited for. Chosen: at 1 % loss one in two seconds
/// is missing.
const LOSSY_FOR: Duration = Duration::from_secs(10);

/// Packets in a row whose copies do not reach as far, after which none is expected to: a second. A
/// spurt's first packets have nothing to copy, and a few lost ones tell nothing.
const NEARER_MAX: u8 = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::red::RedBlock;

    #[test]
    fn copies_are_known_at_once_and_forgotten_after_a_second() {
        let copy = |offset| RedBlock { offset, payload: b"x", ..RedBlock::default() };
        let primary = copy(0);
        let two = RedPacket::new(primary, &[copy(960), copy(1_920)]);
        let one = RedPacket::new(primary, &[copy(960)]);
        let mut arrivals = RedArrivals::default();
        assert_eq!(arrivals.copies(), 0);
        arrivals.count(Some(&two));
        assert_eq!(arrivals.copies(), 2);
        (0..49).for_each(|_| arrivals.count(Some(&one)));
        arrivals.count(Some(&two));
        (0..49).for_each(|_| arrivals.count(Some(&one)));
        assert_eq!(arrivals.copies(), 2);
        arrivals.count(Some(&one));
        assert_eq!(arrivals.copies(), 1);
        (0..50).for_each(|_| arrivals.count(None));
        assert_eq!(arrivals.copies(), 0);
    }

    #[test]
    fn copies_are_waited_for_while_packets_are_missing() {
        let copy = |offset| RedBlock { offset, payload: b"x", ..RedBlock::default() };
        let two = RedPacket::new(copy(0), &[copy(960), copy(1_920)]);
        let at = Instant::from_millis;
        let mut arrivals = RedArrivals::default();
        arrivals.count(Some(&two));
        for index in 1..=2 {
            arrivals.see(at(20 * index), index);
            assert_eq!(arrivals.wait(at(20 * index)), Duration::ZERO);
        }
        for (ms, index) in [(80, 5), (85, 4)] {
            arrivals.see(at(ms), index);
            assert_eq!(arrivals.wait(at(ms)), Duration::from_millis(40));
        }
        assert_eq!(arrivals.wait(at(10_080)), Duration::ZERO);
        arrivals.see(at(10_100), 7);
        assert_eq!(arrivals.wait(at(10_100)), Duration::from_millis(40));
    }

    #[test]
    fn packet_that_comes_after_all_was_not_missing() {
        let mut arrivals = RedArrivals::default();
        let at = Instant::from_millis(30_000);
        for (index, wait_ms) in [(1, 0), (3, 40), (2, 0), (4, 0), (7, 40), (6, 40), (5, 0)] {
            arrivals.see(at, index);
            assert_eq!(arrivals.wait(at), Duration::from_millis(wait_ms), "{index}");
        }
    }

    #[test]
    fn who_lost_a_probe_waits_for_copies_before_the_first_came_but_not_for_ever() {
        let mut arrivals = RedArrivals::default();
        let at = Instant::from_millis(100);
        for index in [1, 3] {
            arrivals.see(at, index);
        }
        assert_eq!(arrivals.wait(at), Duration::from_millis(40));
        (0..49).for_each(|_| arrivals.count(None));
        assert_eq!(arrivals.wait(at), Duration::from_millis(40));
        arrivals.count(None);
        assert_eq!(arrivals.wait(at), Duration::ZERO, "there are none");
    }
}
