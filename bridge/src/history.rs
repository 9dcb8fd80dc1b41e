//! The last packets of one talk spurt: what is about to be sent, and what redundancy is made of.

use sabha_media::codec::PAYLOAD_SIZE_MAX;
use sabha_media::extension::LevelDbov;
use sabha_media::red::{COPIES_MAX, Copies, RED_SIZE_MAX, RedBlock, RedPacket};
use sabha_media::rtp::{PayloadType, RtpTimestamp, SequenceNumber};

/// The last packets of a spurt, in the order in which they came.
pub(crate) struct History {
    entries: [Entry; HISTORY_SIZE],
    next: usize,
}

/// What of a packet is passed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    /// Its sequence number as its sender had it, unwrapped.
    pub(crate) index: u64,
    /// Its timestamp as its sender had it.
    pub(crate) timestamp: RtpTimestamp,
    /// Its place in the slot's stream, before each receiver's offset.
    pub(crate) sequence_number: SequenceNumber,
    /// Its instant in the slot's stream, before each receiver's offset.
    pub(crate) slot_timestamp: RtpTimestamp,
    pub(crate) level: LevelDbov,
}

struct Entry {
    /// `None` in a place that was not used in this spurt.
    passed: Option<Passed>,
    length: usize,
    payload: [u8; PAYLOAD_SIZE_MAX],
}

impl History {
    pub(crate) fn new() -> Self {
        let entry = |_| Entry { passed: None, length: 0, payload: [0; PAYLOAD_SIZE_MAX] };
        Self { entries: std::array::from_fn(entry), next: 0 }
    }

    /// Forgets everything: another spurt begins.
    pub(crate) fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.passed = None;
        }
    }

    /// Takes a packet in, of at most `PAYLOAD_SIZE_MAX` octets, and returns its place; there it
    /// stays until `HISTORY_SIZE` others came.
    pub(crate) fn push(&mut self, passed: Passed, payload: &[u8]) -> usize {
        let place = self.next;
        self.next = (place + 1) % HISTORY_SIZE;
        let entry = &mut self.entries[place];
        entry.passed = Some(passed);
        entry.length = payload.len();
        entry.payload[..payload.len()].copy_from_slice(payload);
        place
    }

    /// Returns the packet at a place.
    pub(crate) fn at(&self, place: usize) -> Option<(&Passed, &[u8])> {
        let entry = self.entries.get(place)?;
        Some((entry.passed.as_ref()?, entry.payload()))
    }

    /// Writes the packet at a place with these copies; returns the number of copies and the octets.
    ///
    /// One that is not here is left out: nothing is told to receivers of a packet that never came.
    pub(crate) fn write_red(
        &self,
        place: usize,
        copies: Copies,
        payload_type: PayloadType,
        out: &mut [u8; RED_SIZE_MAX],
    ) -> Option<(usize, usize)> {
        let (passed, payload) = self.at(place)?;
        let (mut blocks, mut count) = ([RedBlock::default(); COPIES_MAX], 0);
        let before = copies.distances().iter();
        let before = before.filter_map(|distance| self.find(passed.index, *distance as u64));
        for (block, (copy, payload)) in blocks.iter_mut().zip(before) {
            let offset = passed.timestamp.distance_from(copy.timestamp).unsigned_abs();
            *block = RedBlock { payload_type, offset, payload };
            count += 1;
        }
        let primary = RedBlock { payload_type, offset: 0, payload };
        let packet = RedPacket::new(primary, &blocks[..count]);
        Some((packet.copies().len(), packet.write(out)?))
    }

    /// Returns the index of the packet that a copy with this timestamp is of, if it lies between
    /// packets that came and did not come itself. `packet` is the one that brought the copy.
    ///
    /// Between two packets of a spurt all are of one length.
    pub(crate) fn missing(
        &self,
        timestamp: RtpTimestamp,
        packet: (u64, RtpTimestamp),
    ) -> Option<u64> {
        let came = self.entries.iter().filter_map(|entry| entry.passed);
        let came = came.map(|passed| (passed.index, passed.timestamp)).chain([packet]);
        let behind = |(_, other): (u64, RtpTimestamp)| timestamp.distance_from(other);
        let before = came.clone().filter(|one| behind(*one) >= 0).min_by_key(|one| behind(*one))?;
        let after = came.filter(|one| behind(*one) < 0).max_by_key(|one| behind(*one))?;
        let packets = i32::try_from(after.0.checked_sub(before.0)?).ok()?;
        let samples = after.1.distance_from(before.1);
        if packets < 2 || samples % packets != 0 {
            return None;
        }
        let (distance, length) = (behind(before), samples / packets);
        let is_between = distance > 0 && distance % length == 0;
        is_between.then(|| before.0 + u64::from((distance / length).unsigned_abs()))
    }

    fn find(&self, index: u64, distance: u64) -> Option<(&Passed, &[u8])> {
        let wanted = index.checked_sub(distance)?;
        let all = self.entries.iter().filter_map(|entry| Some((entry.passed.as_ref()?, entry)));
        let mut found = all.filter(|(passed, _)| passed.index == wanted);
        found.next().map(|(passed, entry)| (passed, entry.payload()))
    }
}

