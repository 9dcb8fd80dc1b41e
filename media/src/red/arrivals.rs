//! What a receiver learns of a stream's copies.

use std::time::Duration;

use crate::codec::SAMPLE_RATE_HZ;
use crate::red::RedPacket;

/// How many copies a stream carries now, and how far behind their packets they come.
///
/// Four octets, for each leg has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedArrivals {
    /// The largest offset of the last packets' copies, in samples.
    offset: u16,
    copies: u8,
    /// Packets in a row with fewer copies.
    fewer: u8,
}

impl RedArrivals {
    /// Takes note of a packet with its copies; `None` for one that is not redundant.
    pub fn count(&mut self, packet: Option<&RedPacket<'_>>) {
        let copies = packet.map_or(0, |packet| packet.copies().len()) as u8;
        let offset = packet.and_then(|packet| packet.copies().map(|copy| copy.offset).max());
        // 14 bits.
        let offset = offset.unwrap_or(0) as u16;
        self.fewer = if copies < self.copies { self.fewer + 1 } else { 0 };
        if copies > self.copies || self.fewer == FEWER_MAX {
            *self = Self { offset, copies, fewer: 0 };
        } else if copies == self.copies {
            self.offset = self.offset.max(offset);
        }
    }

    /// Returns how many copies the peer's packets carry now.
    pub fn copies(&self) -> u8 {
        self.copies
    }

    /// Returns how much later than its packet the last copy of it is sent: what a jitter buffer
    /// has to wait longer to make use of it. Nothing while the peer sends none.
    pub fn wait(&self) -> Duration {
        Duration::from_nanos(u64::from(self.offset) * 1_000_000_000 / u64::from(SAMPLE_RATE_HZ))
    }
}

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
        assert_eq!((arrivals.copies(), arrivals.wait()), (0, Duration::ZERO));
        arrivals.count(Some(&two));
        assert_eq!((arrivals.copies(), arrivals.wait()), (2, Duration::from_millis(40)));
        for _ in 0..49 {
            arrivals.count(Some(&one));
        }
        arrivals.count(Some(&two));
        for _ in 0..49 {
            arrivals.count(Some(&one));
        }
        assert_eq!(arrivals.copies(), 2);
        arrivals.count(Some(&one));
        assert_eq!((arrivals.copies(), arrivals.wait()), (1, Duration::from_millis(20)));
        for _ in 0..50 {
            arrivals.count(None);
        }
        assert_eq!((arrivals.copies(), arrivals.wait()), (0, Duration::ZERO));
    }
}
