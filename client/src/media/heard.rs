//! What a member heard, frame by frame: played, concealed, or nothing due.

use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::playout::PlayedFrame;
use sabha_media::quality::PacketLoss;
use sabha_media::time::Instant;

use super::BufferDelays;

/// Frames of 20 ms by what became of them; in a pause none is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Made from a packet, in time.
    pub played: u64,
    /// Concealed: whatever packet and copies there were, none was there in time.
    pub concealed: u64,
    /// Runs of concealed frames.
    pub runs: u64,
    /// How long the packets of played frames waited: due less arrival.
    pub delays: BufferDelays,
    is_concealing: bool,
}

impl Heard {
    /// Counts the frame that was due at `at`.
    pub fn count(&mut self, at: Instant, frame: &PlayedFrame) {
        let is_concealed = frame.received_at.is_none() && frame.samples == FRAME_SAMPLES;
        if let Some(received_at) = frame.received_at {
            self.played += 1;
            self.delays.record(at.saturating_since(received_at));
        }
        self.concealed += u64::from(is_concealed);
        self.runs += u64::from(is_concealed && !self.is_concealing);
        self.is_concealing = is_concealed;
    }

    /// Returns what was missing of what was due.
    pub fn loss(&self) -> PacketLoss {
        let due = self.played + self.concealed;
        if self.concealed == 0 || due == 0 {
            return PacketLoss::NONE;
        }
        let run_mean = self.concealed as f32 / self.runs.max(1) as f32;
        PacketLoss::in_runs(self.concealed as f32 / due as f32, run_mean)
    }

    /// Returns what was counted after `earlier`, an older state of the same.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            played: self.played.saturating_sub(earlier.played),
            concealed: self.concealed.saturating_sub(earlier.concealed),
            runs: self.runs.saturating_sub(earlier.runs),
            delays: self.delays.since(&earlier.delays),
            is_concealing: self.is_concealing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Counts frames 20 ms apart: `p` was received 30 ms before, `c` is concealed, `.` a pause, and
    /// `e` the rest of a spurt that ends within a frame.
    fn heard(frames: &str) -> Heard {
        let mut heard = Heard::default();
        for (index, kind) in frames.chars().enumerate() {
            let at = Instant::from_millis(1_000 + 20 * index as u64);
            let received_at = (kind == 'p').then(|| at - Duration::from_millis(30));
            let samples = match kind {
                '.' => 0,
                'e' => 100,
                _ => FRAME_SAMPLES,
            };
            heard.count(at, &PlayedFrame { samples, received_at, level: None });
        }
        heard
    }

    #[test]
    fn loss_is_what_was_due_and_not_there_in_its_runs() {
        let heard = heard("...ppppcccppcpe....pp");
        assert_eq!((heard.played, heard.concealed, heard.runs), (9, 4, 2));
        assert_eq!(heard.loss(), PacketLoss::in_runs(4.0 / 13.0, 2.0));
        assert_eq!(heard.delays.percentile(0.5), Some(Duration::from_millis(30)));
    }

    #[test]
    fn pause_is_no_loss() {
        assert_eq!(heard("pp.....e...").loss(), PacketLoss::NONE);
        assert_eq!(heard("").loss(), PacketLoss::NONE);
    }

    #[test]
    fn interval_holds_what_came_in_it() {
        let since = heard("ppccpppcp").since(&heard("ppccp"));
        assert_eq!((since.played, since.concealed, since.runs), (3, 1, 1));
    }
}
