//! What is done to sound only where a person speaks and listens: at a live microphone and speaker.

use std::time::Duration;

use sabha_media::codec::{FRAME_SAMPLES, Frame};
use sabha_media::shard::OwnVoice;

use super::MemberSettings;
use super::sidetone::Sidetone;
use crate::processing::Microphone;

/// A member's live sound; does nothing where it was not asked for.
///
/// What is played at a time must be told before what is captured then.
pub(super) struct LiveSound {
    microphone: Option<Microphone>,
    sidetone: Option<Sidetone>,
    /// What was played since the last whole frame.
    played: Frame,
    played_samples: usize,
}

impl LiveSound {
    pub(super) fn new(settings: &MemberSettings) -> Self {
        Self {
            microphone: settings.microphone.map(Microphone::new),
            sidetone: settings.sidetone.then(Sidetone::new),
            played: [0.0; FRAME_SAMPLES],
            played_samples: 0,
        }
    }

    /// Takes the next samples to be played, a part of a frame, and may add the own voice to them.
    ///
    /// The echo canceller is not told of the own voice: it would take it for the loudspeaker's.
    pub(super) fn handle_played(&mut self, samples: &mut [f32]) {
        if let Some(microphone) = &mut self.microphone {
            let end = self.played_samples + samples.len();
            self.played[self.played_samples..end].copy_from_slice(samples);
            self.played_samples = end % FRAME_SAMPLES;
            if self.played_samples == 0 {
                microphone.handle_far_end(&self.played);
            }
        }
        if let Some(sidetone) = &mut self.sidetone {
            sidetone.add_to(samples);
        }
    }

    /// Processes the microphone's next frame.
    pub(super) fn handle_capture(&mut self, frame: &mut Frame) {
        if let Some(microphone) = &mut self.microphone {
            microphone.handle_capture(frame);
        }
        if let Some(sidetone) = &mut self.sidetone {
            sidetone.handle_capture(frame);
        }
    }

    /// Passes over frames of the microphone.
    pub(super) fn skip(&mut self, frames: u64) {
        if let Some(microphone) = &mut self.microphone {
            microphone.skip(frames);
        }
    }

    /// Takes the media path's delays; returns whether the node is to be told of a new wish.
    pub(super) fn handle_delay(&mut self, round_trip: Duration, playout_delay: Duration) -> bool {
        self.sidetone.as_mut().is_some_and(|tone| tone.handle_delay(round_trip, playout_delay))
    }

    /// Takes the node's word on the own voice.
    pub(super) fn handle_own_voice(&mut self, own_voice: OwnVoice) {
        if let Some(sidetone) = &mut self.sidetone {
            sidetone.handle_own_voice(own_voice);
        }
    }

    /// Returns what the node is to do with the own voice.
    pub(super) fn own_voice(&self) -> OwnVoice {
        self.sidetone.as_ref().map_or(OwnVoice::Returned, Sidetone::wish)
    }
}
