//! Makes one sound of all that a member receives: a mixer's only stream, or a bridge's talkers.
//!
//! Each talker has a decoder and a jitter buffer of their own, kept by name: a bridge gives them
//! one slot after another. Takes packets that are authenticated, decrypted and parsed.

mod stream;
mod talker;
mod volume;

use std::time::Duration;

use sabha_media::comfort_noise::ComfortNoise;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::{BufferedPacket, JitterCounters, JitterSettings};
use sabha_media::leg::Ssrc;
use sabha_media::limiter::Limiter;
use sabha_media::playout::PlayedFrame;
use sabha_media::time::Instant;

pub(super) use stream::{Arrival, Stream};
pub(super) use talker::Talker;
pub use volume::{TalkerVolume, VOLUME_MAX};

use super::{Heard, MemberSettings};
use volume::Volumes;

/// What is played at once: 5 ms. A packet is played so much later than it need be at most.
pub(super) const BLOCK_SAMPLES: usize = 240;

/// One block.
pub(super) type Block = [f32; BLOCK_SAMPLES];

/// All who are heard.
pub(super) struct LocalMix {
    talkers: Box<[Talker]>,
    volumes: Volumes,
    /// Of a sum that is made here; a mixer's is limited already.
    limiter: Option<Limiter>,
    comfort_noise: ComfortNoise,
    evicted: u64,
}

impl LocalMix {
    /// Makes a mix of nobody yet. Allocates once.
    pub(super) fn new(settings: &MemberSettings) -> Self {
        let jitter = JitterSettings {
            target_min: settings.playout_delay,
            target_max: PLAYOUT_DELAY_MAX.max(settings.playout_delay),
            quiet: QUIET,
            margin_percent: 0,
            stretch: true,
        };
        let is_forwarded = settings.is_forwarded();
        let talkers = if is_forwarded { TALKERS_MAX } else { settings.receive_ssrcs.len() };
        Self {
            talkers: (0..talkers).map(|_| Talker::new(jitter, is_forwarded)).collect(),
            volumes: Volumes::default(),
            limiter: is_forwarded.then(Limiter::new),
            comfort_noise: ComfortNoise::new(settings.send_ssrc.0.into()),
            evicted: 0,
        }
    }

    /// Returns who said a packet; `None` if somebody else was heard in its stream since.
    ///
    /// A talker who is not known yet gets the place of the one who was silent longest.
    pub(super) fn talker(
        &mut self,
        arrival: &Arrival,
        packet: &BufferedPacket<'_>,
    ) -> Option<&mut Talker> {
        let source = Some(arrival.source);
        let known = self.talkers.iter().position(|talker| talker.source == source);
        let follows = |place: &usize| self.talkers[*place].stream == arrival.stream;
        if let Some(place) = known.filter(follows)
            && !arrival.takes_over
        {
            return Some(&mut self.talkers[place]);
        }
        if arrival.ahead == 0 {
            return None;
        }
        let place = known.or_else(|| self.admit(arrival.source))?;
        let talker = &mut self.talkers[place];
        talker.take_over(arrival, packet.timestamp, packet.samples);
        Some(talker)
    }

    /// Makes the block that is due at `at`; returns what the loudest talker in it was.
    pub(super) fn fill(&mut self, block: &mut Block, at: Instant) -> PlayedFrame {
        let mut loudest = PlayedFrame::default();
        for talker in &mut self.talkers {
            let played = talker.add_to(block, at);
            if prominence(&played) > prominence(&loudest) {
                loudest = played;
            }
        }
        if let Some(limiter) = &mut self.limiter {
            limiter.limit(block);
        }
        if loudest.samples < BLOCK_SAMPLES {
            self.comfort_noise.fill(&mut block[loudest.samples..]);
        } else if loudest.received_at.is_some() {
            self.comfort_noise.hear(block);
        }
        loudest
    }

    /// Sets how loud a talker is heard, now and whenever they come back.
    pub(super) fn set_volume(&mut self, source: Ssrc, volume: TalkerVolume) {
        self.volumes.set(source, volume);
        let gain = self.volumes.gain(source);
        if let Some(talker) = self.talkers.iter_mut().find(|talker| talker.source == Some(source)) {
            talker.set_gain(gain);
        }
    }

    /// Returns what became of all that was due.
    pub(super) fn heard(&self) -> Heard {
        let mut heard = Heard::default();
        self.talkers.iter().for_each(|talker| heard.add(talker.heard()));
        heard
    }

    /// Returns what became of all packets.
    pub(super) fn counters(&self) -> JitterCounters {
        let mut counters = JitterCounters::default();
        self.talkers.iter().for_each(|talker| counters.add(&talker.counters()));
        counters
    }

    /// Returns how many talkers were forgotten for another.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Returns how many volumes were refused.
    pub(super) fn volumes_refused(&self) -> u64 {
        self.volumes.refused()
    }

    fn admit(&mut self, source: Ssrc) -> Option<usize> {
        let gain = self.volumes.gain(source);
        let talkers = self.talkers.iter_mut().enumerate();
        let (place, talker) = talkers.min_by_key(|(_, talker)| talker.heard_at())?;
        self.evicted += u64::from(talker.begin(source, gain));
        Some(place)
    }
}

/// Orders what is heard at once: nothing, the end of a spurt, what is concealed, and by level.
fn prominence(played: &PlayedFrame) -> (usize, Option<u8>) {
    (played.samples, played.level.map(|level| LevelDbov::SILENCE.0 - level.0))
}

/// Talkers that are remembered: twice as many as a bridge forwards at once.
const TALKERS_MAX: usize = 8;

/// A frame at or below this level may be skipped to shorten the delay.
const QUIET: LevelDbov = LevelDbov(60);

/// The playout delay never grows beyond this.
const PLAYOUT_DELAY_MAX: Duration = Duration::from_millis(400);
