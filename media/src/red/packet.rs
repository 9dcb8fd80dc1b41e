//! The payload's form: block headers, then copies and the primary in the same order.

use crate::codec::{Codec, FRAME_SAMPLES};
use crate::drop_reason::DropReason;
use crate::red::{COPIES_MAX, COPY_SIZE_MAX, Copies, OFFSET_MAX};
use crate::rtp::{PayloadType, RtpTimestamp};

/// One block: a copy of an earlier packet's payload, or with offset 0 the packet's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedBlock<'a> {
    /// What the payload is.
    pub payload_type: PayloadType,
    /// How long before the packet's timestamp it begins, in samples; at most `OFFSET_MAX`.
    pub offset: u32,
    /// The payload; of a copy at most `COPY_SIZE_MAX` octets.
    pub payload: &'a [u8],
}

/// A payload taken apart: the packet's own, and up to `COPIES_MAX` copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedPacket<'a> {
    primary: RedBlock<'a>,
    /// As on the wire.
    copies: [RedBlock<'a>; COPIES_MAX],
    count: usize,
}

/// A copy, with what the header of the packet said that it is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor<'a> {
    /// The unwrapped sequence number of the packet that it is a copy of.
    pub index: u64,
    /// That packet's timestamp.
    pub timestamp: RtpTimestamp,
    /// Samples that it stands for.
    pub samples: u32,
    /// Its payload.
    pub payload: &'a [u8],
}

impl<'a> RedPacket<'a> {
    /// Takes a payload apart.
    ///
    /// # Errors
    /// `MalformedRed` if headers or copies run past the payload, there are more than `COPIES_MAX`
    /// copies, or nothing is left for the packet's own.
    pub fn parse(payload: &'a [u8]) -> Result<Self, DropReason> {
        Self::split(payload).ok_or(DropReason::MalformedRed)
    }

