//! How late a stream's packets come, and the schedule that suits nearly all of them.

use std::time::Duration;

use super::histogram::Histogram;
use super::recent::RecentMin;
use super::{BufferedPacket, JitterSettings, nanos, samples_nanos};
use crate::codec::FRAME_SAMPLES;
use crate::rtp::RtpTimestamp;
use crate::time::Instant;

/// The delays of a stream's packets against its own clock.
///
/// A packet's delay is when it was received less when its last sample was due by the timestamps,
/// so packets of every length agree. Only differences between delays mean anything.
#[derive(Clone)]
pub struct Delays {
    /// The bounds of what packets wait, in ns.
    target_min: i64,
    target_max: i64,
    /// The share of a long wait that is waited for besides.
    margin: f64,
    clock: StreamClock,
    /// The smallest delays of the last seconds, in ns: a clock that drifts, or that moves because
    /// a mixer's tick does, is no jitter.
    earliest: RecentMin,
    /// By how many ms packets came later than the earliest then known.
    histogram: Histogram,
    /// The longest recent packets, as negative lengths in ns.
    longest: RecentMin,
    newest_at: Instant,
    /// What the last packet weighs.
    weight: f64,
    /// The newest packet's index, and the timestamp behind it.
    newest: Option<(u64, RtpTimestamp)>,
    /// By how many ns the last of the packets was late that a spurt began with, all at once.
    onset: Option<i64>,
    /// Nearly all are at most so many ns later than the earliest.
    spread: i64,
    /// By how many ns more copies of a packet may come later than itself.
    redundancy: i64,
}

impl Delays {
    /// Knows nothing of a stream yet.
    pub fn new(settings: JitterSettings) -> Self {
        let target_min = nanos(settings.target_min);
        Self {
            target_min,
            target_max: nanos(settings.target_max).max(target_min),
            margin: settings.margin(),
            clock: StreamClock::default(),
            earliest: RecentMin::new(EARLIEST_WINDOW),
            histogram: Histogram::new(LATE_SHARE),
            longest: RecentMin::new(LONGEST_WINDOW),
            newest_at: Instant::ZERO,
            weight: 0.0,
            newest: None,
            onset: None,
            spread: 0,
            redundancy: 0,
        }
    }

    /// Takes in when a packet came.
    ///
    /// It counts by the time since the last: of a burst that was held up, only the first is late
    /// for a reason of its own. Of a burst that a spurt begins with, only the last counts: the
    /// others were kept by their sender until there was something to hear. A packet without payload
    /// is a probe, and begins nothing.
    pub fn push(&mut self, packet: &BufferedPacket<'_>) {
        let length = samples_nanos(packet.samples);
        let since = packet.received_at.nanos_after(self.newest_at);
        self.newest_at = self.newest_at.max(packet.received_at);
        if since >= EARLIEST_FOR {
            self.earliest = RecentMin::new(EARLIEST_WINDOW);
        }
        self.longest.push(-length);
        let begins = self.begins_spurt(packet);
        let behind = packet.timestamp.wrapping_add(packet.samples);
        if self.newest.is_none_or(|(index, _)| index < packet.index) {
            self.newest = Some((packet.index, behind));
        }
        let due = self.clock.advance(behind);
        let delay = packet.received_at.nanos_after(Instant::ZERO).wrapping_sub(due);
        self.earliest.push(delay);
        let late = self.lateness(delay);
        let weight = if since >= length { 1.0 } else { since as f64 / length as f64 };
        let weight = weight.max(WEIGHT_MIN);
        if begins || self.onset.is_some() && weight < HELD_UP {
            self.onset = Some(late);
            return;
        }
        if let Some(onset) = self.onset.take() {
            self.count(onset, 1.0);
        }
        self.weight = weight;
        self.count(late, weight);
    }

    /// Takes in that a packet came as a copy in the last one; it counts as much as that one.
    pub(super) fn push_copy(&mut self, copy: &BufferedPacket<'_>) {
        let late = self.late(copy.received_at, copy.timestamp.wrapping_add(copy.samples));
        self.count(late, self.weight);
    }

