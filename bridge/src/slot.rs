//! One stream that everybody is sent: who is heard in it, and where its numbers stand.
//!
//! Within a spurt numbers are those of the talker, moved: what was lost on the way here stays
//! visible as a gap. Where another spurt begins, sequence numbers go on by one and the timestamp by
//! the time that has passed.

use std::time::Duration;

use sabha_media::codec::{FRAME_SAMPLES, PACKET_SAMPLES_MAX, SAMPLE_RATE_HZ};
use sabha_media::drop_reason::DropReason;
use sabha_media::engine::LegKey;
use sabha_media::rtp::{RtpTimestamp, SequenceNumber};
use sabha_media::time::Instant;

use crate::dominant::Activity;
use crate::history::History;

/// What a slot in use takes from the shard's pool.
pub(crate) struct Talk {
    pub(crate) history: History,
    pub(crate) activity: Activity,
}

impl Talk {
    pub(crate) fn new() -> Self {
        Self { history: History::new(), activity: Activity::default() }
    }

    /// Forgets the spurt before.
    pub(crate) fn reset(&mut self) {
        self.history.clear();
        self.activity = Activity::default();
    }
}

/// A packet's place in its talker's stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) index: u64,
    pub(crate) timestamp: RtpTimestamp,
    pub(crate) received_at: Instant,
}

/// One slot, which all members receive as one stream.
#[derive(Default)]
pub(crate) struct Slot {
    /// Who is forwarded.
    pub(crate) talker: Option<LegKey>,
    /// Who was forwarded last, unless that leg is gone.
    pub(crate) last: Option<LegKey>,
    /// Counts spurts; the first is 1.
    pub(crate) spurt: u16,
    /// Since when the talker holds it.
    pub(crate) held_since: Instant,
    /// Memory for the talker's packets; kept a little longer than the talker.
    pub(crate) talk: Option<Box<Talk>>,
    /// The sequence number that follows all that were given.
    next: SequenceNumber,
    /// Added to the talker's sequence numbers, and to their timestamps.
    sequence_offset: u16,
    timestamp_offset: u32,
    first_index: u64,
    newest: Newest,
    /// Bit n tells whether the packet n before the newest was passed on.
    passed: u64,
}

/// The newest packet that was passed on.
#[derive(Clone, Copy, Default)]
struct Newest {
    index: u64,
    timestamp: RtpTimestamp,
    /// Its timestamp in the slot's stream.
    slot_timestamp: RtpTimestamp,
    at: Instant,
    /// Samples from the one before to it, as far as they followed each other.
    samples: u32,
}

impl Slot {
    /// Begins a spurt of `key` with the packet at `first`; `current` is the newest that is here.
    pub(crate) fn begin(&mut self, now: Instant, key: LegKey, first: Position, current: Position) {
        let Newest { slot_timestamp: newest, at, samples, .. } = self.newest;
        let passed = samples_of(current.received_at.saturating_since(at));
        let expected = newest.wrapping_add(passed);
        let kept = current.timestamp.wrapping_add(self.timestamp_offset);
        let is_same = self.last == Some(key)
            && kept.distance_from(expected).unsigned_abs() < CLOCK_DIFFERENCE_MAX;
        if !is_same {
            self.timestamp_offset = expected.distance_from(current.timestamp).cast_unsigned();
        }
        let start = first.timestamp.wrapping_add(self.timestamp_offset);
        let earliest = newest.wrapping_add(samples.max(FRAME_SAMPLES as u32));
        let overlap = u32::try_from(earliest.distance_from(start)).unwrap_or(0);
        self.timestamp_offset = self.timestamp_offset.wrapping_add(overlap);
        self.sequence_offset = self.next.0.wrapping_sub(first.index as u16);
        self.spurt = self.spurt.wrapping_add(1).max(1);
        (self.talker, self.last, self.held_since) = (Some(key), Some(key), now);
        self.first_index = first.index;
        self.newest.index = first.index.wrapping_sub(1);
        self.passed = 0;
    }

    /// Tells whether a packet belongs to the spurt; another begins with one that does not.
    pub(crate) fn continues(&self, packet: Position) -> bool {
        let Newest { index, timestamp, .. } = self.newest;
        let is_first = self.passed == 0;
        let ahead = packet.index.saturating_sub(index);
        let samples = packet.timestamp.distance_from(timestamp);
        is_first || ahead == 0 || ahead <= GAP_MAX && (1..=GAP_SAMPLES_MAX).contains(&samples)
    }

    /// Gives a packet of the spurt its numbers in the slot's stream.
    ///
    /// # Errors
    /// `Late` if it is from before the spurt, or too old to know, `Duplicate` if it was passed on,
    /// or its copy.
    pub(crate) fn pass(
        &mut self,
        packet: Position,
    ) -> Result<(SequenceNumber, RtpTimestamp), DropReason> {
        let sequence_number =
            SequenceNumber(packet.index as u16).wrapping_add(self.sequence_offset);
        let slot_timestamp = packet.timestamp.wrapping_add(self.timestamp_offset);
        if let Some(age) = self.newest.index.checked_sub(packet.index)
            && self.passed > 0
        {
            if packet.index < self.first_index || age >= u64::BITS.into() {
                return Err(DropReason::Late);
            }
            if self.passed >> age & 1 == 1 {
                return Err(DropReason::Duplicate);
            }
            self.passed |= 1 << age;
            return Ok((sequence_number, slot_timestamp));
        }
        let advance = packet.index.wrapping_sub(self.newest.index);
        self.passed = self.passed.checked_shl(advance as u32).unwrap_or(0) | 1;
        let samples = packet.timestamp.distance_from(self.newest.timestamp);
        let follows = advance == 1 && (1..=PACKET_SAMPLES_MAX as i32).contains(&samples);
        self.newest = Newest {
            index: packet.index,
            timestamp: packet.timestamp,
            slot_timestamp,
            at: packet.received_at,
            samples: if follows { samples.unsigned_abs() } else { self.newest.samples },
        };
        self.next = sequence_number.next();
        Ok((sequence_number, slot_timestamp))
    }

