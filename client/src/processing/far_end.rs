//! Keeps what the loudspeaker was given until the microphone's frame of the same time comes.
//!
//! Both count frames from the beginning, so a stall of one does not shift it against the other.

use sabha_media::codec::{FRAME_SAMPLES, Frame};

/// The last frames of the loudspeaker.
pub(super) struct FarEnd {
    frames: Box<[Frame]>,
    /// Frames that the loudspeaker was given, and those that the microphone is past.
    played: u64,
    captured: u64,
}

impl FarEnd {
    pub(super) fn new() -> Self {
        let frames = vec![[0.0; FRAME_SAMPLES]; FRAMES_MAX].into();
        Self { frames, played: 0, captured: 0 }
    }

    /// Keeps the loudspeaker's next frame; the oldest is forgotten for it.
    pub(super) fn push(&mut self, frame: &Frame) {
        self.frames[place(self.played)] = *frame;
        self.played += 1;
    }

    /// Gives what was played at the time of the microphone's next frame; silence if that is not
    /// known.
    pub(super) fn pop(&mut self) -> Frame {
        let at = self.captured;
        self.captured += 1;
        let oldest = self.played.saturating_sub(FRAMES_MAX as u64);
        let is_known = (oldest..self.played).contains(&at);
        if is_known { self.frames[place(at)] } else { [0.0; FRAME_SAMPLES] }
    }

    /// Passes over frames of the microphone.
    pub(super) fn skip(&mut self, frames: u64) {
        self.captured += frames;
    }
}

fn place(frame: u64) -> usize {
    (frame % FRAMES_MAX as u64) as usize
}

/// Frames kept: more than a microphone makes up for after a stall.
const FRAMES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(value: f32) -> Frame {
        [value; FRAME_SAMPLES]
    }

    #[test]
    fn frames_of_one_time_meet_after_a_stall_of_the_microphone() {
        let mut far = FarEnd::new();
        for played in 0..40 {
            far.push(&frame(played as f32));
        }
        assert_eq!(far.pop()[0], 0.0, "forgotten");
        far.skip(29);
        assert_eq!(far.pop()[0], 30.0);
        far.skip(8);
        assert_eq!(far.pop()[0], 39.0);
        assert_eq!(far.pop()[0], 0.0, "not played yet");
        far.push(&frame(40.0));
        far.push(&frame(41.0));
        assert_eq!(far.pop()[0], 41.0);
    }
}
