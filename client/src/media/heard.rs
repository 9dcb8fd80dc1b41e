//! What a member heard, block by block: played, concealed, or nothing due.

use sabha_media::codec::{FRAME_SAMPLES, samples_duration};
use sabha_media::playout::PlayedFrame;
use sabha_media::quality::PacketLoss;
use sabha_media::time::Instant;

use super::BufferDelays;

/// Samples by what became of them; in a pause none is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Made from a packet, in time.
    pub played: u64,
    /// Concealed: whatever packet and copies there were, none was there in time.
    pub concealed: u64,
    /// Runs of concealed samples.
    pub runs: u64,
    /// How long packets waited: when they were heard less arrival.
    pub delays: BufferDelays,
    /// Samples concealed since something else was due.
    run: u64,
}

impl Heard {
    /// Counts a block of `samples` that was due at `at`.
    pub fn count(&mut self, at: Instant, block: &PlayedFrame, samples: usize) {
        let is_concealed = block.received_at.is_none() && block.samples == samples;
        if let Some(received_at) = block.received_at {
            self.played += samples as u64;
            if block.left_over < samples {
                let heard_at = at + samples_duration(block.left_over as u32);
                self.delays.record(heard_at.saturating_since(received_at));
            }
        }
        self.concealed += if is_concealed { samples as u64 } else { 0 };
        self.runs += u64::from(is_concealed && self.run == 0);
        self.run = if is_concealed { self.run + samples as u64 } else { 0 };
    }

    /// Takes back what was concealed last: it turns out to have been silence.
    pub fn excuse(&mut self) {
        self.concealed -= self.run;
        self.runs -= u64::from(self.run > 0);
        self.run = 0;
    }

    /// Adds what became of another talker's sound.
    pub fn add(&mut self, other: &Self) {
        self.played += other.played;
        self.concealed += other.concealed;
        self.runs += other.runs;
        self.delays.add(&other.delays);
    }

    /// Returns what was missing of what was due.
    pub fn loss(&self) -> PacketLoss {
        let due = self.played + self.concealed;
        if self.concealed == 0 || due == 0 {
            return PacketLoss::NONE;
        }
        let run_mean = self.concealed as f32 / (self.runs.max(1) * FRAME_SAMPLES as u64) as f32;
        PacketLoss::in_runs(self.concealed as f32 / due as f32, run_mean.max(1.0))
    }

    /// Returns what was counted after `earlier`, an older state of the same.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            played: self.played.saturating_sub(earlier.played),
            concealed: self.concealed.saturating_sub(earlier.concealed),
            runs: self.runs.saturating_sub(earlier.runs),
            delays: self.delays.since(&earlier.delays),
            run: self.run,
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
            let block = PlayedFrame { samples, received_at, ..PlayedFrame::default() };
            heard.count(at, &block, FRAME_SAMPLES);
        }
        heard
    }

    #[test]
    fn loss_is_what_was_due_and_not_there_in_its_runs() {
        let heard = heard("...ppppcccppcpe....pp");
        assert_eq!((heard.played / 960, heard.concealed / 960, heard.runs), (9, 4, 2));
        assert_eq!(heard.loss(), PacketLoss::in_runs(4.0 / 13.0, 2.0));
        assert_eq!(heard.delays.percentile(0.5), Some(Duration::from_millis(30)));
    }

    #[test]
    fn pause_is_no_loss() {
        assert_eq!(heard("pp.....e...").loss(), PacketLoss::NONE);
        assert_eq!(heard("").loss(), PacketLoss::NONE);
    }

    #[test]
    fn what_was_concealed_before_silence_is_taken_back_and_no_more() {
        let mut spurt = heard("ppccpppccc");
        spurt.excuse();
        spurt.excuse();
        assert_eq!(spurt, heard("ppccppp"));
    }

    #[test]
    fn talkers_add_up() {
        let mut both = heard("ppcp");
        both.add(&heard("pcc"));
        assert_eq!((both.played / 960, both.concealed / 960, both.runs), (4, 3, 2));
        assert_eq!(both.delays.total(), 4);
    }

    #[test]
    fn interval_holds_what_came_in_it() {
        let since = heard("ppccpppcp").since(&heard("ppccp"));
        assert_eq!((since.played / 960, since.concealed / 960, since.runs), (3, 1, 1));
    }
}
