//! Takes Opus packets apart into frames and packs several packets into one, without decoding.
//!
//! By RFC 6716 section 3.2. Safe code with no state and no memory of its own; libopus' parser and
//! decoder are the oracle in tests. A pack decodes to the very samples of its packets in a row.

use crate::codec::{CodecError, FRAME_SAMPLES, PACKET_SAMPLES_MAX, PAYLOAD_SIZE_MAX};

/// How a packet's frames are encoded: configuration and channels, without the count of frames.
/// Source: RFC 6716 section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Toc(u8);

/// The frames of one packet, each with the packet's `Toc`.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    toc: Toc,
    sizes: Sizes<'a>,
    left: usize,
    /// What lies behind the next frame's size, or behind the last frame.
    rest: &'a [u8],
}

/// Where the frames' sizes are told.
#[derive(Clone, Copy, Debug)]
enum Sizes<'a> {
    /// All frames have this size.
    Same(usize),
    /// Each but the last has its size here; the last takes what is left.
    Told(&'a [u8]),
}

impl Toc {
    /// Returns the table-of-contents octet of a packet, or `None` if it is empty.
    pub fn of(payload: &[u8]) -> Option<Self> {
        payload.first().map(|octet| Self(octet & !CODE_MASK))
    }

    /// Returns the samples in each frame, at 48 kHz.
    pub fn frame_samples(self) -> usize {
        let config = self.0 >> 3;
        match config {
            0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
            12..16 => [480, 960][usize::from(config & 1)],
            _ => 120 << (config & 3),
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (Toc, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let size = match &mut self.sizes {
            Sizes::Same(size) => *size,
            Sizes::Told(_) if self.left == 0 => self.rest.len(),
            Sizes::Told(sizes) => {
                let (size, behind) = read_size(sizes)?;
                *sizes = behind;
                size
            }
        };
        let (frame, rest) = self.rest.split_at_checked(size)?;
        self.rest = rest;
        Some((self.toc, frame))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Frames<'_> {}

/// Returns the frames of a packet, at most 48; one may be empty, as an encoder's pause is.
///
/// # Errors
/// `InvalidPacket` for what RFC 6716 section 3.4 calls malformed; libopus refuses the same.
pub fn frames(payload: &[u8]) -> Result<Frames<'_>, CodecError> {
    let (toc, body) = Toc::of(payload).zip(payload.get(1..)).ok_or(CodecError::InvalidPacket)?;
    let found = match payload[0] & CODE_MASK {
        0 => Some(same(toc, 1, body)),
        1 => body.len().is_multiple_of(2).then(|| same(toc, 2, body)),
        2 => told(toc, 2, body),
        _ => counted(toc, body),
    };
    found.filter(Frames::are_in_bounds).ok_or(CodecError::InvalidPacket)
}

/// Tells whether a packet carries the frame before it once more, at a lower rate (in-band FEC).
///
/// Only SILK does, alone or in a hybrid frame: behind a bit for each 20 ms that tells of voice
/// there is one that tells of redundancy, and of a stereo packet's second channel likewise.
/// Source: RFC 6716 sections 4.2.3 and 4.2.4.
pub fn has_fec(payload: &[u8]) -> bool {
    let first = frames(payload).ok().and_then(|mut frames| frames.next());
    let Some((toc, &[flags, ..])) = first else { return false };
    if toc.0 >> 3 >= FIRST_CELT_CONFIG {
        return false;
    }
    let voice_flags = toc.frame_samples().div_ceil(FRAME_SAMPLES);
    let is_told = |behind: usize| flags >> (7 - behind) & 1 == 1;
    is_told(voice_flags) || toc.0 & STEREO != 0 && is_told(2 * voice_flags + 1)
}

/// Tells whether `next` may stand in one pack behind `first`: it is encoded in the same way.
pub fn can_follow(first: &[u8], next: &[u8]) -> bool {
    Toc::of(first).is_some() && Toc::of(first) == Toc::of(next)
}

/// Packs packets of one frame each into one packet and returns its length.
///
/// # Errors
/// As `pack_size`; `BufferTooSmall` if `packet` is.
pub fn pack(payloads: &[&[u8]], packet: &mut [u8]) -> Result<usize, CodecError> {
    let (needed, available) = (pack_size(payloads)?, packet.len());
    let mut writer = Writer { packet, length: 0 };
    if needed > available {
        return Err(CodecError::BufferTooSmall { available, needed });
    }
    let (toc, count, are_same) = (payloads[0][0], payloads.len(), are_same(payloads));
    match (count, are_same) {
        (1, _) => writer.push(&[toc]),
        (2, true) => writer.push(&[toc | 1]),
        (2, false) => writer.push(&[toc | 2]),
        (_, true) => writer.push(&[toc | 3, count as u8]),
        (_, false) => writer.push(&[toc | 3, count as u8 | VARIABLE]),
    }
    if !are_same {
        payloads[..count - 1].iter().for_each(|payload| writer.push_size(payload.len() - 1));
    }
    payloads.iter().for_each(|payload| writer.push(&payload[1..]));
    Ok(writer.length)
}

/// Returns the length of the pack of these packets.
///
/// # Errors
/// `InvalidPacket` if there are none or more than 48, if one has not just one frame, if they are
/// encoded differently, or stand for more than 120 ms together.
pub fn pack_size(payloads: &[&[u8]]) -> Result<usize, CodecError> {
    let toc = payloads.first().and_then(|first| Toc::of(first)).ok_or(CodecError::InvalidPacket)?;
    let is_packable =
        |payload: &&[u8]| payload.first() == Some(&toc.0) && payload.len() <= 1 + FRAME_SIZE_MAX;
    let samples = payloads.len().saturating_mul(toc.frame_samples());
    if !payloads.iter().all(is_packable) || samples > PACKET_SAMPLES_MAX {
        return Err(CodecError::InvalidPacket);
    }
    let sizes = payloads.iter().map(|payload| payload.len() - 1);
    let head = if payloads.len() < 3 { 1 } else { 2 };
    let told: usize = match are_same(payloads) {
        true => 0,
        false => sizes.clone().take(payloads.len() - 1).map(|size| size_octets(size).0).sum(),
    };
    Ok(head + told + sizes.sum::<usize>())
}

fn are_same(payloads: &[&[u8]]) -> bool {
    payloads.iter().all(|payload| payload.len() == payloads[0].len())
}

/// Returns how many octets tell a frame's size, and those. Source: RFC 6716 section 3.2.1.
fn size_octets(size: usize) -> (usize, [u8; 2]) {
    if size < LONG_SIZE {
        return (1, [size as u8, 0]);
    }
    let low = LONG_SIZE + (size & 3);
    (2, [low as u8, ((size - low) / 4) as u8])
}

/// Writes one piece behind the other; there is room for all.
struct Writer<'a> {
    packet: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn push(&mut self, octets: &[u8]) {
        self.packet[self.length..][..octets.len()].copy_from_slice(octets);
        self.length += octets.len();
    }

    fn push_size(&mut self, size: usize) {
        let (count, octets) = size_octets(size);
        self.push(&octets[..count]);
    }
}

impl Frames<'_> {
    /// Checks every frame's size, so that none is cut short.
    fn are_in_bounds(&self) -> bool {
        let samples = self.left * self.toc.frame_samples();
        let (mut all, count) = (self.clone(), self.left);
        let whole = all.by_ref().take(count).filter(|(_, frame)| frame.len() <= FRAME_SIZE_MAX);
        samples <= PACKET_SAMPLES_MAX && whole.count() == count && all.rest.is_empty()
    }
}

fn same(toc: Toc, count: usize, body: &[u8]) -> Frames<'_> {
    Frames { toc, sizes: Sizes::Same(body.len() / count), left: count, rest: body }
}

