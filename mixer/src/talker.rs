//! A leg that is being decoded: its playout and the frame of this tick.
//!
//! Talkers come from a pool when a squelch opens and go back when they have faded out, so a
//! conference's memory follows those who talk, not those who listen.

use sabha_media::codec::{Codec, FRAME_SAMPLES, Frame};
use sabha_media::engine::LegKey;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::JitterSettings;
use sabha_media::leg::{LegId, Ssrc};
use sabha_media::playout::Playout;
use sabha_media::time::Instant;

use crate::counters::MixerCounters;
use crate::levels::frame_db;

/// A decoded leg.
pub(crate) struct Talker<C: Codec> {
    /// Who talks; `None` once the leg is gone and only its fade remains.
    pub(crate) leg: Option<LegKey>,
    pub(crate) id: LegId,
    pub(crate) ssrc: Ssrc,
    pub(crate) playout: Playout<C::Decoder>,
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

impl<C: Codec> Talker<C> {
    pub(crate) fn new(codec: &C, jitter: JitterSettings) -> Self {
        Self {
            leg: None,
            id: LegId { shard: 0, index: 0, generation: 0 },
            ssrc: Ssrc(0),
            playout: Playout::new(codec.decoder(), jitter),
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
        self.playout.reset(jitter);
        self.frame.fill(0.0);
        self.decoded_db = SILENT_DB;
        self.ranked = false;
        self.leaving = false;
        self.gain = 0.0;
        self.false_claims = 0;
    }

    /// Decodes this tick's frame. Each skipped packet takes one from `skips`.
    pub(crate) fn decode(&mut self, at: Instant, skips: &mut u32, counters: &mut MixerCounters) {
        let before = self.playout.counters();
        let played = self.playout.fill(at, skips, &mut self.frame);
        let after = self.playout.counters();
        counters.decodes += after.decodes - before.decodes;
        counters.concealments += after.concealments - before.concealments;
        counters.repaired += after.repaired - before.repaired;
        counters.undecodable += after.undecodable - before.undecodable;
        self.decoded_db = frame_db(&self.frame).min(self.decoded_db + DECAY_DB);
        if let Some(claimed) = played.level {
            self.judge_claim(claimed);
        }
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

/// Fade of a talker who comes in: 5 ms, short enough to keep a plosive.
const FADE_IN_SAMPLES: usize = 240;

/// The level of nothing.
const SILENT_DB: f32 = 127.0;

/// How fast a decoded peak is forgotten: 1 dB for each tick, 50 dB a second.
const DECAY_DB: f32 = 1.0;

/// A claim is false if decoding finds this much less. Chosen: a codec's own error is under 3 dB.
const FALSE_CLAIM_DB: f32 = 20.0;

/// False claims in a row that end a talker: half a second.
const FALSE_CLAIMS_MAX: u32 = 25;
