//! Opus (RFC 6716) by libopus, with an encoder whose state can be copied.
//!
//! libopus documents that an encoder's or decoder's state is one block without pointers into
//! itself and may be copied with memcpy. The usual wrapper hides that block, so this one stands on
//! `opusic-sys` directly. `unsafe` has its homes in media here, in `srtp/aead.rs` and in
//! `memory.rs`.

#![allow(unsafe_code)]

mod framing;

pub use framing::{Frames, Toc, can_follow, frames, has_fec, pack, pack_size};

use opusic_sys as sys;
use sys::{OPUS_OK, OpusDecoder as RawDecoder, OpusEncoder as RawEncoder};

use super::{
    Codec, CodecError, Decoder, Encoder, EncoderSettings, FRAME_SAMPLES, Frame, PACKET_SAMPLES_MAX,
    PAYLOAD_SIZE_MAX, SAMPLE_RATE_HZ,
};

/// Makes Opus encoders and decoders: 48 kHz, mono, VoIP application, 20 ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opus;

impl Codec for Opus {
    type Encoder = OpusEncoder;
    type Decoder = OpusDecoder;

    fn encoder(&self, settings: EncoderSettings) -> OpusEncoder {
        OpusEncoder::for_mix(settings)
    }

    fn decoder(&self) -> OpusDecoder {
        OpusDecoder::new()
    }

    fn payload_samples(&self, payload: &[u8]) -> Result<usize, CodecError> {
        let length = i32::try_from(payload.len()).map_err(|_| CodecError::InvalidPacket)?;
        if length == 0 {
            return Err(CodecError::InvalidPacket);
        }
        // SAFETY: pointer and length describe `payload`; libopus reads no further than the length.
        let samples = unsafe {
            sys::opus_packet_get_nb_samples(payload.as_ptr(), length, SAMPLE_RATE_HZ.cast_signed())
        };
        match usize::try_from(samples) {
            Ok(samples) if (1..=PACKET_SAMPLES_MAX).contains(&samples) => Ok(samples),
            _ => Err(CodecError::InvalidPacket),
        }
    }

    fn can_pack(&self, payloads: &[&[u8]]) -> bool {
        pack_size(payloads).is_ok_and(|size| size <= PAYLOAD_SIZE_MAX)
    }

    fn pack(&self, payloads: &[&[u8]], packet: &mut [u8]) -> Result<usize, CodecError> {
        pack(payloads, packet)
    }
}

/// An Opus encoder: variable bitrate, no in-band redundancy (that is RED's, per leg).
pub struct OpusEncoder {
    state: Box<[u128]>,
}

impl OpusEncoder {
    /// Makes an encoder for one voice, fresh from a microphone.
    ///
    /// # Panics
    /// Only if libopus refuses constants that it documents as valid.
    pub fn new(settings: EncoderSettings) -> Self {
        Self::made(settings, sys::OPUS_APPLICATION_VOIP, sys::OPUS_SIGNAL_VOICE)
    }

    /// Makes an encoder for a mix: sound that was coded before.
    ///
    /// In libopus' audio application a mix at 64 kbit/s is coded by CELT alone, whatever is said:
    /// a third of the time, and closer to what went in.
    ///
    /// # Panics
    /// As `new`.
    pub fn for_mix(settings: EncoderSettings) -> Self {
        Self::made(settings, sys::OPUS_APPLICATION_AUDIO, sys::OPUS_AUTO)
    }

    fn made(settings: EncoderSettings, application: i32, signal: i32) -> Self {
        // SAFETY: no arguments to get wrong.
        let size = unsafe { sys::opus_encoder_get_size(CHANNELS) };
        let mut encoder = Self { state: state_block(size) };
        let rate = SAMPLE_RATE_HZ.cast_signed();
        // SAFETY: the block is as large as libopus asked for and aligned for any type.
        let status = unsafe { sys::opus_encoder_init(encoder.raw(), rate, CHANNELS, application) };
        assert_eq!(status, OPUS_OK, "48 kHz mono is a valid Opus configuration");
        encoder.control(sys::OPUS_SET_SIGNAL_REQUEST, signal);
        encoder.control(sys::OPUS_SET_VBR_REQUEST, 1);
        encoder.control(sys::OPUS_SET_VBR_CONSTRAINT_REQUEST, 1);
        encoder.control(sys::OPUS_SET_INBAND_FEC_REQUEST, 0);
        encoder.control(sys::OPUS_SET_DTX_REQUEST, 0);
        encoder.apply(settings);
        encoder
    }

    /// Returns the encoder's look-ahead in samples: what it delays sound by.
    pub fn lookahead_samples(&mut self) -> u32 {
        let mut samples: i32 = 0;
        // SAFETY: this request takes a pointer to an i32, which lives across the call.
        unsafe {
            sys::opus_encoder_ctl(self.raw(), sys::OPUS_GET_LOOKAHEAD_REQUEST, &raw mut samples);
        }
        samples.cast_unsigned()
    }