/// Frames whose sizes come first, but for the last one's.
fn told(toc: Toc, count: usize, body: &[u8]) -> Option<Frames<'_>> {
    let mut rest = body;
    for _ in 1..count {
        rest = read_size(rest)?.1;
    }
    let sizes = &body[..body.len() - rest.len()];
    Some(Frames { toc, sizes: Sizes::Told(sizes), left: count, rest })
}

/// Frames with their count, and perhaps padding. Source: RFC 6716 section 3.2.5.
fn counted(toc: Toc, body: &[u8]) -> Option<Frames<'_>> {
    let (octet, mut body) = body.split_first()?;
    let count = usize::from(octet & COUNT_MASK);
    if count == 0 || count * toc.frame_samples() > PACKET_SAMPLES_MAX {
        return None;
    }
    if octet & PADDED != 0 {
        body = without_padding(body)?;
    }
    if octet & VARIABLE != 0 {
        return told(toc, count, body);
    }
    body.len().is_multiple_of(count).then(|| same(toc, count, body))
}

fn without_padding(mut body: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    loop {
        let (octet, rest) = body.split_first()?;
        body = rest;
        // 255 says 254 octets and that another count follows.
        padding += usize::from(*octet).min(254);
        if *octet != 255 {
            return body.get(..body.len().checked_sub(padding)?);
        }
    }
}

fn read_size(body: &[u8]) -> Option<(usize, &[u8])> {
    match *body {
        [size, ref rest @ ..] if usize::from(size) < LONG_SIZE => Some((size.into(), rest)),
        [low, high, ref rest @ ..] => Some((usize::from(high) * 4 + usize::from(low), rest)),
        _ => None,
    }
}

/// Configurations from here on are CELT's alone. Source: RFC 6716 section 3.1.
const FIRST_CELT_CONFIG: u8 = 16;

