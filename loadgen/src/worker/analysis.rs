//! What the ears' recordings say, after the run: when marks arrived, and how loud voices were.

use std::collections::BTreeMap;

use sabha_client::sound::{MarkDetector, align};
use sabha_media::codec::FRAME_SAMPLES;

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
    /// Finds marks.
    pub detector: &'a MarkDetector,
}

impl Analysis<'_> {
    /// Listens to what a member heard.
    pub fn of(&self, tally: &Tally, talker: Option<u32>, ear: &Ear) -> EarResult {
        let (joining, steady, clipped_samples) = ear.parts();
        EarResult {
            member: tally.member,
            conference: tally.conference,
            talks: tally.talks,
            joining: heard(joining),
            steady: heard(steady),
            clipped_samples,
            marks: self.marks(tally.conference, talker, ear),
            gains: self.gains(tally.conference, ear),
            talker,
        }
    }

    /// Finds the marks of others, in the parts of the pieces that hold them.
    fn marks(&self, conference: u32, own: Option<u32>, ear: &Ear) -> Vec<MarkTime> {
        let recording = ear.recording();
        let mut marks = Vec::new();
        for (first, frames) in self.stretches(conference, &recording.frames, MARKS_STRETCH) {
            let pcm = &recording.pcm[first * FRAME_SAMPLES..][..frames * FRAME_SAMPLES];
            for hit in self.detector.detect(pcm) {
                // The sound left two encoders, each of which delays it.
                let at = first * FRAME_SAMPLES + hit.at;
                let Some(at) = at.checked_sub(LOOKAHEADS) else { continue };
                let frame = recording.frames[at / FRAME_SAMPLES];
                let is_own = own.is_some_and(|own| own == u32::from(hit.mark.variant()));
                let (Some(received_at), false) = (frame.received_at, is_own) else { continue };
                let (mark, at) = (hit.mark.variant(), self.wall.nanos(received_at));
                marks.push(MarkTime { conference, mark, at });
            }
        }
        marks
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

fn heard(part: &Part) -> Heard {
    Heard {
        frames: part.frames,
        missing_ms: part.missing().as_secs_f64() * 1_000.0,
        stall_ms: part.stall().as_secs_f64() * 1_000.0,
        mos: part.mos().value().into(),
    }
}

/// Samples by which two encoders in a row delay a sound: 2 x 6.5 ms.
const LOOKAHEADS: usize = 2 * 312;

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
