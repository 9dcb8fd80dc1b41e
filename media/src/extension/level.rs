//! Audio levels in the header, so that nothing is decoded merely to learn who talks.

use crate::drop_reason::DropReason;
use crate::extension::{CLIENT_LEVEL_ID, ElementRefused, ElementWriter, Elements, MIXER_LEVEL_ID};
use crate::leg::Ssrc;
use crate::rtp::{CSRC_MAX, Csrcs, RtpPacket};

/// An audio level in -dBov: 0 is the loudest, 127 is silence.
///
/// 0 dBov is the level of a full-scale square wave; a full-scale sine has 3 (-3 dBov). The order
/// is that of the number: greater is quieter. Source: RFC 6464 section 3, RFC 6465 section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LevelDbov(pub u8);

impl Default for LevelDbov {
    fn default() -> Self {
        Self::SILENCE
    }
}

impl LevelDbov {
    /// The loudest level, 0 dBov.
    pub const LOUDEST: Self = Self(0);

    /// Digital silence, and all below -127 dBov.
    pub const SILENCE: Self = Self(127);

    /// Returns the level of a signal whose root mean square is `rms`, full scale being 1.0.
    ///
    /// -20 log10(rms), rounded to whole decibels and clamped; NaN counts as silence.
    pub fn from_rms(rms: f32) -> Self {
        if rms.is_nan() || rms <= 0.0 {
            return Self::SILENCE;
        }
        Self((-20.0 * rms.log10()).round().clamp(0.0, 127.0) as u8)
    }

    /// Returns the level of one frame of samples in -1.0 to 1.0; an empty frame is silence.
    pub fn from_samples(samples: &[f32]) -> Self {
        let energy: f32 = samples.iter().map(|sample| sample * sample).sum();
        Self::from_rms((energy / samples.len() as f32).sqrt())
    }

    /// Tells whether this level is louder than `other`.
    pub const fn is_louder_than(self, other: Self) -> bool {
        self.0 < other.0
    }
}

/// The level of one packet, as its sender states it. Source: RFC 6464 section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLevel {
    /// Whether the sender believes that the packet holds voice.
    pub voice: bool,
    /// How loud the packet is.
    pub level: LevelDbov,
}

impl ClientLevel {
    /// Reads the level that `packet` carries under `CLIENT_LEVEL_ID`, in either form.
    ///
    /// # Errors
    /// `NoLevel` if there is none, `MalformedExtension` if the block breaks before it.
    pub fn read(packet: &RtpPacket<'_>) -> Result<Self, DropReason> {
        let block = packet.extension().ok_or(DropReason::NoLevel)?;
        let value = Elements::new(block).find_id(CLIENT_LEVEL_ID)?;
        let octet = value.and_then(<[u8]>::first).ok_or(DropReason::NoLevel)?;
        Ok(Self { voice: octet & 0x80 != 0, level: LevelDbov(octet & 0x7f) })
    }

    /// Appends the level to a block.
    ///
    /// # Errors
    /// `NoRoom` if the buffer ends before it.
    pub fn write(self, writer: &mut ElementWriter<'_>) -> Result<(), ElementRefused> {
        writer.push(CLIENT_LEVEL_ID, &[u8::from(self.voice) << 7 | self.level.0.min(127)])
    }
}

/// The levels of a packet's contributing sources, in the order of its CSRC list.
///
/// Ends with the shorter of the two lists. Source: RFC 6465 section 3.
#[derive(Clone, Debug)]
pub struct MixerLevels<'a> {
    csrcs: Csrcs<'a>,
    levels: &'a [u8],
}

impl<'a> MixerLevels<'a> {
    /// Reads the levels that `packet` carries under `MIXER_LEVEL_ID`; none if it carries none.
    ///
    /// # Errors
    /// `MalformedExtension` if the block breaks before them.
    pub fn read(packet: &RtpPacket<'a>) -> Result<Self, DropReason> {
        let levels = match packet.extension() {
            Some(block) => Elements::new(block).find_id(MIXER_LEVEL_ID)?,
            None => None,
        };
        Ok(Self { csrcs: packet.csrcs(), levels: levels.unwrap_or_default() })
    }

    /// Appends one level for each contributing source, at most `CSRC_MAX`; none writes nothing.
    ///
    /// # Errors
    /// `NoRoom` if the buffer ends before them.
    pub fn write(
        levels: &[LevelDbov],
        writer: &mut ElementWriter<'_>,
    ) -> Result<(), ElementRefused> {
        let levels = &levels[..levels.len().min(CSRC_MAX)];
        let mut octets = [0; CSRC_MAX];
        for (octet, level) in octets.iter_mut().zip(levels) {
            *octet = level.0.min(127);
        }
        match levels.len() {
            0 => Ok(()),
            count => writer.push(MIXER_LEVEL_ID, &octets[..count]),
        }
    }
}

impl Iterator for MixerLevels<'_> {
    type Item = (Ssrc, LevelDbov);

    fn next(&mut self) -> Option<Self::Item> {
        let (octet, levels) = self.levels.split_first()?;
        let csrc = self.csrcs.next()?;
        self.levels = levels;
        Some((csrc, LevelDbov(octet & 0x7f)))
    }
}