    fn control(&mut self, request: i32, value: i32) {
        // SAFETY: every request passed here takes one i32 by value.
        let status = unsafe { sys::opus_encoder_ctl(self.raw(), request, value) };
        assert_eq!(status, OPUS_OK, "request {request} with {value} is documented as valid");
    }

    fn raw(&mut self) -> *mut RawEncoder {
        self.state.as_mut_ptr().cast()
    }
}

impl Encoder for OpusEncoder {
    fn encode(&mut self, frame: &Frame, payload: &mut [u8]) -> Result<usize, CodecError> {
        if payload.len() < PAYLOAD_SIZE_MAX {
            let (available, needed) = (payload.len(), PAYLOAD_SIZE_MAX);
            return Err(CodecError::BufferTooSmall { available, needed });
        }
        let (samples, room) = (FRAME_SAMPLES as i32, PAYLOAD_SIZE_MAX as i32);
        // SAFETY: the frame holds `samples` samples and the payload `room` octets.
        let length = unsafe {
            sys::opus_encode_float(self.raw(), frame.as_ptr(), samples, payload.as_mut_ptr(), room)
        };
        usize::try_from(length).map_err(|_| CodecError::Library(length))
    }

    fn copy_state_from(&mut self, other: &Self) {
        self.state.copy_from_slice(&other.state);
    }

    fn reset(&mut self) {
        // SAFETY: this request takes no argument.
        unsafe { sys::opus_encoder_ctl(self.raw(), sys::OPUS_RESET_STATE) };
    }

    fn apply(&mut self, settings: EncoderSettings) {
        let bitrate = settings.bitrate.clamp(BITRATE_MIN, BITRATE_MAX).cast_signed();
        self.control(sys::OPUS_SET_BITRATE_REQUEST, bitrate);
        self.control(sys::OPUS_SET_COMPLEXITY_REQUEST, i32::from(settings.complexity.min(10)));
    }
}

/// An Opus decoder to mono 48 kHz, whatever the sender's bandwidth or channels.
pub struct OpusDecoder {
    state: Box<[u128]>,
}

impl OpusDecoder {
    /// Makes a decoder.
    ///
    /// # Panics
    /// Only if libopus refuses constants that it documents as valid.
    pub fn new() -> Self {
        // SAFETY: no arguments to get wrong.
        let size = unsafe { sys::opus_decoder_get_size(CHANNELS) };
        let mut decoder = Self { state: state_block(size) };
        // SAFETY: the block is as large as libopus asked for and aligned for any type.
        let status = unsafe {
            sys::opus_decoder_init(decoder.raw(), SAMPLE_RATE_HZ.cast_signed(), CHANNELS)
        };
        assert_eq!(status, OPUS_OK, "48 kHz mono is a valid Opus configuration");
        decoder
    }

    fn decode_raw(
        &mut self,
        payload: Option<&[u8]>,
        pcm: &mut [f32],
        is_fec: bool,
    ) -> Result<usize, CodecError> {
        let room = i32::try_from(pcm.len()).unwrap_or(i32::MAX);
        let length = i32::try_from(payload.map_or(0, <[u8]>::len));
        let length = length.map_err(|_| CodecError::InvalidPacket)?;
        let pointer = payload.map_or(std::ptr::null(), <[u8]>::as_ptr);
        let is_fec = i32::from(is_fec);
        // SAFETY: pointer and length describe the payload, or ask for concealment; `room` is the
        // number of samples that `pcm` holds.
        let samples = unsafe {
            sys::opus_decode_float(self.raw(), pointer, length, pcm.as_mut_ptr(), room, is_fec)
        };
        usize::try_from(samples).map_err(|_| CodecError::InvalidPacket)
    }

    fn raw(&mut self) -> *mut RawDecoder {
        self.state.as_mut_ptr().cast()
    }
}

impl Default for OpusDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for OpusDecoder {
    fn decode(&mut self, payload: Option<&[u8]>, pcm: &mut [f32]) -> Result<usize, CodecError> {
        match payload {
            Some([]) => Err(CodecError::InvalidPacket),
            payload => self.decode_raw(payload, pcm, false),
        }
    }

    fn decode_fec(&mut self, follower: &[u8], pcm: &mut [f32]) -> Result<usize, CodecError> {
        if !has_fec(follower) || !pcm.len().is_multiple_of(FEC_STEP) {
            return Err(CodecError::InvalidPacket);
        }
        self.decode_raw(Some(follower), pcm, true)
    }

    fn reset(&mut self) {
        // SAFETY: this request takes no argument.
        unsafe { sys::opus_decoder_ctl(self.raw(), sys::OPUS_RESET_STATE) };
    }
}

