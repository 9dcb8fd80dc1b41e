//! What a receiver learns of a stream's copies.

use std::time::Duration;

use crate::codec::samples_duration;
use crate::red::RedPacket;
use crate::time::Instant;

/// How many copies a stream carries now, how far behind their packets they come, and whether they
/// are needed. Outlives the stream's spurts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedArrivals {
    newest_index: u64,
    /// When a packet was last found missing; zero if never.
    missed_at: Instant,
    /// The largest offset of the last packets' copies, in samples.
    offset: u16,
    copies: u8,
    /// Packets in a row with fewer copies.
    fewer: u8,
}

impl RedArrivals {
    /// Takes note that the packet `index` has come, of whatever kind.
    pub fn see(&mut self, now: Instant, index: u64) {
        if self.newest_index > 0 && index > self.newest_index + 1 {
            self.missed_at = now;
        }
        self.newest_index = self.newest_index.max(index);
    }

    /// Takes note of a packet's copies; `None` for one that is not redundant.
    pub fn count(&mut self, packet: Option<&RedPacket<'_>>) {
        let copies = packet.map_or(0, |packet| packet.copies().len()) as u8;
        let offset = packet.and_then(|packet| packet.copies().map(|copy| copy.offset).max());
        // 14 bits.
        let offset = offset.unwrap_or(0) as u16;
        self.fewer = if copies < self.copies { self.fewer + 1 } else { 0 };
        if copies > self.copies || self.fewer == FEWER_MAX {
            *self = Self { offset, copies, fewer: 0, ..*self };
        } else if copies == self.copies {
            self.offset = self.offset.max(offset);
        }
    }

    /// Returns how many copies the peer's packets carry now.
    pub fn copies(&self) -> u8 {
        self.copies
    }

    /// Returns how much longer a jitter buffer has to wait to make use of the copies: as much as the
    /// last one comes later than its packet. Nothing where none was missing of late.
    pub fn wait(&self, now: Instant) -> Duration {
        let is_lossy =
            self.missed_at > Instant::ZERO && now.saturating_since(self.missed_at) < LOSSY_FOR;
        if is_lossy { samples_duration(self.offset.into()) } else { Duration::ZERO }
    }
}

/// How long after a missing packet copies are waited for. Chosen: at 1 % loss one in two seconds
/// is missing.
const LOSSY_FOR: Duration = Duration::from_secs(10);

/// Packets in a row with fewer copies after which fewer are expected: a second. A spurt's first
/// packets have nothing to copy, and a few lost ones tell nothing.
const FEWER_MAX: u8 = 50;

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
        for (ms, index) in [(80, 4), (85, 3)] {
            arrivals.see(at(ms), index);
            assert_eq!(arrivals.wait(at(ms)), Duration::from_millis(40));
        }
        assert_eq!(arrivals.wait(at(10_080)), Duration::ZERO);
    }
}