    /// Makes a packet with these copies, newest first.
    ///
    /// A copy is left out if its offset or its length passes a field's bound, or there are more
    /// than `COPIES_MAX`; and with it those before it.
    pub fn new(primary: RedBlock<'a>, copies: &[RedBlock<'a>]) -> Self {
        let fits =
            |copy: &&RedBlock<'_>| copy.offset <= OFFSET_MAX && copy.payload.len() <= COPY_SIZE_MAX;
        let mut packet = Self { primary, copies: [RedBlock::default(); COPIES_MAX], count: 0 };
        for copy in copies.iter().take(COPIES_MAX).take_while(fits) {
            packet.copies[packet.count] = *copy;
            packet.count += 1;
        }
        packet.copies[..packet.count].reverse();
        packet
    }

    /// Makes a packet of one frame with copies of such; `payload_at` gives the payload of so many
    /// packets before it.
    pub fn of_frames(
        copies: Copies,
        payload_type: PayloadType,
        payload_at: impl Fn(usize) -> &'a [u8],
    ) -> Self {
        let block = |distance: usize| RedBlock {
            payload_type,
            offset: (distance * FRAME_SAMPLES) as u32,
            payload: payload_at(distance),
        };
        let mut blocks = [RedBlock::default(); COPIES_MAX];
        for (place, distance) in blocks.iter_mut().zip(copies.distances()) {
            *place = block(*distance);
        }
        Self::new(block(0), &blocks[..copies.count()])
    }

    /// Writes the payload and returns its length. The oldest copies are left out if there is no
    /// room for them; `None` if there is none for the primary either.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let all = &self.copies[..self.count];
        let fitting = (0..=all.len()).map(|skipped| &all[skipped..]);
        let copies = fitting.into_iter().find(|copies| self.size(copies) <= out.len())?;
        let mut writer = Writer { out, length: 0 };
        for copy in copies {
            let word = u32::from(COPY_FOLLOWS | copy.payload_type.0) << 24
                | copy.offset << LENGTH_BITS
                | copy.payload.len() as u32;
            writer.push(&word.to_be_bytes())?;
        }
        writer.push(&[self.primary.payload_type.0 & !COPY_FOLLOWS])?;
        for block in copies.iter().chain([&self.primary]) {
            writer.push(block.payload)?;
        }
        Some(writer.length)
    }

    /// Returns the packet's own payload.
    pub fn primary(&self) -> RedBlock<'a> {
        self.primary
    }

    /// Gives the copies, newest first.
    pub fn copies(&self) -> impl ExactSizeIterator<Item = RedBlock<'a>> + use<'a> {
        self.copies.into_iter().take(self.count).rev()
    }

    /// Gives the copies with the packets they are of, newest first.
    ///
    /// `index` and `timestamp` are this packet's. A copy's packet is as many before as its offset
    /// holds payloads of its length: a stream's packets are of one length from the oldest copied on.
    /// A copy whose offset is no whole number of them is left out, or that is of another kind.
    pub fn predecessors<C: Codec>(
        &self,
        codec: &C,
        index: u64,
        timestamp: RtpTimestamp,
    ) -> impl Iterator<Item = Predecessor<'a>> {
        let primary_type = self.primary.payload_type;
        self.copies().filter_map(move |copy| {
            let samples = codec.payload_samples(copy.payload).ok()? as u32;
            let is_placed = copy.payload_type == primary_type
                && copy.offset > 0
                && copy.offset.is_multiple_of(samples);
            is_placed.then_some(Predecessor {
                index: index.checked_sub((copy.offset / samples).into())?,
                timestamp: timestamp.wrapping_add(copy.offset.wrapping_neg()),
                samples,
                payload: copy.payload,
            })
        })
    }

    fn size(&self, copies: &[RedBlock<'_>]) -> usize {
        let copies = copies.iter().map(|copy| COPY_HEADER_LEN + copy.payload.len());
        PRIMARY_HEADER_LEN + self.primary.payload.len() + copies.sum::<usize>()
    }

    fn split(payload: &'a [u8]) -> Option<Self> {
        let (mut headers, mut count) = ([(PayloadType(0), 0, 0); COPIES_MAX], 0);
        let mut rest = payload;
        while rest.first()? & COPY_FOLLOWS != 0 {
            let (header, behind) = rest.split_first_chunk::<COPY_HEADER_LEN>()?;
            let word = u32::from_be_bytes(*header);
            let length = word as usize & COPY_SIZE_MAX;
            let payload_type = PayloadType(header[0] & !COPY_FOLLOWS);
            *headers.get_mut(count)? = (payload_type, word >> LENGTH_BITS & OFFSET_MAX, length);
            count += 1;
            rest = behind;
        }
        let (primary_type, mut rest) = rest.split_first()?;
        let mut copies = [RedBlock::default(); COPIES_MAX];
        for (copy, (payload_type, offset, length)) in copies.iter_mut().zip(&headers[..count]) {
            let (payload, behind) = rest.split_at_checked(*length)?;
            *copy = RedBlock { payload_type: *payload_type, offset: *offset, payload };
            rest = behind;
        }
        let primary =
            RedBlock { payload_type: PayloadType(*primary_type), offset: 0, payload: rest };
        (!rest.is_empty()).then_some(Self { primary, copies, count })
    }
}

/// Writes one piece behind the other.
struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn push(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.length + octets.len();
        self.out.get_mut(self.length..end)?.copy_from_slice(octets);
        self.length = end;
        Some(())
    }
}

/// Octets of a copy's header: a bit, payload type, offset, length. RFC 2198 section 3.
pub(super) const COPY_HEADER_LEN: usize = 4;

/// Octets of the primary's header: a bit and the payload type. RFC 2198 section 3.
pub(super) const PRIMARY_HEADER_LEN: usize = 1;

/// The first bit of a copy's header; the primary's has none.
const COPY_FOLLOWS: u8 = 0x80;

