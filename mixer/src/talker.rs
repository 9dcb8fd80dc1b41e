//! A leg that is being decoded: its buffer, decoder and the frame of this tick.
//!
//! Talkers come from a pool when a squelch opens and go back when they have faded out, so a
//! conference's memory follows those who talk, not those who listen.

use sabha_media::codec::{Codec, Decoder, FRAME_SAMPLES, Frame, PACKET_SAMPLES_MAX};
use sabha_media::engine::LegKey;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::{JitterBuffer, JitterSettings, Pull};
use sabha_media::leg::{LegId, Ssrc};
use sabha_media::time::Instant;

use crate::counters::MixerCounters;
use crate::levels::frame_db;

/// A decoded leg.
pub(crate) struct Talker<C: Codec> {
    /// Who talks; `None` once the leg is gone and only its fade remains.
    pub(crate) leg: Option<LegKey>,
    pub(crate) id: LegId,
    pub(crate) ssrc: Ssrc,
    pub(crate) buffer: JitterBuffer,
    decoder: C::Decoder,
    pcm: Pcm,
    /// This tick's sound, faded; silence if nothing was due.
    pub(crate) frame: Frame,
    /// Smoothed level of what was decoded, in dB below overload.
    pub(crate) decoded_db: f32,
    /// Whether the talker is among those summed.
    pub(crate) ranked: bool,
    /// Whether the talker is to fade out and go.
    pub(crate) leaving: bool,
    /// Gain at the end of the last frame: 0 or 1.
    gain: f32,
    false_claims: u32,
}

/// Decoded samples that wait for their tick.
struct Pcm {
    samples: Box<[f32; PACKET_SAMPLES_MAX + FRAME_SAMPLES]>,
    length: usize,
    /// What would have followed had nothing been skipped; faded into what does.
    skipped: [f32; CROSSFADE_SAMPLES],
    has_skipped: bool,
}

impl<C: Codec> Talker<C> {
    pub(crate) fn new(codec: &C, jitter: JitterSettings) -> Self {
        Self {
            leg: None,
            id: LegId { shard: 0, index: 0, generation: 0 },
            ssrc: Ssrc(0),
            buffer: JitterBuffer::new(jitter),
            decoder: codec.decoder(),
            pcm: Pcm {
                samples: Box::new([0.0; PACKET_SAMPLES_MAX + FRAME_SAMPLES]),
                length: 0,
                skipped: [0.0; CROSSFADE_SAMPLES],
                has_skipped: false,
            },
            frame: [0.0; FRAME_SAMPLES],
            decoded_db: SILENT_DB,
            ranked: false,
            leaving: false,
            gain: 0.0,
            false_claims: 0,
        }
    }

    /// Forgets the last tenant.
    pub(crate) fn begin(&mut self, leg: LegKey, id: LegId, ssrc: Ssrc, jitter: JitterSettings) {
        self.leg = Some(leg);
        self.id = id;
        self.ssrc = ssrc;
        self.buffer.reset(jitter);
        self.decoder.reset();
        self.pcm.length = 0;
        self.pcm.has_skipped = false;
        self.frame.fill(0.0);
        self.decoded_db = SILENT_DB;
        self.ranked = false;
        self.leaving = false;
        self.gain = 0.0;
        self.false_claims = 0;
    }

    /// Decodes this tick's frame. Each skipped packet takes one from `skips`.
    pub(crate) fn decode(&mut self, at: Instant, skips: &mut u32, counters: &mut MixerCounters) {
        while self.pcm.length < FRAME_SAMPLES {
            let room = &mut self.pcm.samples[self.pcm.length..][..PACKET_SAMPLES_MAX];
            match self.buffer.pull(at, *skips > 0) {
                Pull::Idle => break,
                Pull::Skip(packet) => {
                    counters.decodes += 1;
                    *skips -= 1;
                    decode_or_conceal(&mut self.decoder, packet.payload, room, counters);
                    if self.gain > 0.0 && !self.pcm.has_skipped {
                        self.pcm.skipped.copy_from_slice(&room[..CROSSFADE_SAMPLES]);
                        self.pcm.has_skipped = true;
                    }
                }
                Pull::Play(packet) => {
                    counters.decodes += 1;
                    let claimed = packet.level;
                    let written =
                        decode_or_conceal(&mut self.decoder, packet.payload, room, counters);
                    self.pcm.extend(written);
                    self.judge_claim(claimed);
                }
                Pull::Conceal(samples) => {
                    counters.decodes += 1;
                    counters.concealments += 1;
                    let room = &mut room[..(samples as usize).min(PACKET_SAMPLES_MAX)];
                    let Ok(written) = self.decoder.decode(None, room) else { break };
                    self.pcm.extend(written);
                }
            }
        }
        self.pcm.take(&mut self.frame);
        self.decoded_db = frame_db(&self.frame).min(self.decoded_db + DECAY_DB);
    }

