//! Keeps the last packets that were held back, so that an onset can begin before it was noticed.

use sabha_media::codec::PAYLOAD_SIZE_MAX;
use sabha_media::extension::LevelDbov;
use sabha_media::red::{Copies, DISTANCE_MAX, RedPacket};
use sabha_media::rtp::PayloadType;

use super::PREROLL_PACKETS;

/// The newest frame, encoded, and those before it; up to `PREROLL_PACKETS` of them were not sent.
pub(super) struct Preroll {
    frames: Box<[EncodedFrame]>,
    newest: usize,
    held: usize,
}

/// One frame of the microphone.
#[derive(Clone)]
pub(super) struct EncodedFrame {
    /// Its first sample, counted from the source's beginning.
    pub(super) position: u64,
    pub(super) level: LevelDbov,
    /// Octets of the payload.
    pub(super) length: usize,
    pub(super) payload: [u8; PAYLOAD_SIZE_MAX],
}

impl Preroll {
    pub(super) fn new() -> Self {
        let empty = EncodedFrame {
            position: 0,
            level: LevelDbov::SILENCE,
            length: 0,
            payload: [0; PAYLOAD_SIZE_MAX],
        };
        Self { frames: vec![empty; FRAMES_MAX].into(), newest: 0, held: 0 }
    }

    /// Gives the place of the next frame, which is the newest from now on.
    pub(super) fn next(&mut self) -> &mut EncodedFrame {
        self.newest = (self.newest + 1) % self.frames.len();
        &mut self.frames[self.newest]
    }

    /// Returns the newest frame.
    pub(super) fn newest(&self) -> &EncodedFrame {
        &self.frames[self.newest]
    }

    /// Holds the newest frame back; the oldest held one may be forgotten for it.
    pub(super) fn hold(&mut self) {
        self.held = (self.held + 1).min(PREROLL_PACKETS);
    }

    /// Forgets what is held: it was sent, or nothing follows it directly.
    pub(super) fn clear(&mut self) {
        self.held = 0;
    }

    /// Gives the ages of what is held, oldest first, and then of the newest.
    pub(super) fn onset(&self) -> impl Iterator<Item = usize> + use<> {
        (0..=self.held).rev()
    }

    /// Returns the frame that is `age` frames older than the newest.
    pub(super) fn at(&self, age: usize) -> &EncodedFrame {
        let count = self.frames.len();
        &self.frames[(self.newest + count - age) % count]
    }

    /// Writes the frame of this age with these copies; returns the length, `None` if it does not
    /// fit.
    pub(super) fn write_red(
        &self,
        age: usize,
        copies: Copies,
        payload_type: PayloadType,
        out: &mut [u8],
    ) -> Option<usize> {
        let payload_at = |distance| self.at(age + distance).payload();
        RedPacket::of_frames(copies, payload_type, payload_at).write(out)
    }
}

impl EncodedFrame {
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload[..self.length]
    }
}

/// The newest frame, and those before it that may go with it: held back, or as copies.
const FRAMES_MAX: usize =
    1 + if PREROLL_PACKETS > DISTANCE_MAX { PREROLL_PACKETS } else { DISTANCE_MAX };

#[cfg(test)]
mod tests {
    use super::*;

    fn onset(preroll: &Preroll) -> Vec<u64> {
        preroll.onset().map(|age| preroll.at(age).position).collect()
    }

    #[test]
    fn last_three_held_frames_go_before_the_newest() {
        let mut preroll = Preroll::new();
        preroll.next().position = 1;
        assert_eq!(onset(&preroll), [1]);
        for position in 2..=9 {
            preroll.hold();
            preroll.next().position = position;
        }
        assert_eq!(onset(&preroll), [6, 7, 8, 9]);
        preroll.clear();
        preroll.next().position = 10;
        assert_eq!(onset(&preroll), [10]);
    }
}
