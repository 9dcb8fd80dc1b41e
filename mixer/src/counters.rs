//! What a mixer did, for reports and metrics.

use sabha_media::red::COPIES_MAX;

use crate::recent::FRAMES_MAX;

/// How many ticks had how many of something; the last bucket holds all above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickHistogram([u64; BUCKETS]);

impl Default for TickHistogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl TickHistogram {
    /// Counts a tick with `value`.
    pub(crate) fn count(&mut self, value: u32) {
        self.0[(value as usize).min(BUCKETS - 1)] += 1;
    }

    /// Returns the median value, or 0 without ticks.
    pub fn median(&self) -> u32 {
        let half = self.0.iter().sum::<u64>().div_ceil(2);
        let mut seen = 0;
        for (value, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= half.max(1) {
                return value as u32;
            }
        }
        0
    }

    /// Adds another histogram to this one.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

/// Counts of one conference's mixing, since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MixerCounters {
    /// Ticks of 20 ms in which anything was decoded or encoded.
    pub ticks: u64,
    /// Ticks with more encodes than ranked talkers, those just leaving, and one.
    pub ticks_over_encode_bound: u64,
    /// Ticks with more decodes than open squelches and four.
    pub ticks_over_decode_bound: u64,
    /// Calls of an encoder.
    pub encodes: u64,
    /// Calls of a decoder, concealments included.
    pub decodes: u64,
    /// Of those, concealments.
    pub concealments: u64,
    /// Payloads that the codec refused.
    pub undecodable: u64,
    /// Encodes in each tick.
    pub encodes_per_tick: TickHistogram,
    /// Decodes in each tick.
    pub decodes_per_tick: TickHistogram,
    /// Legs blocked because decoding contradicted their level.
    pub false_claims: u64,
    /// Talkers or encodes that a pool's limit refused.
    pub pool_exhausted: u64,
    /// Packets queued for members, by the frames in each: 20, 40 and 60 ms.
    pub packets_by_frames: [u64; FRAMES_MAX],
    /// Of those, packs sent before they were full: a spurt began or ended, the kind of encode
    /// changed, or a listener began to talk.
    pub packs_partial: u64,
    /// Of the packets of one frame, those that carry one copy, and those that carry two.
    pub packets_by_copies: [u64; COPIES_MAX],
    /// Packets from members that were lost and came as a copy in time to be kept.
    pub recovered: u64,
    /// Frames made from in-band redundancy, which are no concealments.
    pub repaired: u64,
    /// Ticks that were never made, as they had fallen behind too far.
    pub ticks_passed_over: u64,
}

/// What a mixer, or all of a shard, have in use now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MixerGauges {
    /// Legs that are sent packs of 40 or 60 ms.
    pub legs_packed: u64,
    /// The highest complexity that any encoder in use is set to; `None` if none is in use.
    pub complexity: Option<u8>,
}

impl MixerGauges {
    /// Adds another conference's figures to these.
    pub fn add(&mut self, other: &Self) {
        self.legs_packed += other.legs_packed;
        self.complexity = self.complexity.max(other.complexity);
    }
}

impl MixerCounters {
    /// Adds another conference's counts to these.
    pub fn add(&mut self, other: &Self) {
        self.ticks += other.ticks;
        self.ticks_over_encode_bound += other.ticks_over_encode_bound;
        self.ticks_over_decode_bound += other.ticks_over_decode_bound;
        self.encodes += other.encodes;
        self.decodes += other.decodes;
        self.concealments += other.concealments;
        self.undecodable += other.undecodable;
        self.encodes_per_tick.add(&other.encodes_per_tick);
        self.decodes_per_tick.add(&other.decodes_per_tick);
        self.false_claims += other.false_claims;
        self.pool_exhausted += other.pool_exhausted;
        for (mine, theirs) in self.packets_by_frames.iter_mut().zip(other.packets_by_frames) {
            *mine += theirs;
        }
        self.packs_partial += other.packs_partial;
        for (mine, theirs) in self.packets_by_copies.iter_mut().zip(other.packets_by_copies) {
            *mine += theirs;
        }
        self.recovered += other.recovered;
        self.repaired += other.repaired;
        self.ticks_passed_over += other.ticks_passed_over;
    }
}

/// More decodes or encodes than any tick can have: 16 candidates, 12 talkers, some leaving.
const BUCKETS: usize = 32;
