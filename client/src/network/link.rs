//! One direction of a bad network: datagrams go in, and come out later, twice or not at all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use sabha_media::time::Instant;
use sabha_media::transmit::DATAGRAM_SIZE_MAX;

use super::{Losses, NetworkChange, NetworkConditions};
use crate::random::Random;

/// What became of a direction's datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Taken in.
    pub taken: u64,
    /// Lost.
    pub lost: u64,
    /// Taken twice.
    pub duplicated: u64,
    /// Dropped because `LINK_DATAGRAMS_MAX` were on their way.
    pub overflowed: u64,
}

/// One direction.
pub(super) struct Link {
    conditions: NetworkConditions,
    losses: Losses,
    random: Random,
    stalled_until: Instant,
    queue: BinaryHeap<Reverse<Waiting>>,
    spare: Vec<Bytes>,
    counters: LinkCounters,
}

/// A datagram on its way; ordered by when it leaves, then by when it came.
pub(super) struct Waiting {
    /// When it leaves.
    pub(super) due: Instant,
    number: u64,
    /// Where it goes, or where it came from.
    pub(super) peer: SocketAddr,
    length: usize,
    bytes: Bytes,
}

type Bytes = Box<[u8; DATAGRAM_SIZE_MAX]>;

impl Link {
    pub(super) fn new(conditions: NetworkConditions, random: Random) -> Self {
        Self {
            conditions,
            losses: Losses::new(conditions.loss, conditions.burst),
            random,
            stalled_until: Instant::ZERO,
            queue: BinaryHeap::new(),
            spare: Vec::new(),
            counters: LinkCounters::default(),
        }
    }

    /// Changes at `at`; what is on its way stays as it was.
    pub(super) fn change(&mut self, at: Instant, change: NetworkChange) {
        match change {
            NetworkChange::Conditions(conditions) => {
                self.conditions = conditions;
                self.losses.set(conditions.loss, conditions.burst);
            }
            NetworkChange::Spike(length) => self.stalled_until = at + length,
        }
    }

    /// Takes a datagram that comes at `at`.
    pub(super) fn take(&mut self, at: Instant, peer: SocketAddr, bytes: &[u8]) {
        self.counters.taken += 1;
        if self.losses.is_lost(&mut self.random) {
            self.counters.lost += 1;
            return;
        }
        self.push(at, peer, bytes);
        if self.conditions.duplicates > 0.0 && self.random.unit() < self.conditions.duplicates {
            self.counters.duplicated += 1;
            self.push(at, peer, bytes);
        }
    }

    /// Gives out the next datagram that is due; it is to be given back.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Waiting> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop().map(|Reverse(waiting)| waiting)
    }

    /// Takes a datagram's memory back.
    pub(super) fn give_back(&mut self, waiting: Waiting) {
        self.spare.push(waiting.bytes);
    }

    /// Returns when the next datagram is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse(waiting)| waiting.due)
    }

    pub(super) fn counters(&self) -> LinkCounters {
        self.counters
    }

    fn push(&mut self, at: Instant, peer: SocketAddr, bytes: &[u8]) {
        let due = (at + self.delay()).max(self.stalled_until);
        if self.queue.len() >= LINK_DATAGRAMS_MAX {
            self.counters.overflowed += 1;
            return;
        }
        let length = bytes.len().min(DATAGRAM_SIZE_MAX);
        let mut slot = self.spare.pop().unwrap_or_else(|| Box::new([0; DATAGRAM_SIZE_MAX]));
        slot[..length].copy_from_slice(&bytes[..length]);
        let number = self.counters.taken;
        self.queue.push(Reverse(Waiting { due, number, peer, length, bytes: slot }));
    }

    fn delay(&mut self) -> Duration {
        let NetworkConditions { delay, jitter, .. } = self.conditions;
        if jitter.is_zero() {
            return delay;
        }
        let seconds = delay.as_secs_f64() + self.random.gauss() * jitter.as_secs_f64();
        Duration::from_secs_f64(seconds.max(0.0))
    }
}

