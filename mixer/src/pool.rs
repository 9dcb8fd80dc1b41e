//! Talkers and encoders that wait for use, shared by all conferences of a shard.

use sabha_media::codec::{Codec, Encoder, EncoderSettings, FRAME_SAMPLES, Frame, PAYLOAD_SIZE_MAX};
use sabha_media::jitter_buffer::JitterSettings;
use sabha_media::lookback::LookbackStore;
use sabha_media::pool::Pool;

use crate::effort::Effort;
use crate::recent::Recent;
use crate::talker::Talker;

/// How much a shard's mixers may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Talkers that are decoded at once. Each takes about 100 KiB.
    pub talkers_max: usize,
    /// Encoders at once, shared and personal. Each takes about 50 KiB.
    pub encoders_max: usize,
    /// Squelched packets that are kept. Each takes 0.2 KiB, or 1.3 if its payload is longer than a
    /// quiet room's.
    pub kept_max: usize,
}

impl Default for ResourceLimits {
    /// Some 70 times what one core can decode and encode in real time; 10 MiB of kept packets.
    fn default() -> Self {
        Self { talkers_max: 4_096, encoders_max: 8_192, kept_max: 49_152 }
    }
}

/// What all mixers of a shard share: codecs, buffers, kept packets, and a tick's scratch memory.
pub struct MixerResources<C: Codec> {
    pub(crate) codec: C,
    pub(crate) talkers: Pool<Box<Talker<C>>>,
    encoders: Pool<C::Encoder>,
    recents: Pool<Box<Recent>>,
    pub(crate) kept: LookbackStore,
    pub(crate) scratch: Box<Scratch>,
    effort: Effort,
}

/// Memory that only one tick uses.
pub(crate) struct Scratch {
    /// The full sum first, then one mix for each personal encode.
    pub(crate) mixes: Vec<Frame>,
    pub(crate) payload: [u8; PAYLOAD_SIZE_MAX],
}

impl<C: Codec> MixerResources<C> {
    /// Makes empty pools; they grow with use, to `limits`, and never shrink.
    pub fn new(codec: C, limits: ResourceLimits) -> Self {
        Self {
            codec,
            talkers: Pool::new(limits.talkers_max),
            encoders: Pool::new(limits.encoders_max),
            recents: Pool::new(limits.encoders_max),
            kept: LookbackStore::new(limits.kept_max),
            scratch: Box::new(Scratch {
                mixes: Vec::with_capacity(MIXES_MAX),
                payload: [0; PAYLOAD_SIZE_MAX],
            }),
            effort: Effort::default(),
        }
    }

    /// Sets what every mixer spends from its next tick on.
    pub fn set_effort(&mut self, effort: Effort) {
        self.effort = effort;
    }

    /// Returns what mixers may spend now.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    pub(crate) fn take_talker(&mut self, jitter: JitterSettings) -> Option<Box<Talker<C>>> {
        let codec = &self.codec;
        self.talkers.take(|| Box::new(Talker::new(codec, jitter)))
    }

    /// Takes an encoder, whatever it has heard, and memory for what it says.
    pub(crate) fn take_encoder(
        &mut self,
        settings: EncoderSettings,
    ) -> Option<(C::Encoder, Box<Recent>)> {
        let codec = &self.codec;
        let encoder = self.encoders.take(|| codec.encoder(settings))?;
        let Some(recent) = self.recents.take(|| Box::new(Recent::new())) else {
            self.encoders.put_back(encoder);
            return None;
        };
        Some((encoder, recent))
    }

    /// Takes an encoder that has heard nothing, and memory for what it says.
    pub(crate) fn take_fresh_encoder(
        &mut self,
        settings: EncoderSettings,
    ) -> Option<(C::Encoder, Box<Recent>)> {
        let (mut encoder, recent) = self.take_encoder(settings)?;
        encoder.reset();
        encoder.apply(settings);
        Some((encoder, recent))
    }

    pub(crate) fn put_back_encoder(&mut self, encoder: C::Encoder, recent: Box<Recent>) {
        self.encoders.put_back(encoder);
        self.recents.put_back(recent);
    }
}

/// The sum, and a personal mix for each talker and each who just was one.
const MIXES_MAX: usize = 64;

/// An empty mix.
pub(crate) const SILENCE: Frame = [0.0; FRAME_SAMPLES];