    /// Returns the sequence number that follows all that were given.
    pub(crate) fn next(&self) -> SequenceNumber {
        self.next
    }

    /// Returns when the newest packet came.
    pub(crate) fn passed_at(&self) -> Instant {
        self.newest.at
    }
}

/// Returns the samples that a time stands for; wraps as timestamps do.
fn samples_of(time: Duration) -> u32 {
    (time.as_micros() * u128::from(SAMPLE_RATE_HZ) / 1_000_000) as u32
}

/// A longer gap in sequence numbers is no loss within a spurt: one second of packets. It also
/// bounds by how much one member can move a stream's numbers on.
const GAP_MAX: u64 = 50;

/// A longer jump of the timestamp is no pause within a spurt: discontinuous transmission sends
/// every 400 ms.
const GAP_SAMPLES_MAX: i32 = SAMPLE_RATE_HZ.cast_signed();

/// A talker who comes back keeps the timestamps' offset if that is no further than this from the
/// time that has passed: a second of drift, jitter and the node's stalls.
const CLOCK_DIFFERENCE_MAX: u32 = SAMPLE_RATE_HZ;

#[cfg(test)]
mod tests {
    use super::*;

    fn position(index: u64, timestamp: u32, at_ms: u64) -> Position {
        let received_at = Instant::from_millis(at_ms);
        Position { index, timestamp: RtpTimestamp(timestamp), received_at }
    }

    fn passed(slot: &mut Slot, packet: Position) -> Option<(u16, u32)> {
        slot.pass(packet).ok().map(|(sequence, timestamp)| (sequence.0, timestamp.0))
    }

    fn begin(slot: &mut Slot, key: u32, first: Position) {
        slot.begin(first.received_at, LegKey(key), first, first);
    }

    #[test]
    fn loss_and_order_stay_visible_within_a_spurt() {
        let mut slot = Slot::default();
        let first = position(100, 5_000, 1_000);
        begin(&mut slot, 1, first);
        let (sequence, timestamp) = passed(&mut slot, first).unwrap();
        let after = |packets: u16| Some((sequence + packets, timestamp + u32::from(packets) * 960));
        assert_eq!(passed(&mut slot, position(103, 5_000 + 3 * 960, 1_060)), after(3));
        assert_eq!(passed(&mut slot, position(101, 5_000 + 960, 1_061)), after(1));
        assert_eq!(slot.pass(position(101, 5_960, 1_062)), Err(DropReason::Duplicate));
        assert_eq!(slot.pass(position(99, 4_040, 1_062)), Err(DropReason::Late));
        assert_eq!(passed(&mut slot, position(104, 5_000 + 4 * 960, 1_080)), after(4));
    }

    #[test]
    fn takeover_goes_on_by_one_and_by_the_time_that_has_passed() {
        let mut slot = Slot::default();
        begin(&mut slot, 1, position(100, 0, 1_000));
        let (sequence, timestamp) = passed(&mut slot, position(100, 0, 1_000)).unwrap();
        let (first, current) = (position(7, 9_040, 1_500), position(9, 9_040 + 1_920, 1_500));
        slot.begin(Instant::from_millis(1_500), LegKey(2), first, current);
        let expected = (sequence + 1, timestamp + 24_000 - 1_920);
        assert_eq!(passed(&mut slot, first), Some(expected));
        assert_eq!(slot.spurt, 2);
    }

    #[test]
    fn takeover_at_once_does_not_overlap() {
        let mut slot = Slot::default();
        begin(&mut slot, 1, position(100, 0, 1_000));
        passed(&mut slot, position(100, 0, 1_000)).unwrap();
        let (_, newest) = passed(&mut slot, position(101, 2_880, 1_060)).unwrap();
        let (first, current) = (position(7, 0, 1_070), position(10, 2_880, 1_070));
        slot.begin(Instant::from_millis(1_070), LegKey(2), first, current);
        assert_eq!(passed(&mut slot, first).unwrap().1, newest + 2_880, "packets of 60 ms");
    }

    #[test]
    fn same_talker_keeps_their_clock_through_a_pause() {
        let mut slot = Slot::default();
        begin(&mut slot, 1, position(100, 5_000, 1_000));
        let (sequence, timestamp) = passed(&mut slot, position(100, 5_000, 1_000)).unwrap();
        let later = position(300, 5_000 + 96_000, 3_033);
        begin(&mut slot, 1, later);
        assert_eq!(passed(&mut slot, later), Some((sequence + 1, timestamp + 96_000)));
    }

    #[test]
    fn jump_of_numbers_is_another_spurt() {
        let mut slot = Slot::default();
        begin(&mut slot, 1, position(100, 0, 1_000));
        passed(&mut slot, position(100, 0, 1_000)).unwrap();
        assert!(slot.continues(position(101, 19_200, 1_400)), "discontinuous transmission");
        assert!(slot.continues(position(90, 0, 1_000)));
        assert!(!slot.continues(position(100 + 51, 960, 1_400)));
        assert!(!slot.continues(position(101, 48_001, 1_400)));
        assert!(!slot.continues(position(101, 0, 1_400)));
    }
}
