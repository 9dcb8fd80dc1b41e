//! Lets a member hear themselves by their own device where the node's answer would come too late.
//!
//! A node returns a share of each talker's voice. Later than `RETURN_DELAY_MAX` that is an echo
//! rather than a sidetone, so the member asks the node to leave it out, and once the node has said
//! that it does, adds the same share here.

use std::time::Duration;

use sabha_media::codec::{FRAME_SAMPLES, Frame};
use sabha_media::shard::OwnVoice;

/// A member's sidetone.
pub(super) struct Sidetone {
    /// The microphone's newest frame.
    voice: Frame,
    /// Samples of it that were added already.
    added: usize,
    gain: f32,
    wish: OwnVoice,
    holds: OwnVoice,
}

impl Sidetone {
    pub(super) fn new() -> Self {
        let (wish, holds) = (OwnVoice::Returned, OwnVoice::Returned);
        Self { voice: [0.0; FRAME_SAMPLES], added: FRAME_SAMPLES, gain: 0.0, wish, holds }
    }

    /// Takes what the media path takes there and back, and how long packets wait to be played;
    /// returns whether the wish has changed.
    pub(super) fn handle_delay(&mut self, round_trip: Duration, playout_delay: Duration) -> bool {
        let delay = round_trip + playout_delay + NODE_DELAY;
        let wish = match self.wish {
            OwnVoice::Returned if delay > RETURN_DELAY_MAX => OwnVoice::LeftOut,
            OwnVoice::LeftOut if delay < RETURN_DELAY_MAX - HYSTERESIS => OwnVoice::Returned,
            wish => wish,
        };
        let has_changed = wish != self.wish;
        self.wish = wish;
        has_changed
    }

    /// Takes the node's word on what it sends.
    pub(super) fn handle_own_voice(&mut self, holds: OwnVoice) {
        self.holds = holds;
    }

    /// Takes the microphone's next frame.
    pub(super) fn handle_capture(&mut self, frame: &Frame) {
        self.voice = *frame;
        self.added = 0;
    }

    /// Adds the own voice to what is played, faded over these samples where it comes or goes.
    pub(super) fn add_to(&mut self, played: &mut [f32]) {
        let from = self.gain;
        self.gain = if self.holds == OwnVoice::LeftOut { SIDETONE_GAIN } else { 0.0 };
        let step = (self.gain - from) / played.len().max(1) as f32;
        for (index, (sample, voice)) in played.iter_mut().zip(&self.voice[self.added..]).enumerate()
        {
            *sample += voice * (from + step * index as f32);
        }
        self.added = (self.added + played.len()).min(FRAME_SAMPLES);
    }

    /// Returns what the node is to do with the own voice.
    pub(super) fn wish(&self) -> OwnVoice {
        self.wish
    }
}

/// The own voice returned later than this is left out: from here on it is heard apart. Source: the
/// echo threshold of speech, H. Haas, 1951.
pub const RETURN_DELAY_MAX: Duration = Duration::from_millis(50);

/// The own voice comes back once it would be so much sooner than that.
const HYSTERESIS: Duration = Duration::from_millis(10);

/// What the own voice waits besides the network and playout: its frame is full after 20 ms, and a
/// node's mixer waits 4 ms for others at first.
const NODE_DELAY: Duration = Duration::from_millis(24);

/// Gain of the sidetone: -20 dB, the share that a conference returns by default.
pub const SIDETONE_GAIN: f32 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn wish_follows_the_delay_with_hysteresis() {
        let mut sidetone = Sidetone::new();
        assert!(!sidetone.handle_delay(MS * 16, MS * 10), "50 ms is not late");
        assert!(sidetone.handle_delay(MS * 17, MS * 10));
        assert_eq!(sidetone.wish(), OwnVoice::LeftOut);
        assert!(!sidetone.handle_delay(MS * 6, MS * 10));
        assert!(sidetone.handle_delay(MS * 5, MS * 10));
        assert_eq!(sidetone.wish(), OwnVoice::Returned);
    }

    #[test]
    fn own_voice_is_added_once_the_node_leaves_it_out() {
        let mut sidetone = Sidetone::new();
        sidetone.handle_capture(&[0.5; FRAME_SAMPLES]);
        sidetone.handle_delay(MS * 100, MS * 10);
        let mut played = [0.0; FRAME_SAMPLES];
        sidetone.add_to(&mut played);
        assert_eq!(played, [0.0; FRAME_SAMPLES], "the node has not answered");
        sidetone.handle_own_voice(OwnVoice::LeftOut);
        sidetone.handle_capture(&[0.5; FRAME_SAMPLES]);
        sidetone.add_to(&mut played);
        assert!(played[1] < 0.001 && played.is_sorted(), "it fades in");
        sidetone.handle_capture(&[0.5; FRAME_SAMPLES]);
        for _ in 0..4 {
            let mut block = [0.0; FRAME_SAMPLES / 4];
            sidetone.add_to(&mut block);
            assert!(block.iter().all(|sample| (sample - 0.05).abs() < 1e-6));
        }
        let mut block = [0.0; FRAME_SAMPLES / 4];
        sidetone.add_to(&mut block);
        assert_eq!(block, [0.0; FRAME_SAMPLES / 4], "nothing more was captured");
    }
}