    /// Counts a packet that was so many ns late.
    fn count(&mut self, late: i64, weight: f64) {
        self.histogram.add(bin(late), weight);
        self.spread = self.spread_with_margin();
    }

    /// Returns by how many ns a packet is later than the earliest, by the timestamp behind it.
    fn late(&self, received_at: Instant, behind: RtpTimestamp) -> i64 {
        let due = self.clock.at(behind);
        self.lateness(received_at.nanos_after(Instant::ZERO).wrapping_sub(due))
    }

    /// Returns by how much a delay is more than the least, in ns.
    fn lateness(&self, delay: i64) -> i64 {
        delay.saturating_sub(self.earliest.min().unwrap_or(delay)).max(0)
    }

    /// Returns what nearly all packets need, by those that came, and more where that is much: the
    /// latest of a few is not the latest of a hundred. In ns.
    fn spread_with_margin(&self) -> i64 {
        let high = self.histogram.high() as i64 * BIN_NANOS;
        if high <= STEADY {
            return high;
        }
        let few = FEW / self.histogram.total().max(FEW) - FEW * LATE_SHARE;
        high + ((high - STEADY) as f64 * (self.margin + few.max(0.0))) as i64
    }

    /// Tells whether the sender was silent before this packet: nothing is missing, and yet the
    /// timestamp jumps.
    fn begins_spurt(&self, packet: &BufferedPacket<'_>) -> bool {
        let Some((index, behind)) = self.newest else { return true };
        !packet.payload.is_empty() && packet.index == index + 1 && packet.timestamp != behind
    }

    /// Tells how much later than a packet the copies of it may come that are worth waiting for.
    pub(super) fn set_redundancy(&mut self, redundancy: Duration) {
        self.redundancy = nanos(redundancy);
    }

    /// Returns whether copies are waited for.
    pub(super) fn has_redundancy(&self) -> bool {
        self.redundancy > 0
    }

    /// Returns how long the earliest packets wait.
    pub(super) fn target(&self) -> Duration {
        to_duration(self.target_nanos())
    }

    fn target_nanos(&self) -> i64 {
        let wanted = self.target_min.saturating_add(self.spread).saturating_add(self.redundancy);
        wanted.min(self.target_max)
    }

    /// Returns how much later than the earliest nearly all packets come.
    pub(super) fn spread(&self) -> Duration {
        to_duration(self.spread)
    }

    /// Returns within what time packets overtake each other, now that one came: after a stall those
    /// that were held up do, as far as they come late.
    pub fn disorder(&self, received_at: Instant, timestamp: RtpTimestamp) -> Duration {
        let late = self.late(received_at, timestamp.wrapping_add(FRAME_SAMPLES as u32));
        to_duration(self.spread.max(late))
    }

    /// Returns beyond how many ns no packet waits.
    pub(super) fn max(&self) -> i64 {
        self.target_max
    }

    /// Returns how many ns a packet waits at least.
    pub(super) fn wait(&self, packet: &BufferedPacket<'_>) -> i64 {
        let early = self.margin(packet.received_at, packet.timestamp).saturating_neg();
        early.clamp(self.target_min, self.target_nanos())
    }

    /// Returns by how much a schedule that plays the sample of `timestamp` at `now` is later than
    /// the one that suits, in ns; negative if it is earlier.
    pub(super) fn margin(&self, now: Instant, timestamp: RtpTimestamp) -> i64 {
        let longest = self.longest.min().unwrap_or(0).saturating_neg();
        let earliest = self.earliest.min().unwrap_or(0);
        let suited = earliest.saturating_add(self.target_nanos()).saturating_add(longest);
        let schedule = now.nanos_after(Instant::ZERO).wrapping_sub(self.clock.at(timestamp));
        schedule.saturating_sub(suited)
    }
}

/// Maps timestamps to time, in ns from an arbitrary origin; wraps as they do, if after centuries.
#[derive(Clone, Copy, Default)]
struct StreamClock {
    newest: Option<(RtpTimestamp, i64)>,
}

