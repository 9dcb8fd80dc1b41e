//! Which of a stream's last packets arrived, and what a loss run-length block says of them.
//!
//! Source: RFC 3611 section 4.1.

use crate::leg::Ssrc;
use crate::rtcp::LossRle;
use crate::rtp::SequenceNumber;

/// A bit for each of the last `PACKETS_MAX` packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossMap([u64; WORDS]);

/// The losses of one report's interval, in chunks as they go into a report block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossChunks {
    begin: SequenceNumber,
    end: SequenceNumber,
    octets: [u8; CHUNK_OCTETS_MAX],
    length: usize,
}

impl LossMap {
    /// Takes note of a packet; `newest` is the newest index before it.
    pub(super) fn count(&mut self, index: u64, newest: u64) {
        if newest.saturating_sub(index) >= PACKETS_MAX {
            return;
        }
        let first_unknown = (newest + 1).max((index + 1).saturating_sub(PACKETS_MAX));
        for missing in first_unknown..=index {
            self.0[word_of(missing)] &= !bit_of(missing);
        }
        self.0[word_of(index)] |= bit_of(index);
    }

    /// Returns the losses from `begin` to `newest`, of the last `PACKETS_MAX` of them; `None` if
    /// there are none.
    pub(super) fn chunks(&self, begin: u64, newest: u64) -> Option<LossChunks> {
        let end = newest + 1;
        let begin = begin.max(end.saturating_sub(PACKETS_MAX));
        if (begin..end).all(|index| self.has(index)) {
            return None;
        }
        let sequence_number = |index: u64| SequenceNumber(index as u16);
        let mut chunks = LossChunks {
            begin: sequence_number(begin),
            end: sequence_number(end),
            octets: [0; CHUNK_OCTETS_MAX],
            length: 0,
        };
        let mut at = begin;
        while at < end {
            let is_received = self.has(at);
            let run = (at..end).take_while(|index| self.has(*index) == is_received).count() as u64;
            if run >= VECTOR_PACKETS {
                chunks.push(u16::from(is_received) << RUN_TYPE_SHIFT | run as u16);
                at += run;
                continue;
            }
            let bit = |place: u64| at + place < end && self.has(at + place);
            let bits = (0..VECTOR_PACKETS).fold(0, |bits, place| bits << 1 | u16::from(bit(place)));
            chunks.push(VECTOR | bits);
            at += VECTOR_PACKETS;
        }
        // A null chunk fills the 32-bit word.
        chunks.length = chunks.length.next_multiple_of(4);
        Some(chunks)
    }

    fn has(&self, index: u64) -> bool {
        self.0[word_of(index)] & bit_of(index) != 0
    }
}

impl LossChunks {
    /// Returns the report block of a stream.
    pub fn block(&self, ssrc: Ssrc) -> LossRle<'_> {
        let Self { begin, end, .. } = *self;
        LossRle { ssrc, thinning: 0, begin, end, chunks: &self.octets[..self.length] }
    }

    fn push(&mut self, chunk: u16) {
        self.octets[self.length..][..2].copy_from_slice(&chunk.to_be_bytes());
        self.length += 2;
    }
}

fn word_of(index: u64) -> usize {
    (index % PACKETS_MAX) as usize / 64
}

fn bit_of(index: u64) -> u64 {
    1 << (index % 64)
}

/// Packets that are known of: 5.12 s of 20 ms packets, a little more than a report's interval.
const PACKETS_MAX: u64 = 256;
const WORDS: usize = PACKETS_MAX as usize / 64;

/// Packets in a bit vector chunk. RFC 3611 section 4.1.2.
const VECTOR_PACKETS: u64 = 15;
const VECTOR: u16 = 0x8000;

/// Where a run length chunk says whether its packets were received. RFC 3611 section 4.1.1.
const RUN_TYPE_SHIFT: u32 = 14;

/// Octets of the chunks at most: a vector for each 15 packets, filled up to 32 bits.
const CHUNK_OCTETS_MAX: usize =
    (2 * PACKETS_MAX.div_ceil(VECTOR_PACKETS) as usize).next_multiple_of(4);

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of a stream that begins at 1,000 and lost these.
    fn map(lost: &[u64], count: u64) -> LossMap {
        let (mut map, mut newest) = (LossMap::default(), 1_000);
        for index in (1_000..1_000 + count).filter(|index| !lost.contains(index)) {
            map.count(index, newest);
            newest = index;
        }
        map
    }

    fn lost_in(chunks: &LossChunks) -> Vec<u16> {
        let block = chunks.block(Ssrc(1));
        let (mut at, mut lost) = (block.begin, Vec::new());
        for run in block.runs() {
            for _ in 0..run.packets {
                lost.extend((!run.is_received).then_some(at.0));
                at = at.next();
            }
        }
        assert_eq!(at, block.end);
        lost
    }

    #[test]
    fn stream_without_loss_has_no_block() {
        assert_eq!(map(&[], 250).chunks(1_000, 1_249), None);
        assert_eq!(map(&[1_003], 250).chunks(1_100, 1_249), None, "it was lost before");
    }

    #[test]
    fn few_losses_take_few_octets() {
        let chunks = map(&[1_100, 1_101, 1_102], 250).chunks(1_000, 1_249).unwrap();
        assert_eq!(lost_in(&chunks), [1_100, 1_101, 1_102]);
        assert_eq!(chunks.length, 8, "a run, a vector, a run, and the null chunk");
    }

    #[test]
    fn whatever_is_lost_is_told() {
        let mut random = 3_u64;
        for share in [2, 10, 50] {
            for begin in [1_000, 1_017, 1_199] {
                let lost: Vec<u64> = (1_001..1_249)
                    .filter(|_| {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        (random >> 40) % 100 < share
                    })
                    .collect();
                let chunks = map(&lost, 250).chunks(begin, 1_249);
                let wanted: Vec<_> = lost
                    .iter()
                    .filter(|index| **index >= begin)
                    .map(|index| *index as u16)
                    .collect();
                assert_eq!(chunks.map_or(Vec::new(), |chunks| lost_in(&chunks)), wanted);
            }
        }
    }

    #[test]
    fn long_interval_tells_of_its_end() {
        let every_other: Vec<u64> = (1_000..2_000).step_by(2).collect();
        let chunks = map(&every_other, 1_000).chunks(1_000, 1_999).unwrap();
        assert_eq!(chunks.length, CHUNK_OCTETS_MAX);
        assert_eq!(lost_in(&chunks), (1_744..2_000).step_by(2).collect::<Vec<u16>>());
    }

    #[test]
    fn jump_forgets_what_is_older_and_a_late_packet_is_not_lost() {
        let mut map = map(&[], 10);
        map.count(5_000, 1_009);
        map.count(4_999, 5_000);
        let chunks = map.chunks(1_010, 5_000).unwrap();
        assert_eq!(lost_in(&chunks), (4_745..4_999).collect::<Vec<u16>>());
    }
}
