//! One who is heard: their packets' order over all streams, playout, and volume.

use std::time::Duration;

use sabha_media::codec::SAMPLE_RATE_HZ;
use sabha_media::codec::opus::OpusDecoder;
use sabha_media::drop_reason::DropReason;
use sabha_media::jitter_buffer::{BufferedPacket, JitterCounters, JitterSettings};
use sabha_media::leg::Ssrc;
use sabha_media::playout::{PlayedFrame, Playout};
use sabha_media::rtp::RtpTimestamp;
use sabha_media::time::Instant;

use super::stream::Arrival;
use super::{BLOCK_SAMPLES, Block, Heard};

/// A talker's playout, or that of a whole mix.
///
/// Made once and given to one after the other; its figures are those of all of them.
pub(in crate::media) struct Talker {
    /// Who it is; `None` if nobody was heard yet.
    pub(super) source: Option<Ssrc>,
    /// The stream that the packets come in.
    pub(super) stream: Ssrc,
    /// Whether silence is not announced: what was concealed before it was no loss.
    ends_unannounced: bool,
    playout: Playout<OpusDecoder>,
    jitter: JitterSettings,
    /// What to add to a packet's index and timestamp in `stream`, so that they go on from those of
    /// the stream before.
    index_shift: u64,
    timestamp_shift: u32,
    newest: Option<Newest>,
    /// What the last block was multiplied with, and what the next is to be.
    gain: f32,
    gain_wanted: f32,
    heard: Heard,
    /// What became of the packets of earlier talkers.
    earlier: JitterCounters,
    /// Concealments when the last block was none.
    concealed_before: u64,
    /// Concealments that turned out to stand for silence.
    excused: u64,
}

/// The newest packet.
#[derive(Clone, Copy)]
struct Newest {
    index: u64,
    /// The timestamp behind its last sample.
    end: RtpTimestamp,
    received_at: Instant,
}

impl Talker {
    pub(super) fn new(jitter: JitterSettings, ends_unannounced: bool) -> Self {
        Self {
            source: None,
            stream: Ssrc(0),
            ends_unannounced,
            playout: Playout::new(OpusDecoder::new(), jitter),
            jitter,
            index_shift: 0,
            timestamp_shift: 0,
            newest: None,
            gain: 1.0,
            gain_wanted: 1.0,
            heard: Heard::default(),
            earlier: JitterCounters::default(),
            concealed_before: 0,
            excused: 0,
        }
    }

    /// Begins with another talker; returns whether one was there before.
    pub(super) fn begin(&mut self, source: Ssrc, gain: f32) -> bool {
        let was_taken = self.source.replace(source).is_some();
        if was_taken {
            self.earlier.add(&self.playout.buffer().counters());
            self.playout.reset(self.jitter);
        }
        self.newest = None;
        (self.index_shift, self.timestamp_shift, self.concealed_before) = (0, 0, 0);
        (self.gain, self.gain_wanted) = (gain, gain);
        was_taken
    }

    /// Goes on in a stream that the talker takes over: its numbers are another's. Packets missing
    /// before the first may be the talker's; time goes by when packets came.
    pub(super) fn take_over(&mut self, arrival: &Arrival, timestamp: RtpTimestamp, samples: u32) {
        self.stream = arrival.stream;
        let Some(newest) = self.newest else { return };
        let silence = arrival.received_at.saturating_since(newest.received_at).as_nanos();
        let silence = (silence * u128::from(SAMPLE_RATE_HZ) / 1_000_000_000) as u32;
        let begin = newest.end.wrapping_add(silence.saturating_sub(samples));
        self.index_shift = newest.index.wrapping_add(arrival.ahead).wrapping_sub(arrival.index);
        self.timestamp_shift = begin.0.wrapping_sub(timestamp.0);
    }

    /// Returns a packet of `stream` in the talker's own numbers.
    pub(in crate::media) fn renumber<'a>(&self, packet: BufferedPacket<'a>) -> BufferedPacket<'a> {
        BufferedPacket {
            index: packet.index.wrapping_add(self.index_shift),
            timestamp: packet.timestamp.wrapping_add(self.timestamp_shift),
            ..packet
        }
    }

    /// Takes a packet in, in the talker's own numbers.
    pub(in crate::media) fn insert(
        &mut self,
        packet: &BufferedPacket<'_>,
        arrival: &Arrival,
    ) -> Result<(), DropReason> {
        if self.newest.is_none_or(|newest| newest.index < packet.index) {
            let end = packet.timestamp.wrapping_add(packet.samples);
            let (index, received_at) = (packet.index, packet.received_at);
            self.newest = Some(Newest { index, end, received_at });
        }
        if arrival.is_kept_back {
            return self.playout.insert_kept(packet);
        }
        self.playout.insert(packet)
    }

    /// Returns the playout, for what does not depend on whose it is.
    pub(in crate::media) fn playout_mut(&mut self) -> &mut Playout<OpusDecoder> {
        &mut self.playout
    }

    /// Returns within what time packets overtake each other, now that this one came.
    pub(in crate::media) fn disorder(&self, packet: &BufferedPacket<'_>) -> Duration {
        self.playout.buffer().delays().disorder(packet.received_at, packet.timestamp)
    }

    pub(super) fn set_gain(&mut self, gain: f32) {
        self.gain_wanted = gain;
    }

    /// Adds the block that is due at `at` to a mix; returns what it was, nothing if it is not to be
    /// heard.
    pub(super) fn add_to(&mut self, mix: &mut Block, at: Instant) -> PlayedFrame {
        if self.source.is_none() {
            return PlayedFrame::default();
        }
        let mut block = [0.0; BLOCK_SAMPLES];
        let played = self.playout.fill(at, &mut { SKIPS_MAX }, &mut block);
        self.count(at, &played);
        let from = std::mem::replace(&mut self.gain, self.gain_wanted);
        let step = (self.gain - from) / BLOCK_SAMPLES as f32;
        for (index, (sum, sample)) in mix.iter_mut().zip(block).enumerate() {
            *sum += sample * (from + step * index as f32);
        }
        if from == 0.0 && self.gain == 0.0 { PlayedFrame::default() } else { played }
    }

    /// Returns when the newest packet came.
    pub(super) fn heard_at(&self) -> Instant {
        self.newest.map_or(Instant::ZERO, |newest| newest.received_at)
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Returns what became of the packets.
    pub(super) fn counters(&self) -> JitterCounters {
        let mut counters = self.playout.buffer().counters();
        counters.add(&self.earlier);
        counters.concealed -= self.excused;
        counters
    }

    fn count(&mut self, at: Instant, played: &PlayedFrame) {
        let concealed = self.playout.buffer().counters().concealed;
        let is_idle = played.samples < BLOCK_SAMPLES;
        if is_idle && self.ends_unannounced {
            self.heard.excuse();
            self.excused += concealed - self.concealed_before;
        }
        if is_idle || played.received_at.is_some() {
            self.concealed_before = concealed;
        }
        self.heard.count(at, played, BLOCK_SAMPLES);
    }
}

/// Packets that one block may skip: more than a buffer ever has too many.
const SKIPS_MAX: u32 = 4;