impl StreamClock {
    /// Returns the time of `timestamp`, and knows those within twelve hours around it from now on.
    fn advance(&mut self, timestamp: RtpTimestamp) -> i64 {
        let at = self.at(timestamp);
        self.newest = Some((timestamp, at));
        at
    }

    fn at(&self, timestamp: RtpTimestamp) -> i64 {
        let Some((newest, at)) = self.newest else { return 0 };
        let samples = i64::from(timestamp.distance_from(newest));
        at.wrapping_add(samples * 62_500 / 3)
    }
}

fn to_duration(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.max(0).unsigned_abs())
}

fn bin(late: i64) -> usize {
    usize::try_from(late / BIN_NANOS).unwrap_or(0)
}

const BIN_NANOS: i64 = 1_000_000;

/// Share of packets that may be later than what is waited for. Chosen: delays that vary by 30 ms
/// then wait for 75.
const LATE_SHARE: f64 = 0.0075;

/// A packet of less weight was held up with the one before.
const HELD_UP: f64 = 0.5;

/// Packets that vary by no more ns than this need no margin: a busy machine, not a network.
const STEADY: i64 = 10 * BIN_NANOS;

/// Of normally distributed delays the latest of a hundred is later than the latest of n by about
/// this part of n; that of fewer than so many tells nothing.
const FEW: f64 = 8.0;

/// Packets of which the earliest are known: two to four seconds of 20 ms packets.
const EARLIEST_WINDOW: u32 = 100;

/// How many ns the earliest are known without a packet: a clock drifts by 2 ms at most meanwhile.
const EARLIEST_FOR: i64 = 10_000_000_000;

/// Packets of which the longest are known: half a second to a second.
const LONGEST_WINDOW: u32 = 25;