/// Bits of a copy's length.
const LENGTH_BITS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::opus::Opus;

    const OPUS: PayloadType = PayloadType(111);

    fn block(offset: u32, payload: &[u8]) -> RedBlock<'_> {
        RedBlock { payload_type: OPUS, offset, payload }
    }

    fn written(packet: &RedPacket<'_>) -> Vec<u8> {
        let mut out = [0; 4_000];
        let length = packet.write(&mut out).unwrap();
        out[..length].to_vec()
    }

    #[test]
    fn octets_are_those_of_rfc_2198() {
        let packet = RedPacket::new(block(0, b"now"), &[block(960, b"b"), block(1_920, b"aa")]);
        let octets = written(&packet);
        // Offset 1,920 in 14 bits and length 2 in 10: 0x1e0002; then 960 and 1: 0x0f0001.
        let headers = [0xef, 0x1e, 0x00, 0x02, 0xef, 0x0f, 0x00, 0x01, 0x6f];
        assert_eq!(octets, [&headers[..], b"aabnow"].concat());
        let parsed = RedPacket::parse(&octets).unwrap();
        assert_eq!(parsed, packet);
        assert_eq!(parsed.primary(), block(0, b"now"));
        assert!(parsed.copies().eq([block(960, b"b"), block(1_920, b"aa")]), "newest first");
    }

    #[test]
    fn packet_without_copies_is_one_octet_longer() {
        let packet = RedPacket::new(block(0, b"now"), &[]);
        assert_eq!(written(&packet), b"\x6fnow");
        assert_eq!(RedPacket::parse(b"\x6fnow").unwrap().copies().len(), 0);
    }

    #[test]
    fn what_does_not_fit_is_left_out_with_what_is_before_it() {
        let long = [7; COPY_SIZE_MAX + 1];
        for newest in [block(OFFSET_MAX + 1, b"late"), block(960, &long)] {
            let packet = RedPacket::new(block(0, b"now"), &[newest, block(1_920, b"a")]);
            assert_eq!(packet.copies().len(), 0);
        }
        let at_bounds = block(OFFSET_MAX, &long[1..]);
        let packet = RedPacket::new(block(0, b"now"), &[block(960, b"b"), at_bounds]);
        let octets = written(&packet);
        assert_eq!(RedPacket::parse(&octets), Ok(packet));
        assert_eq!(packet.copies().len(), 2);
        let packet = RedPacket::new(block(0, b"now"), &[block(960, b"b"); 3]);
        assert_eq!(packet.copies().len(), COPIES_MAX);
    }

    #[test]
    fn copies_are_left_out_where_there_is_no_room() {
        let packet = RedPacket::new(block(0, b"now"), &[block(960, b"b"), block(1_920, b"aa")]);
        let lengths = [15, 14, 9, 8, 4, 3].map(|room| packet.write(&mut vec![0; room]));
        assert_eq!(lengths, [Some(15), Some(9), Some(9), Some(4), Some(4), None]);
    }

    #[test]
    fn broken_payloads_are_malformed() {
        let third = [0xef, 0, 0, 0, 0xef, 0, 0, 0, 0xef, 0, 0, 0, 0x6f, 1];
        let cases: [&[u8]; 7] = [
            &[],
            &[0xef],
            &[0xef, 0, 0],
            &[0xef, 0, 0, 0],
            &[0xef, 0, 0, 2, 0x6f, 1],
            &third,
            &[0x6f],
        ];
        for case in cases {
            assert_eq!(RedPacket::parse(case), Err(DropReason::MalformedRed), "{case:?}");
        }
    }

    #[test]
    fn copies_are_placed_by_their_offset() {
        // Opus: 20 ms of CELT, and 60 ms of three such frames.
        let (single, triple): (&[u8], &[u8]) = (&[0xf8, 1], &[0xfb, 3, 1, 2, 3]);
        let found = |copies: &[RedBlock<'_>]| {
            let packet = RedPacket::new(block(0, single), copies);
            let found = packet.predecessors(&Opus, 100, RtpTimestamp(5_000));
            found.map(|copy| (copy.index, copy.timestamp.0, copy.samples)).collect::<Vec<_>>()
        };
        let [near, far] = [(99, 4_040, 960), (96, 1_160, 960)];
        assert_eq!(found(&[block(960, single), block(3_840, single)]), [near, far]);
        assert_eq!(found(&[block(3_840, single)]), [far]);
        assert_eq!(found(&[block(2_880, triple)]), [(99, 2_120, 2_880)]);
        assert_eq!(found(&[block(480, single), block(0, single)]), [], "they would overlap");
        let other = RedBlock { payload_type: PayloadType(0), ..block(960, single) };
        assert_eq!(found(&[other, block(3_840, single)]), [far]);
        let packet = RedPacket::new(block(0, single), &[block(3_840, single)]);
        assert_eq!(packet.predecessors(&Opus, 3, RtpTimestamp(0)).count(), 0, "before the first");
    }
}
