//! What the ears' recordings say, after the run: when marks arrived, and how loud voices were.

use std::collections::BTreeMap;

use sabha_client::sound::{MarkDetector, MarkHit, align};
use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::quality::CodecQuality;

use super::ear::{Ear, Part, RecordedFrame};
use super::message::{EarResult, Heard, MarkTime};
use super::speech::{MARKS_FROM, PIECE_FRAMES, Repertoire};
use super::tally::Tally;
use super::wall::Wall;

/// What an analysis needs beside the recording.
pub struct Analysis<'a> {
    /// The clock of the recording.
    pub wall: Wall,
    /// What was said; `None` if talkers pause, so that nothing is known of when.
    pub said: Option<&'a Repertoire>,
    /// Where in its piece a conference is at frame 0 of the day's time.
    pub shift: fn(u32) -> u64,
    /// Talkers of each conference.
    pub talkers_each: u32,
    /// Whether talkers say marks.
    pub has_marks: bool,
    /// Whether each talker is heard in a stream of their own.
    pub is_bridged: bool,
    /// Finds marks.
    pub detector: &'a MarkDetector,
}

impl Analysis<'_> {
    /// Listens to what a member heard.
    pub fn of(&self, tally: &Tally, talker: Option<u32>, ear: &Ear) -> EarResult {
        let (joining, steady, clipped_samples) = ear.parts();
        let (marks, doubled_marks) = self.marks(tally.conference, talker, ear);
        EarResult {
            member: tally.member,
            conference: tally.conference,
            talks: tally.talks,
            joining: self.heard(&joining),
            steady: self.heard(&steady),
            clipped_samples,
            marks,
            doubled_marks,
            gains: self.gains(tally.conference, ear),
            talker,
        }
    }

    /// Finds the marks of others, in the parts of the pieces that hold them; and counts those that
    /// come again too soon, or in a bridge's sound are the member's own.
    fn marks(&self, conference: u32, own: Option<u32>, ear: &Ear) -> (Vec<MarkTime>, u64) {
        let recording = ear.recording();
        let (mut marks, mut doubled) = (Vec::new(), 0);
        let stretches = match self.has_marks {
            true => self.stretches(conference, &recording.frames, MARKS_STRETCH),
            false => Vec::new(),
        };
        for (first, frames) in stretches {
            let pcm = &recording.pcm[first * FRAME_SAMPLES..][..frames * FRAME_SAMPLES];
            let hits = self.detector.detect(pcm);
            doubled += repeats(&hits);
            for hit in hits {
                // The sound left one or two encoders, each of which delays it.
                let at = first * FRAME_SAMPLES + hit.at;
                let Some(at) = at.checked_sub(self.lookahead()) else { continue };
                let frame = recording.frames[at / FRAME_SAMPLES];
                let talker = u32::from(hit.mark.variant());
                if own == Some(talker) {
                    doubled += u64::from(self.is_bridged);
                    continue;
                }
                let Some(received_at) = frame.received_from(talker) else { continue };
                let (mark, at) = (hit.mark.variant(), self.wall.nanos(received_at));
                marks.push(MarkTime { conference, mark, at });
            }
        }
        (marks, doubled)
    }

    fn lookahead(&self) -> usize {
        if self.is_bridged { LOOKAHEAD } else { 2 * LOOKAHEAD }
    }

    /// Gaps; streams that are meant to pause have none.
    fn heard(&self, part: &Part) -> Heard {
        if self.is_bridged && self.said.is_none() {
            return Heard::default();
        }
        let codec = if self.is_bridged { CodecQuality::OPUS } else { CodecQuality::OPUS_MIXED };
        Heard {
            frames: part.frames,
            missing_ms: part.missing().as_secs_f64() * 1_000.0,
            stall_ms: part.stall().as_secs_f64() * 1_000.0,
            mos: part.mos(codec).value().into(),
        }
    }

    /// Measures each talker's voice in the first whole stretch of speech.
    fn gains(&self, conference: u32, ear: &Ear) -> BTreeMap<u32, f64> {
        let Some(said) = self.said else { return BTreeMap::new() };
        let recording = ear.recording();
        let stretches = self.stretches(conference, &recording.frames, SPEECH_STRETCH);
        let whole = stretches.into_iter().find(|(_, frames)| *frames >= SPEECH_STRETCH.1 as usize);
        let Some((first, frames)) = whole else { return BTreeMap::new() };
        let pcm = &recording.pcm[first * FRAME_SAMPLES..][..frames * FRAME_SAMPLES];
        let talkers = 0..self.talkers_each.min(GAINS_MAX);
        let gains = talkers.filter_map(|talker| {
            let reference = &said.talker(talker)?.pcm[..MARKS_FROM as usize * FRAME_SAMPLES];
            let latest = i64::try_from(pcm.len().checked_sub(reference.len())?).ok()?;
            let found = align(reference, pcm, 0..=latest).ok()?;
            (found.correlation >= CORRELATION_MIN).then_some((talker, f64::from(found.gain)))
        });
        gains.collect()
    }

    /// Returns the runs of recorded frames, as first and count, that lie between two frames of the
    /// piece; the later may lie beyond its end.
    fn stretches(
        &self,
        conference: u32,
        frames: &[RecordedFrame],
        (from, length): (u64, u64),
    ) -> Vec<(usize, usize)> {
        let shift = (self.shift)(conference);
        let place =
            |frame: &RecordedFrame| (self.wall.frame(frame.played_at) + shift) % PIECE_FRAMES;
        let is_in =
            |frame: &RecordedFrame| (place(frame) + PIECE_FRAMES - from) % PIECE_FRAMES < length;
        let mut stretches: Vec<(usize, usize)> = Vec::new();
        let mut last: Option<&RecordedFrame> = None;
        for (at, frame) in frames.iter().enumerate() {
            let follows = last.is_some_and(|last| {
                frame.played_at.saturating_since(last.played_at) < super::ear::FRAME * 2
                    && is_in(last)
            });
            last = Some(frame);
            match stretches.last_mut() {
                _ if !is_in(frame) => {}
                Some((_, count)) if follows => *count += 1,
                _ => stretches.push((at, 1)),
            }
        }
        stretches
    }
}