/// What a packet weighs that came right behind another.
const WEIGHT_MIN: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::LevelDbov;

    const MS: Duration = Duration::from_millis(1);
    const SETTINGS: JitterSettings = JitterSettings {
        target_min: Duration::from_millis(4),
        target_max: Duration::from_millis(200),
        quiet: LevelDbov(65),
        margin_percent: 0,
        stretch: true,
    };

    fn packet(index: u64, samples: u32, late: Duration) -> BufferedPacket<'static> {
        let timestamp = index as u32 * samples;
        let at = Instant::from_millis(900) + to_duration(samples_nanos(timestamp + samples)) + late;
        BufferedPacket {
            index,
            timestamp: RtpTimestamp(timestamp),
            samples,
            level: LevelDbov(20),
            received_at: at,
            payload: b"sound",
        }
    }

    fn wait(delays: &Delays, packet: &BufferedPacket<'_>) -> Duration {
        to_duration(delays.wait(packet))
    }

    #[test]
    fn target_covers_all_but_one_packet_in_a_hundred() {
        let mut delays = Delays::new(SETTINGS);
        for index in 0..2_000 {
            let late = match index % 400 {
                7 => MS * 150,
                n => MS * (n % 31) as u32,
            };
            delays.push(&packet(index, 960, late));
        }
        assert!((MS * 33..=MS * 34).contains(&delays.target()), "{:?}", delays.target());
        let early = packet(2_000, 960, Duration::ZERO);
        let late = packet(2_000, 960, MS * 25);
        assert!(
            (MS * 33..=MS * 34).contains(&wait(&delays, &early)),
            "{:?}",
            wait(&delays, &early)
        );
        assert!((MS * 8..=MS * 9).contains(&wait(&delays, &late)), "{:?}", wait(&delays, &late));
        assert_eq!(wait(&delays, &packet(2_000, 960, MS * 90)), MS * 4);
    }

    #[test]
    fn burst_that_was_held_up_once_is_no_rule() {
        let mut delays = Delays::new(SETTINGS);
        for index in 0..1_000 {
            let held_up = (500..515).contains(&index);
            let late = if held_up { MS * 20 * (515 - index as u32) } else { Duration::ZERO };
            delays.push(&packet(index, 960, late));
            assert!(delays.target() <= MS * 4 || index < 100, "{:?} at {index}", delays.target());
        }
    }

    #[test]
    fn burst_at_the_beginning_counts_as_its_last() {
        let mut delays = Delays::new(SETTINGS);
        for index in 0..4 {
            delays.push(&packet(index, 960, MS * 20 * (3 - index as u32)));
        }
        assert_eq!(delays.target(), MS * 4);
        delays.push(&packet(4, 960, MS * 9));
        assert_eq!(delays.target(), MS * 13);
    }

    #[test]
    fn what_a_sender_kept_before_a_later_spurt_is_not_late() {
        let mut delays = Delays::new(SETTINGS);
        for index in 0..1_000 {
            // Spurts of a second; each begins with three packets that were kept, all at once.
            let (spurt, place) = (index / 50, index % 50);
            let late = MS * 20 * 3_u64.saturating_sub(place) as u32;
            let packet = packet(index + 100 * spurt, 960, late);
            delays.push(&BufferedPacket { index, ..packet });
        }
        assert_eq!(delays.target(), MS * 4);
    }

    #[test]
    fn packets_that_overtake_each_other_all_count() {
        let mut delays = Delays::new(SETTINGS);
        for pair in 0..500 {
            delays.push(&packet(2 * pair + 1, 960, Duration::ZERO));
            delays.push(&packet(2 * pair, 960, MS * 20));
        }
        assert!(delays.spread() >= MS * 20, "{:?}", delays.spread());
    }

    #[test]
    fn packet_has_come_when_its_copy_has() {
        let spread = |has_copies| {
            let mut delays = Delays::new(SETTINGS);
            // Every tenth packet comes 90 ms late, its copy with the packet behind it.
            for index in (1..1_000).filter(|index| index % 10 != 0) {
                delays.push(&packet(index, 960, Duration::ZERO));
                match index % 10 {
                    1 if has_copies => delays.push_copy(&packet(index - 1, 960, MS * 20)),
                    4 if !has_copies => delays.push(&packet(index - 4, 960, MS * 90)),
                    _ => {}
                }
            }
            delays.spread()
        };
        assert_eq!((spread(true), spread(false)), (MS * 20, MS * 90));
    }

    #[test]
    fn few_packets_and_a_margin_make_a_long_wait_longer_and_a_short_one_not() {
        let spread = |margin_percent, packets: u64, late_ms: u64| {
            let mut delays = Delays::new(JitterSettings { margin_percent, ..SETTINGS });
            for index in 0..packets {
                delays.push(&packet(index, 960, MS * (index % 2 * late_ms) as u32));
            }
            delays.spread().as_millis()
        };
        assert_eq!((spread(0, 1_000, 60), spread(40, 1_000, 60)), (60, 80));
        assert!((61..110).contains(&spread(0, 32, 60)), "{}", spread(0, 32, 60));
        assert_eq!((spread(40, 8, 10), spread(40, 1_000, 10)), (10, 10));
    }

    #[test]
    fn longer_packets_are_played_later_and_no_more_uncertain() {
        let mut delays = Delays::new(SETTINGS);
        for index in 0..60 {
            delays.push(&packet(index, 2_880, Duration::ZERO));
        }
        let first = packet(60, 2_880, Duration::ZERO);
        assert_eq!((delays.target(), wait(&delays, &first)), (MS * 4, MS * 4));
        assert_eq!(delays.margin(first.received_at + MS * 14, first.timestamp), 10_000_000);
        for index in 183..250 {
            delays.push(&packet(index, 960, Duration::ZERO));
        }
        let short = packet(250, 960, Duration::ZERO);
        assert_eq!((delays.target(), wait(&delays, &short)), (MS * 4, MS * 4));
    }

    #[test]
    fn target_is_bounded() {
        let mut delays = Delays::new(SETTINGS);
        for index in 0..200 {
            delays.push(&packet(index, 960, MS * (index % 2 * 400) as u32));
        }
        delays.set_redundancy(MS * 40);
        assert_eq!(delays.target(), MS * 200);
        assert_eq!(wait(&delays, &packet(200, 960, Duration::ZERO)), MS * 200);
    }
}
