//! Extended reports: which packets were lost, so that bursts are told from single losses.
//!
//! Of RFC 3611 only the loss run-length block. Nothing smaller tells runs: a summary counts losses
//! only, and a burst of the VoIP metrics block is any stretch with less than 16 packets between
//! two losses, which at 10 % of random loss never ends. It takes 28 octets for one burst in a
//! report's interval and 56 at most, and none where nothing was lost.

use crate::leg::Ssrc;
use crate::rtcp::HEADER_LEN;
use crate::rtp::{SequenceNumber, read_u16, read_u32};

/// An extended report; blocks of unknown types are skipped.
#[derive(Clone, Copy, Debug)]
pub struct ExtendedReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
}

/// Which packets of a stream were received and which lost. Source: RFC 3611 section 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossRle<'a> {
    /// The stream.
    pub ssrc: Ssrc,
    /// Only every 2^thinning-th packet is told of; at most 15.
    pub thinning: u8,
    /// The first packet that is told of.
    pub begin: SequenceNumber,
    /// The one behind the last.
    pub end: SequenceNumber,
    /// Run-length and bit vector chunks of two octets each; a multiple of four octets.
    pub chunks: &'a [u8],
}

/// Packets in a row that fared alike. The next run may be of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossRun {
    /// Whether they were received.
    pub is_received: bool,
    /// How many they are.
    pub packets: u16,
}

impl<'a> ExtendedReport<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let ssrc = Ssrc(read_u32(body, 0)?);
        let report = Self { ssrc, blocks: &body[4..] };
        let mut rest = report.blocks;
        while !rest.is_empty() {
            rest = split_block(rest)?.1;
        }
        Some(report)
    }

    /// Gives the loss run-length blocks.
    pub fn losses(&self) -> impl Iterator<Item = LossRle<'a>> + use<'a> {
        let mut rest = self.blocks;
        let blocks = std::iter::from_fn(move || {
            let (block, behind) = split_block(rest)?;
            rest = behind;
            Some(block)
        });
        blocks.flatten()
    }
}

impl LossRle<'_> {
    /// Gives the runs from `begin` to `end`, as far as they are told.
    pub fn runs(&self) -> impl Iterator<Item = LossRun> {
        let mut left = self.end.0.wrapping_sub(self.begin.0);
        let (chunks, _) = self.chunks.as_chunks();
        let runs = chunks.iter().flat_map(|octets| runs_of(u16::from_be_bytes(*octets)));
        runs.map_while(move |run| {
            let packets = run.packets.min(left);
            left -= packets;
            (packets > 0).then_some(LossRun { packets, ..run })
        })
    }

    /// Returns the share of packets that were lost together with their follower, in 1/65,536: what
    /// one copy of each would not bring back. `None` if only some packets are told of.
    pub fn burst_lost(&self) -> Option<u16> {
        if self.thinning > 0 {
            return None;
        }
        let (mut told, mut lost_with_follower, mut is_after_lost) = (0_u32, 0_u32, false);
        for LossRun { is_received, packets } in self.runs() {
            told += u32::from(packets);
            if !is_received {
                lost_with_follower += u32::from(packets) - u32::from(!is_after_lost);
            }
            is_after_lost = !is_received;
        }
        let share = (u64::from(lost_with_follower) << 16).checked_div(u64::from(told))?;
        Some(u16::try_from(share).unwrap_or(u16::MAX))
    }

    /// Octets of the block.
    pub(super) fn len(&self) -> usize {
        BLOCK_HEADER_LEN + LOSS_FIXED_LEN + self.chunks.len()
    }

    pub(super) fn write(&self, out: &mut [u8]) {
        let words = ((self.len() - BLOCK_HEADER_LEN) / 4) as u16;
        out[..2].copy_from_slice(&[LOSS_RLE, self.thinning & THINNING_MASK]);
        out[2..4].copy_from_slice(&words.to_be_bytes());
        out[4..8].copy_from_slice(&self.ssrc.0.to_be_bytes());
        out[8..10].copy_from_slice(&self.begin.0.to_be_bytes());
        out[10..12].copy_from_slice(&self.end.0.to_be_bytes());
        out[12..].copy_from_slice(self.chunks);
    }
}