fn state_block(size: i32) -> Box<[u128]> {
    let size = usize::try_from(size).unwrap_or(0);
    vec![0; size.div_ceil(size_of::<u128>())].into_boxed_slice()
}

const CHANNELS: i32 = 1;

/// What libopus makes up for is a multiple of 2.5 ms.
const FEC_STEP: usize = 120;

/// Lowest bitrate that libopus accepts, in bit/s.
const BITRATE_MIN: u32 = 6_000;

/// Highest useful bitrate for mono speech, in bit/s; keeps a 20 ms payload under 500 octets.
const BITRATE_MAX: u32 = 192_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: EncoderSettings = EncoderSettings { bitrate: 32_000, complexity: 5 };

    fn tone(frame: usize) -> Frame {
        std::array::from_fn(|i| 0.3 * (((frame * FRAME_SAMPLES + i) as f32) * 0.0576).sin())
    }

    #[test]
    fn copied_encoder_continues_bit_exactly() {
        let mut original = OpusEncoder::new(SETTINGS);
        let mut copy = OpusEncoder::new(SETTINGS);
        let (mut a, mut b) = ([0; PAYLOAD_SIZE_MAX], [0; PAYLOAD_SIZE_MAX]);
        for frame in 0..20 {
            original.encode(&tone(frame), &mut a).unwrap();
        }
        copy.copy_state_from(&original);
        for frame in 20..40 {
            let length_a = original.encode(&tone(frame), &mut a).unwrap();
            let length_b = copy.encode(&tone(frame), &mut b).unwrap();
            assert_eq!(a[..length_a], b[..length_b]);
        }
    }

    #[test]
    fn decoded_tone_keeps_its_level() {
        let (mut encoder, mut decoder) = (OpusEncoder::new(SETTINGS), OpusDecoder::new());
        let (mut payload, mut pcm) = ([0; PAYLOAD_SIZE_MAX], [0.0; PACKET_SAMPLES_MAX]);
        let mut energy = 0.0;
        for frame in 0..50 {
            let length = encoder.encode(&tone(frame), &mut payload).unwrap();
            assert_eq!(Opus.payload_samples(&payload[..length]), Ok(FRAME_SAMPLES));
            assert_eq!(decoder.decode(Some(&payload[..length]), &mut pcm), Ok(FRAME_SAMPLES));
            energy = pcm[..FRAME_SAMPLES].iter().map(|s| s * s).sum::<f32>();
        }
        let rms = (energy / FRAME_SAMPLES as f32).sqrt();
        assert!((rms - 0.3 / 2f32.sqrt()).abs() < 0.02, "rms {rms}");
    }

    #[test]
    fn refused_payloads_are_errors() {
        let mut pcm = [0.0; PACKET_SAMPLES_MAX];
        assert_eq!(OpusDecoder::new().decode(Some(&[]), &mut pcm), Err(CodecError::InvalidPacket));
        assert_eq!(Opus.payload_samples(&[]), Err(CodecError::InvalidPacket));
        assert_eq!(Opus.payload_samples(&[0xff, 0xff]), Err(CodecError::InvalidPacket));
    }

    #[test]
    fn lookahead_is_six_and_a_half_milliseconds() {
        assert_eq!(OpusEncoder::new(SETTINGS).lookahead_samples(), 312);
    }

    /// The sizes of a packet's frames by libopus' own parser; `None` if it refuses the packet.
    fn parsed_by_libopus(payload: &[u8]) -> Option<Vec<usize>> {
        let (mut toc, mut sizes, mut starts) = (0, [0; 48], [std::ptr::null(); 48]);
        // SAFETY: pointer and length describe `payload`; the arrays hold the 48 frames that a
        // packet has at most; a null offset is allowed.
        let count = unsafe {
            sys::opus_packet_parse(
                payload.as_ptr(),
                payload.len() as i32,
                &raw mut toc,
                starts.as_mut_ptr(),
                sizes.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).ok()?;
        Some(sizes[..count].iter().map(|size| size.cast_unsigned().into()).collect())
    }

    /// A voice's packets whose encoder repeats each in the next one.
    fn payloads_with_fec(count: usize) -> Vec<Vec<u8>> {
        let mut encoder = OpusEncoder::new(SETTINGS);
        encoder.control(sys::OPUS_SET_INBAND_FEC_REQUEST, 1);
        encoder.control(sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST, 30);
        let mut payload = [0; PAYLOAD_SIZE_MAX];
        let encoded = (0..count).map(|frame| {
            let length = encoder.encode(&tone(frame), &mut payload).unwrap();
            payload[..length].to_vec()
        });
        encoded.collect()
    }

    #[test]
    fn lost_frame_is_decoded_from_its_follower() {
        let payloads = payloads_with_fec(30);
        let (mut whole, mut repaired) = (OpusDecoder::new(), OpusDecoder::new());
        let (mut expected, mut pcm) = ([0.0; FRAME_SAMPLES], [0.0; FRAME_SAMPLES]);
        for payload in &payloads[..24] {
            whole.decode(Some(payload), &mut expected).unwrap();
            repaired.decode(Some(payload), &mut pcm).unwrap();
        }
        whole.decode(Some(&payloads[24]), &mut expected).unwrap();
        assert_eq!(repaired.decode_fec(&payloads[25], &mut pcm), Ok(FRAME_SAMPLES));
        let level = |pcm: &[f32]| pcm.iter().map(|sample| sample * sample).sum::<f32>();
        let error: Vec<f32> = pcm.iter().zip(&expected).map(|(one, other)| one - other).collect();
        assert!(
            level(&error) < 0.05 * level(&expected),
            "{} of {}",
            level(&error),
            level(&expected)
        );
        assert_eq!(repaired.decode(Some(&payloads[25]), &mut pcm), Ok(FRAME_SAMPLES));
    }

    #[test]
    fn packet_without_redundancy_is_not_asked_for_it() {
        let mut encoder = OpusEncoder::for_mix(EncoderSettings { bitrate: 64_000, complexity: 5 });
        let (mut decoder, mut payload) = (OpusDecoder::new(), [0; PAYLOAD_SIZE_MAX]);
        let mut pcm = [0.0; FRAME_SAMPLES];
        for frame in 0..10 {
            let length = encoder.encode(&tone(frame), &mut payload).unwrap();
            let refused = decoder.decode_fec(&payload[..length], &mut pcm);
            assert_eq!(refused, Err(CodecError::InvalidPacket), "a mix is CELT alone");
        }
        for refused in [&[][..], &[0xff, 0xff, 0xff], &[0x08]] {
            assert_eq!(decoder.decode_fec(refused, &mut pcm), Err(CodecError::InvalidPacket));
        }
    }

    #[test]
    fn packets_with_redundancy_are_those_that_libopus_finds() {
        let mut random = 9_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 40) as usize
        };
        let mut found = 0;
        for _ in 0..100_000 {
            let length = 1 + next() % 40;
            let payload: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            // SAFETY: pointer and length describe `payload`.
            let told = unsafe { sys::opus_packet_has_lbrr(payload.as_ptr(), payload.len() as i32) };
            assert_eq!(has_fec(&payload), told > 0, "{payload:?}");
            found += usize::from(told > 0);
        }
        assert!(found > 1_000, "{found}");
        assert!(payloads_with_fec(20).iter().skip(5).all(|payload| has_fec(payload)));
    }

    #[test]
    fn frames_are_those_that_libopus_finds() {
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 40) as usize
        };
        let mut accepted = [0; 4];
        for round in 0..200_000 {
            let length = next() % if round % 2 == 0 { 24 } else { 2_600 };
            let mut payload: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            // Small counts and sizes, so that every second packet is not refused for its count.
            payload.iter_mut().skip(1).take(next() % 6).for_each(|octet| *octet &= 0xc7);
            let found = frames(&payload).ok();
            let sizes = found.map(|all| all.map(|(_, frame)| frame.len()).collect::<Vec<_>>());
            assert_eq!(sizes, parsed_by_libopus(&payload), "{payload:?}");
            if sizes.is_some() {
                accepted[usize::from(payload[0] & 3)] += 1;
            }
        }
        assert!(accepted.iter().all(|count| *count > 1_000), "{accepted:?}");
    }

    #[test]
    fn pack_decodes_to_the_samples_of_its_packets() {
        let mut encoder = OpusEncoder::new(SETTINGS);
        let (mut singly, mut packed) = (OpusDecoder::new(), OpusDecoder::new());
        for start in (0..60).step_by(3) {
            for count in [2, 3] {
                let mut payloads = Vec::new();
                let mut expected = Vec::new();
                for frame in start..start + count {
                    let (mut payload, mut pcm) = ([0; PAYLOAD_SIZE_MAX], [0.0; FRAME_SAMPLES]);
                    let length = encoder.encode(&tone(frame), &mut payload).unwrap();
                    payloads.push(payload[..length].to_vec());
                    singly.decode(Some(&payload[..length]), &mut pcm).unwrap();
                    expected.extend(pcm);
                }
                let pieces: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
                let mut packet = [0; PAYLOAD_SIZE_MAX];
                let length = pack(&pieces, &mut packet).unwrap();
                assert_eq!(Opus.payload_samples(&packet[..length]), Ok(expected.len()));
                let mut pcm = [0.0; PACKET_SAMPLES_MAX];
                let samples = packed.decode(Some(&packet[..length]), &mut pcm).unwrap();
                assert_eq!(pcm[..samples], expected);
            }
        }
    }
}
