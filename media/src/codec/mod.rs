//! The audio codec behind a trait: what the mixer and the members need of one.
//!
//! PCM is f32 mono at 48 kHz, full scale 1.0. The one implementation is [`opus`].

pub mod opus;

use std::time::Duration;

/// PCM sampling rate of every codec and mix, in Hz; also the RTP clock of Opus (RFC 7587).
pub const SAMPLE_RATE_HZ: u32 = 48_000;

/// Samples in one 20 ms frame, the unit of mixing.
pub const FRAME_SAMPLES: usize = 960;

/// The longest packet duration that a codec may produce, in samples: 120 ms (RFC 6716 section 2.1.4).
pub const PACKET_SAMPLES_MAX: usize = 5_760;

/// The largest payload that an encoder here produces, in bytes: RFC 6716 section 3.2.1.
pub const PAYLOAD_SIZE_MAX: usize = 1_275;

/// One frame of PCM.
pub type Frame = [f32; FRAME_SAMPLES];

/// Why a codec refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The payload is no packet of this codec.
    #[error("the payload is not a valid packet of this codec")]
    InvalidPacket,
    /// The codec's library reported an error.
    #[error("the codec failed with error {0}")]
    Library(i32),
    /// The caller's buffer is too small.
    #[error("a buffer of {available} is too small, {needed} are needed")]
    BufferTooSmall {
        /// How much the buffer holds.
        available: usize,
        /// How much is needed.
        needed: usize,
    },
}

/// What every encoder of one conference shares; changed together, in the same tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderSettings {
    /// Target bitrate in bit/s.
    pub bitrate: u32,
    /// Effort, 0 to 10.
    pub complexity: u8,
}

/// Turns frames into payloads.
pub trait Encoder: Send {
    /// Encodes one frame of 20 ms and returns the payload's length.
    ///
    /// # Errors
    /// `BufferTooSmall` if `payload` holds less than `PAYLOAD_SIZE_MAX`.
    fn encode(&mut self, frame: &Frame, payload: &mut [u8]) -> Result<usize, CodecError>;

    /// Becomes an exact copy of `other`: the next payload of both is the same for the same frame.
    fn copy_state_from(&mut self, other: &Self);

    /// Forgets everything heard.
    fn reset(&mut self);

    /// Applies settings from the next frame on.
    fn apply(&mut self, settings: EncoderSettings);
}

/// Turns payloads into PCM.
pub trait Decoder: Send {
    /// Decodes one payload, or conceals `pcm.len()` samples of a lost one, and returns the number
    /// of samples written.
    ///
    /// # Errors
    /// `InvalidPacket` for a payload that is malformed or longer than `pcm`.
    fn decode(&mut self, payload: Option<&[u8]>, pcm: &mut [f32]) -> Result<usize, CodecError>;

    /// Decodes the last `pcm.len()` samples before a packet that was received from the redundancy
    /// in it, and returns the number of samples written. The packet itself comes next.
    ///
    /// # Errors
    /// `InvalidPacket` if there is none in it; nothing was decoded then.
    fn decode_fec(&mut self, follower: &[u8], pcm: &mut [f32]) -> Result<usize, CodecError>;

    /// Forgets everything heard.
    fn reset(&mut self);
}

/// Makes encoders and decoders, and knows the duration of a payload without decoding it.
pub trait Codec: Send {
    /// The encoder.
    type Encoder: Encoder;
    /// The decoder.
    type Decoder: Decoder;

    /// Makes an encoder for a mix. Allocates; meant for pools.
    fn encoder(&self, settings: EncoderSettings) -> Self::Encoder;

    /// Makes a decoder. Allocates; meant for pools.
    fn decoder(&self) -> Self::Decoder;

    /// Returns the samples that a payload stands for.
    ///
    /// # Errors
    /// `InvalidPacket` for a payload that is malformed or stands for over 120 ms.
    fn payload_samples(&self, payload: &[u8]) -> Result<usize, CodecError>;

    /// Tells whether these payloads can stand in one of at most `PAYLOAD_SIZE_MAX` octets.
    fn can_pack(&self, payloads: &[&[u8]]) -> bool;

    /// Packs payloads of one frame each into one that decodes to the same, without encoding
    /// again; returns its length.
    ///
    /// # Errors
    /// `InvalidPacket` if they cannot stand in one, `BufferTooSmall` if `packet` holds too little.
    fn pack(&self, payloads: &[&[u8]], packet: &mut [u8]) -> Result<usize, CodecError>;
}

/// Returns how long so many samples last.
pub const fn samples_duration(samples: u32) -> Duration {
    Duration::from_nanos(samples as u64 * 1_000_000_000 / SAMPLE_RATE_HZ as u64)
}