/// Splits the first block from those behind it, `Some(None)` for one of an unknown type; `None` if
/// it runs past the packet or breaks its type's rules.
fn split_block(blocks: &[u8]) -> Option<(Option<LossRle<'_>>, &[u8])> {
    let length = BLOCK_HEADER_LEN + 4 * usize::from(read_u16(blocks, 2)?);
    let (block, behind) = blocks.split_at_checked(length)?;
    if block[0] != LOSS_RLE {
        return Some((None, behind));
    }
    let losses = LossRle {
        ssrc: Ssrc(read_u32(block, 4)?),
        thinning: block[1] & THINNING_MASK,
        begin: SequenceNumber(read_u16(block, 8)?),
        end: SequenceNumber(read_u16(block, 10)?),
        chunks: &block[BLOCK_HEADER_LEN + LOSS_FIXED_LEN..],
    };
    Some((Some(losses), behind))
}

/// Takes a chunk apart: one run, a run for each bit, or none for a null chunk.
fn runs_of(chunk: u16) -> impl Iterator<Item = LossRun> {
    let is_vector = chunk & VECTOR != 0;
    let single = LossRun { is_received: chunk & RUN_RECEIVED != 0, packets: chunk & RUN_MASK };
    let vector = (0..VECTOR_BITS)
        .rev()
        .map(move |bit| LossRun { is_received: chunk >> bit & 1 == 1, packets: 1 });
    let bits = vector.take(if is_vector { VECTOR_BITS as usize } else { 0 });
    let run = Some(single).filter(|run| !is_vector && run.packets > 0);
    run.into_iter().chain(bits)
}

/// The block's type. RFC 3611 section 4.1.
const LOSS_RLE: u8 = 1;

/// The bits of a block's second octet that tell the thinning. RFC 3611 section 4.1.
const THINNING_MASK: u8 = 0x0f;

/// Type, a type's own octet, length in words. RFC 3611 section 3.
const BLOCK_HEADER_LEN: usize = HEADER_LEN;

/// SSRC, begin and end. RFC 3611 section 4.1.
const LOSS_FIXED_LEN: usize = 8;

/// Chunks: RFC 3611 sections 4.1.1 and 4.1.2.
const VECTOR: u16 = 0x8000;
const VECTOR_BITS: u32 = 15;
const RUN_RECEIVED: u16 = 0x4000;
const RUN_MASK: u16 = 0x3fff;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(begin: u16, end: u16, chunks: &[u8]) -> LossRle<'_> {
        let (begin, end) = (SequenceNumber(begin), SequenceNumber(end));
        LossRle { ssrc: Ssrc(7), thinning: 0, begin, end, chunks }
    }

    #[test]
    fn runs_and_vectors_are_read_and_clipped_to_the_range() {
        // Received 16, then a vector: received, lost, lost, received, and eleven more.
        let chunks = [0x40, 16, 0xc7, 0xff];
        let losses = block(65_530, 14, &chunks);
        let flat: Vec<bool> = losses
            .runs()
            .flat_map(|run| std::iter::repeat_n(run.is_received, run.packets.into()))
            .collect();
        let wanted = [&[true; 17][..], &[false; 3]].concat();
        assert_eq!(flat, wanted);
    }

    #[test]
    fn losses_beside_each_other_are_bursts() {
        // Of 100: one alone, then three together across two chunks, then one alone.
        let chunks: Vec<u8> = [0x4000 + 20, 1, 0x4000 + 40, 1, 2, 0x4000 + 30, 1, 0x4000 + 5, 0, 0]
            .iter()
            .flat_map(|chunk: &u16| chunk.to_be_bytes())
            .collect();
        assert_eq!(block(0, 100, &chunks).burst_lost(), Some((2 * 65_536 / 100) as u16));
        assert_eq!(LossRle { thinning: 1, ..block(0, 100, &chunks) }.burst_lost(), None);
        assert_eq!(block(5, 5, &chunks).burst_lost(), None, "of no packet nothing is told");
        assert_eq!(block(0, 60_000, &[0x3f, 0xff, 0x3f, 0xff]).burst_lost(), Some(65_533));
    }

    #[test]
    fn block_that_runs_past_the_packet_is_malformed() {
        let whole = [0, 0, 0, 9, 1, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 1];
        let report = ExtendedReport::parse(&whole).unwrap();
        assert!(report.losses().eq([block(0, 1, &[])]));
        for length in [0, 3, 5, 8, 12, 15] {
            assert!(ExtendedReport::parse(&whole[..length]).is_none(), "{length}");
        }
        let unknown = [0, 0, 0, 9, 77, 0, 0, 1, 1, 2, 3, 4];
        assert_eq!(ExtendedReport::parse(&unknown).unwrap().losses().count(), 0);
        let short = [0, 0, 0, 9, 1, 0, 0, 1, 0, 0, 0, 7];
        assert!(ExtendedReport::parse(&short).is_none());
    }
}