/// The bit of the first octet that says that a packet is stereo. Source: RFC 6716 section 3.1.
const STEREO: u8 = 0x04;

/// The two bits of the first octet that say how many frames follow.
const CODE_MASK: u8 = 0b11;

/// Bits of the count's octet. Source: RFC 6716 section 3.2.5.
const COUNT_MASK: u8 = 0x3f;
const PADDED: u8 = 0x40;
const VARIABLE: u8 = 0x80;

/// Sizes from here on take two octets. Source: RFC 6716 section 3.2.1.
const LONG_SIZE: usize = 252;

/// The largest frame. Source: RFC 6716 section 3.4, requirement 2.
const FRAME_SIZE_MAX: usize = PAYLOAD_SIZE_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(payload: &[u8]) -> Result<Vec<usize>, CodecError> {
        frames(payload).map(|frames| frames.map(|(_, frame)| frame.len()).collect())
    }

    /// A packet of one 20 ms frame with so many octets, all of this value.
    fn single(size: usize, value: u8) -> Vec<u8> {
        let mut payload = vec![value; 1 + size];
        payload[0] = 0x78;
        payload
    }

    #[test]
    fn pack_gives_back_the_frames_that_went_in() {
        for sizes in [&[9][..], &[7, 7], &[7, 300], &[300, 7, 0], &[0, 0, 0], &[251, 252, 253]] {
            let payloads: Vec<_> =
                sizes.iter().enumerate().map(|(i, size)| single(*size, i as u8)).collect();
            let pieces: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
            let mut packet = [0; PAYLOAD_SIZE_MAX];
            let length = pack(&pieces, &mut packet).unwrap();
            let found: Vec<_> = frames(&packet[..length]).unwrap().collect();
            assert_eq!(found.len(), sizes.len());
            for ((toc, frame), payload) in found.iter().zip(&payloads) {
                assert_eq!((Some(*toc), *frame), (Toc::of(payload), &payload[1..]));
            }
            assert_eq!(pack_size(&pieces), Ok(length));
        }
    }

    #[test]
    fn packets_that_differ_in_kind_are_not_packed() {
        let (one, mut other) = (single(9, 1), single(9, 2));
        other[0] = 0x7c;
        assert!(can_follow(&one, &one) && !can_follow(&one, &other) && !can_follow(&one, &[]));
        let mut packet = [0; PAYLOAD_SIZE_MAX];
        assert_eq!(pack(&[&one, &other], &mut packet), Err(CodecError::InvalidPacket));
        assert_eq!(pack(&[], &mut packet), Err(CodecError::InvalidPacket));
        assert_eq!(pack(&[&[]], &mut packet), Err(CodecError::InvalidPacket));
        assert_eq!(
            pack(&[one.as_slice(); 7], &mut packet),
            Err(CodecError::InvalidPacket),
            "over 120 ms"
        );
        let length = pack(&[&one, &one], &mut packet).unwrap();
        let packed = packet[..length].to_vec();
        assert_eq!(pack(&[&packed, &one], &mut packet), Err(CodecError::InvalidPacket));
    }

    #[test]
    fn pack_without_room_tells_what_it_needs() {
        let (one, other) = (single(500, 1), single(400, 2));
        let needed = 1 + 2 + 500 + 400;
        let mut packet = vec![0; needed - 1];
        let refused = CodecError::BufferTooSmall { available: needed - 1, needed };
        assert_eq!(pack(&[&one, &other], &mut packet), Err(refused));
        packet.push(0);
        assert_eq!(pack(&[&one, &other], &mut packet), Ok(needed));
    }

    #[test]
    fn malformed_packets_are_refused() {
        for malformed in [
            &[][..],
            &[0x79, 1, 2, 3],
            &[0x7a],
            &[0x7a, 9, 1],
            &[0x7b],
            &[0x7b, 0],
            &[0x7b, 7, 1, 1, 1, 1, 1, 1, 1],
            &[0x7b, 3, 1, 2],
            &[0x7b, 0x82, 252],
            &[0x7b, 0x42, 255],
            &[0x7b, 0x42, 3, 1, 2],
        ] {
            assert_eq!(sizes(malformed), Err(CodecError::InvalidPacket), "{malformed:?}");
        }
        assert_eq!(sizes(&vec![0x78; 1 + FRAME_SIZE_MAX]), Ok(vec![FRAME_SIZE_MAX]));
        assert_eq!(sizes(&vec![0x78; 2 + FRAME_SIZE_MAX]), Err(CodecError::InvalidPacket));
    }

    #[test]
    fn padding_is_no_frame() {
        assert_eq!(sizes(&[0x7b, 0x42, 2, 1, 2, 3, 4, 0, 0]), Ok(vec![2, 2]));
        assert_eq!(sizes(&[0x7b, 0xc2, 1, 1, 7, 8, 9, 0]), Ok(vec![1, 2]));
    }
}