/// Counts marks that come again sooner than their talker says them.
fn repeats(hits: &[MarkHit]) -> u64 {
    let soon = |at: usize| {
        let mut later = hits[at + 1..].iter().filter(|later| later.mark == hits[at].mark);
        later.next().is_some_and(|later| later.at - hits[at].at < REPEAT_SAMPLES)
    };
    (0..hits.len()).filter(|at| soon(*at)).count() as u64
}

/// Samples by which an encoder delays a sound: 6.5 ms.
const LOOKAHEAD: usize = 312;

/// The same mark sooner than this is the same again: they are said 480 ms apart, and a jitter
/// buffer may move one of them.
const REPEAT_SAMPLES: usize = 380 * 48;

/// What is heard later than it is said, at most, in frames: playout, packing, and a stall.
const LATENESS_FRAMES: u64 = 35;

/// Where marks are heard, and where speech is: first frame of the piece, and how many.
const MARKS_STRETCH: (u64, u64) = (MARKS_FROM, PIECE_FRAMES - MARKS_FROM + LATENESS_FRAMES);
const SPEECH_STRETCH: (u64, u64) = (0, MARKS_FROM + LATENESS_FRAMES);

/// Talkers whose voices are measured; the first ones.
const GAINS_MAX: u32 = 4;

/// A voice at a tenth of its level below two others still correlates with 0.06 over 8 s; what is not
/// there stays below 0.03.
const CORRELATION_MIN: f32 = 0.04;

#[cfg(test)]
mod tests {
    use sabha_client::sound::Mark;

    use super::*;

    #[test]
    fn mark_that_comes_again_at_once_is_doubled() {
        let hit = |variant, ms: usize| MarkHit {
            mark: Mark::new(variant).unwrap(),
            at: ms * 48,
            score: 1.0,
            gain: 1.0,
        };
        let said = [hit(0, 0), hit(1, 160), hit(2, 320), hit(0, 480), hit(1, 640)];
        assert_eq!(repeats(&said), 0);
        assert_eq!(repeats(&[said[0], hit(0, 60), said[1], said[3]]), 1);
        assert_eq!(repeats(&[]), 0);
    }
}