impl Entry {
    fn payload(&self) -> &[u8] {
        &self.payload[..self.length]
    }
}

/// Packets that are remembered: those that wait to be sent, and copies up to four before them.
const HISTORY_SIZE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const OPUS: PayloadType = PayloadType(111);

    fn history(indices: &[u64]) -> History {
        let mut history = History::new();
        for index in indices {
            let timestamp = RtpTimestamp((*index as u32).wrapping_mul(960));
            let passed = Passed {
                index: *index,
                timestamp,
                sequence_number: SequenceNumber(*index as u16),
                slot_timestamp: timestamp,
                level: LevelDbov(30),
            };
            history.push(passed, &[*index as u8; 3]);
        }
        history
    }

    #[test]
    fn copies_are_of_the_packets_directly_before_however_they_came() {
        let history = history(&[3, 5, 4, 6]);
        let mut out = [0; RED_SIZE_MAX];
        let (copies, length) = history.write_red(3, Copies::Two, OPUS, &mut out).unwrap();
        let packet = RedPacket::parse(&out[..length]).unwrap();
        let all: Vec<_> = packet.copies().map(|copy| (copy.offset, copy.payload[0])).collect();
        assert_eq!((copies, all), (2, vec![(960, 5), (1_920, 4)]));
        assert_eq!(packet.primary().payload, [6; 3]);
    }

    #[test]
    fn copy_of_a_packet_that_never_came_is_left_out() {
        let history = history(&[3, 5, 6]);
        let mut out = [0; RED_SIZE_MAX];
        assert_eq!(history.write_red(2, Copies::Two, OPUS, &mut out).unwrap().0, 1);
        assert_eq!(history.write_red(0, Copies::Two, OPUS, &mut out).unwrap().0, 0);
    }

    #[test]
    fn copy_between_packets_that_came_is_told_from_others() {
        let history = history(&[10, 13]);
        let packet = (15, RtpTimestamp(15 * 960));
        let missing = |number: u32| history.missing(RtpTimestamp(number), packet);
        assert_eq!(
            [14, 12, 11].map(|number| missing(number * 960)),
            [Some(14), Some(12), Some(11)]
        );
        assert_eq!([13, 10, 9, 15].map(|number| missing(number * 960)), [None; 4]);
        assert_eq!(missing(14 * 960 + 1), None, "of no packet");
    }

    #[test]
    fn nothing_is_told_across_a_pause() {
        let history = history(&[10]);
        let packet = (12, RtpTimestamp(30 * 960 + 1));
        assert_eq!(history.missing(RtpTimestamp(11 * 960), packet), None);
    }
}
