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
    /// The smallest and the largest offset of the last packets' copies, in samples.
    near: u16,
    far: u16,
    /// The longest run of packets that were missing since none was for `LOSSY_FOR`.
    run: u8,
    copies: u8,
    /// Packets in a row whose copies do not reach as far.
    nearer: u8,
}

impl RedArrivals {
    /// Takes note that the packet `index` has come, of whatever kind.
    pub fn see(&mut self, now: Instant, index: u64) {
        let missing = index.saturating_sub(self.newest_index + 1);
        if self.newest_index > 0 && missing > 0 {
            let before = if self.is_lossy(now) { self.run } else { 0 };
            self.run = before.max(u8::try_from(missing).unwrap_or(u8::MAX));
            self.missed_at = now;
        }
        self.newest_index = self.newest_index.max(index);
    }

    /// Takes note of a packet's copies; `None` for one that is not redundant.
    pub fn count(&mut self, packet: Option<&RedPacket<'_>>) {
        let copies = packet.map_or(0, |packet| packet.copies().len()) as u8;
        // 14 bits.
        let offsets =
            || packet.into_iter().flat_map(RedPacket::copies).map(|copy| copy.offset as u16);
        let (near, far) = (offsets().min().unwrap_or(0), offsets().max().unwrap_or(0));
        self.nearer = if far < self.far { self.nearer + 1 } else { 0 };
        if far >= self.far || self.nearer == NEARER_MAX {
            *self = Self { near, far, copies, nearer: 0, ..*self };
        }
    }

    /// Returns how many copies the peer's packets carry now.
    pub fn copies(&self) -> u8 {
        self.copies
    }

    /// Returns how much longer a jitter buffer has to wait to make use of the copies: as much as the
    /// one comes later than its packet that brings back what was missing of late, the nearest where
    /// that were single packets.
    pub fn wait(&self, now: Instant) -> Duration {
        let offset = match self.run {
            _ if !self.is_lossy(now) => 0,
            1 => self.near,
            _ => self.far,
        };
        samples_duration(offset.into())
    }

    fn is_lossy(&self, now: Instant) -> bool {
        self.missed_at > Instant::ZERO && now.saturating_since(self.missed_at) < LOSSY_FOR
    }
}

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
        assert_eq!(arrivals.wait(at(10_100)), Duration::from_millis(20), "one was missing");
    }
}
