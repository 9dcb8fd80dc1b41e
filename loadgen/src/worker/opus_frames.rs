//! Takes an Opus packet apart into its frames, for comparing them.
//!
//! Shares no code with the node's packer on purpose: what is compared must not hide its mistakes.
//! Source: RFC 6716 section 3.2.

/// The frames of one packet, each without the packet's first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusFrames<'a> {
    frames: [&'a [u8]; FRAMES_MAX],
    count: usize,
    /// Mode, bandwidth, duration and channels: the first octet without the packing.
    pub config: u8,
}

impl<'a> OpusFrames<'a> {
    /// Reads a payload; `None` if it is malformed or holds over `FRAMES_MAX` frames.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (toc, rest) = payload.split_first()?;
        let mut parsed = Self { frames: [&[]; FRAMES_MAX], count: 0, config: toc & !0b11 };
        match toc & 0b11 {
            0 => parsed.push(rest)?,
            1 => parsed.push_equal(rest, 2)?,
            2 => {
                let (length, rest) = frame_length(rest)?;
                let (first, second) = rest.split_at_checked(length)?;
                parsed.push(first)?;
                parsed.push(second)?;
            }
            _ => parsed.push_many(rest)?,
        }
        Some(parsed)
    }

    /// Returns the frames in order.
    pub fn frames(&self) -> &[&'a [u8]] {
        &self.frames[..self.count]
    }

    /// Code 3: a count, perhaps padding, and frames of equal or of stated lengths.
    fn push_many(&mut self, body: &'a [u8]) -> Option<()> {
        let (head, mut rest) = body.split_first()?;
        let count = usize::from(head & 0b11_1111);
        if head & PADDED != 0 {
            rest = without_padding(rest)?;
        }
        if head & VARIABLE == 0 {
            return self.push_equal(rest, count);
        }
        let mut lengths = [0; FRAMES_MAX];
        for length in lengths.get_mut(..count.checked_sub(1)?)? {
            (*length, rest) = frame_length(rest)?;
        }
        for length in &lengths[..count - 1] {
            let (frame, behind) = rest.split_at_checked(*length)?;
            self.push(frame)?;
            rest = behind;
        }
        self.push(rest)
    }

    fn push_equal(&mut self, rest: &'a [u8], count: usize) -> Option<()> {
        if count == 0 || !rest.len().is_multiple_of(count) {
            return None;
        }
        let length = rest.len() / count;
        (0..count).try_for_each(|at| self.push(&rest[at * length..(at + 1) * length]))
    }

    fn push(&mut self, frame: &'a [u8]) -> Option<()> {
        *self.frames.get_mut(self.count)? = frame;
        self.count += 1;
        Some(())
    }
}

/// Hashes a frame and its configuration; 64 bits, so that in a run of 10^9 frames two that differ
/// are taken for equal with a probability under 10^-9.
pub fn frame_hash(config: u8, frame: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let mut words = frame.chunks_exact(8);
    let mut hash = mix(FACTOR ^ u64::from(config), frame.len() as u64);
    for word in &mut words {
        hash = mix(hash, u64::from_le_bytes(word.try_into().expect("chunks of eight")));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(mix(hash, u64::from_le_bytes(last)), FACTOR)
}

/// Reads the length of a frame: one octet, or two from 252 on. Source: RFC 6716 section 3.2.1.
fn frame_length(rest: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = rest.split_first()?;
    if *first < 252 {
        return Some((usize::from(*first), rest));
    }
    let (second, rest) = rest.split_first()?;
    Some((usize::from(*second) * 4 + usize::from(*first), rest))
}

/// Takes padding off: its length octets in front, itself at the end.
fn without_padding(mut rest: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    loop {
        let (octet, behind) = rest.split_first()?;
        rest = behind;
        padding += usize::from((*octet).min(254));
        if *octet < 255 {
            return rest.get(..rest.len().checked_sub(padding)?);
        }
    }
}

/// Frames of one packet: 120 ms in frames of 20 ms.
pub const FRAMES_MAX: usize = 6;

/// The bits of the frame count octet. Source: RFC 6716 section 3.2.5.
const VARIABLE: u8 = 0x80;
const PADDED: u8 = 0x40;

/// Odd and with as many ones as zeros; the multiplier of `wyhash`.
const FACTOR: u64 = 0xa076_1d64_78bd_642f;

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(payload: &[u8]) -> Option<Vec<Vec<u8>>> {
        let parsed = OpusFrames::parse(payload)?;
        Some(parsed.frames().iter().map(|frame| frame.to_vec()).collect())
    }

    #[test]
    fn every_packing_gives_the_same_frames() {
        let three = Some(vec![vec![1, 2], vec![3, 4], vec![5, 6]]);
        assert_eq!(frames(&[0x48, 1, 2]), Some(vec![vec![1, 2]]));
        assert_eq!(frames(&[0x49, 1, 2, 3, 4]), Some(vec![vec![1, 2], vec![3, 4]]));
        assert_eq!(frames(&[0x4a, 1, 9, 3, 4]), Some(vec![vec![9], vec![3, 4]]));
        assert_eq!(frames(&[0x4b, 3, 1, 2, 3, 4, 5, 6]), three);
        assert_eq!(frames(&[0x4b, 0x83, 2, 2, 1, 2, 3, 4, 5, 6]), three);
        assert_eq!(frames(&[0x4b, 0xc3, 2, 2, 2, 1, 2, 3, 4, 5, 6, 0, 0]), three);
    }

    #[test]
    fn malformed_payloads_are_refused() {
        for payload in [&[][..], &[0x49, 1], &[0x4a, 5, 1], &[0x4b], &[0x4b, 0], &[0x4b, 0x47, 9]] {
            assert_eq!(frames(payload), None, "{payload:?}");
        }
        assert_eq!(frames(&[0x4b, 7, 1, 2, 3, 4, 5, 6, 7]), None, "over 120 ms");
    }

    #[test]
    fn each_octet_and_the_length_change_the_hash() {
        let frame: Vec<u8> = (0..21).collect();
        let hash = frame_hash(0x48, &frame);
        for at in 0..frame.len() {
            let mut other = frame.clone();
            other[at] ^= 1;
            assert_ne!(frame_hash(0x48, &other), hash, "octet {at}");
        }
        assert_ne!(frame_hash(0x48, &frame[..20]), hash);
        assert_ne!(frame_hash(0x4c, &frame), hash);
        assert_eq!(frame_hash(0x48, &frame), hash);
    }
}