    /// Fades the frame in or out towards being heard or not; returns whether it sounds at all.
    pub(crate) fn fade(&mut self) -> bool {
        let target = if self.ranked && !self.leaving { 1.0 } else { 0.0 };
        if target > self.gain {
            for (index, sample) in self.frame[..FADE_IN_SAMPLES].iter_mut().enumerate() {
                *sample *= index as f32 / FADE_IN_SAMPLES as f32;
            }
        } else if target < self.gain {
            for (index, sample) in self.frame.iter_mut().enumerate() {
                *sample *= 1.0 - (index + 1) as f32 / FRAME_SAMPLES as f32;
            }
        } else if target == 0.0 {
            self.frame.fill(0.0);
        }
        let sounded = self.gain > 0.0 || target > 0.0;
        self.gain = target;
        sounded
    }

    /// Returns whether the packets' levels claimed far more than was decoded, for half a second.
    pub(crate) fn is_false_claimant(&self) -> bool {
        self.false_claims >= FALSE_CLAIMS_MAX
    }

    fn judge_claim(&mut self, claimed: LevelDbov) {
        let false_claim = self.decoded_db > f32::from(claimed.0) + FALSE_CLAIM_DB;
        self.false_claims = if false_claim { self.false_claims + 1 } else { 0 };
    }
}

impl Pcm {
    /// Takes `written` samples, just decoded behind the last, as played.
    fn extend(&mut self, written: usize) {
        if self.has_skipped {
            self.has_skipped = false;
            let start = self.length;
            for (index, skipped) in self.skipped.iter().enumerate() {
                let share = index as f32 / CROSSFADE_SAMPLES as f32;
                let sample = &mut self.samples[start + index];
                *sample = *sample * share + skipped * (1.0 - share);
            }
        }
        self.length = (self.length + written).min(self.samples.len());
    }

    /// Moves one frame out; what is missing is silence.
    fn take(&mut self, frame: &mut Frame) {
        let length = self.length.min(FRAME_SAMPLES);
        frame[..length].copy_from_slice(&self.samples[..length]);
        frame[length..].fill(0.0);
        self.samples.copy_within(length..self.length, 0);
        self.length -= length;
    }
}

/// Decodes a payload, or conceals one frame in its place if the codec refuses it; returns the
/// samples written.
fn decode_or_conceal<D: Decoder>(
    decoder: &mut D,
    payload: &[u8],
    room: &mut [f32],
    counters: &mut MixerCounters,
) -> usize {
    match decoder.decode(Some(payload), room) {
        Ok(written) => written,
        Err(_) => {
            counters.undecodable += 1;
            room[..FRAME_SAMPLES].fill(0.0);
            decoder.decode(None, &mut room[..FRAME_SAMPLES]).unwrap_or(FRAME_SAMPLES)
        }
    }
}

/// Fade of a talker who comes in: 5 ms, short enough to keep a plosive.
const FADE_IN_SAMPLES: usize = 240;

/// Where packets were skipped, 5 ms of what they would have begun with fade into what follows.
const CROSSFADE_SAMPLES: usize = 240;

/// The level of nothing.
const SILENT_DB: f32 = 127.0;

/// How fast a decoded peak is forgotten: 1 dB for each tick, 50 dB a second.
const DECAY_DB: f32 = 1.0;

/// A claim is false if decoding finds this much less. Chosen: a codec's own error is under 3 dB.
const FALSE_CLAIM_DB: f32 = 20.0;

/// False claims in a row that end a talker: half a second.
const FALSE_CLAIMS_MAX: u32 = 25;