impl Waiting {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

/// Datagrams on their way in one direction. Chosen: 20 s of a stream, all of it doubled.
pub const LINK_DATAGRAMS_MAX: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    fn at(ms: u64) -> Instant {
        Instant::from_millis(1_000_000 + ms)
    }

    fn link(conditions: &str) -> Link {
        Link::new(conditions.parse().unwrap(), Random::new(7, 0))
    }

    /// Sends `count` numbered datagrams 20 ms apart; returns number and due time of what came out,
    /// in its order.
    fn pass(link: &mut Link, count: u16) -> Vec<(u16, Instant)> {
        for number in 0..count {
            link.take(at(u64::from(number) * 20), PEER, &number.to_be_bytes());
        }
        let mut out = Vec::new();
        while let Some(waiting) = link.pop_due(at(100_000)) {
            let bytes = waiting.bytes().try_into().unwrap();
            out.push((u16::from_be_bytes(bytes), waiting.due));
            link.give_back(waiting);
        }
        out
    }

    #[test]
    fn perfect_link_changes_nothing() {
        let wanted: Vec<_> = (0..500).map(|number| (number, at(u64::from(number) * 20))).collect();
        assert_eq!(pass(&mut link("0"), 500), wanted);
    }

    #[test]
    fn delay_shifts_and_jitter_reorders() {
        let delayed = pass(&mut link("50"), 500);
        assert!(delayed.iter().all(|(number, due)| *due == at(u64::from(*number) * 20 + 50)));
        let out = pass(&mut link("200 30"), 2_000);
        assert!(!out.is_sorted_by_key(|(number, _)| *number));
        let lag = |(number, due): &(u16, Instant)| {
            due.saturating_since(at(u64::from(*number) * 20)).as_secs_f64() * 1e3
        };
        let mean = out.iter().map(lag).sum::<f64>() / 2_000.0;
        let variance = out.iter().map(|one| (lag(one) - mean).powi(2)).sum::<f64>() / 2_000.0;
        assert!((mean - 200.0).abs() < 2.0, "{mean}");
        assert!((variance.sqrt() - 30.0).abs() < 2.0, "{variance}");
    }

    #[test]
    fn duplicates_come_twice_and_losses_never() {
        let mut link = link("0 0 20 10");
        let out = pass(&mut link, 2_000);
        let LinkCounters { taken, lost, duplicated, overflowed } = link.counters();
        assert_eq!((taken, overflowed), (2_000, 0));
        assert_eq!(out.len() as u64, taken - lost + duplicated);
        assert!((340..460).contains(&lost) && (120..200).contains(&duplicated), "{lost} lost");
    }

    #[test]
    fn spike_holds_everything_and_releases_it_at_once() {
        let mut link = link("10");
        link.change(at(100), NetworkChange::Spike(Duration::from_millis(300)));
        let out = pass(&mut link, 30);
        let due = |number: usize| out[number].1;
        assert_eq!((due(6), due(19), due(20)), (at(400), at(400), at(410)));
        assert!(out.is_sorted_by_key(|(number, _)| *number), "in the order they came");
    }

    #[test]
    fn same_seed_gives_the_same_and_queue_has_a_limit() {
        let pass = |seed| {
            let conditions = "100 30 10 5 3".parse().unwrap();
            pass(&mut Link::new(conditions, Random::new(seed, 0)), 500)
        };
        assert_eq!(pass(1), pass(1));
        assert_ne!(pass(1), pass(2));
        let mut link = link("10000");
        for _ in 0..LINK_DATAGRAMS_MAX + 3 {
            link.take(at(0), PEER, b"x");
        }
        assert_eq!((link.queue.len(), link.counters().overflowed), (LINK_DATAGRAMS_MAX, 3));
    }
}
