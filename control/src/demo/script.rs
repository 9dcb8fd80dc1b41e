//! Who says what when in the demonstration.

use std::ops::Range;
use std::sync::Arc;

use sabha_client::media::{Schedule, Utterance};
use sabha_client::sound::mark::MARK_SAMPLES;
use sabha_client::sound::{Clip, Mark};
use sabha_media::codec::FRAME_SAMPLES;

/// The whole course of a demonstration, in samples from its beginning.
pub struct Script {
    /// How many of the members talk; they come first.
    pub talkers: usize,
    /// Everything that is said.
    pub lines: Vec<Line>,
    /// When the talkers speak without any pause, with marks.
    pub marked: Range<u64>,
    /// Each mark that is spoken.
    pub marks: Vec<SpokenMark>,
    /// When it is over.
    pub end: u64,
}

/// A clip's name and samples.
type SharedClip = (String, Arc<[f32]>);

/// One clip, said by one talker.
pub struct Line {
    /// Which talker.
    pub talker: usize,
    /// The clip's name.
    pub clip: String,
    /// The clip.
    pub samples: Arc<[f32]>,
    /// When it begins.
    pub start: u64,
    /// Whether nobody else speaks meanwhile.
    pub alone: bool,
}

/// One mark.
#[derive(Clone, Copy, Debug)]
pub struct SpokenMark {
    /// Who speaks it.
    pub talker: usize,
    /// Which mark.
    pub mark: Mark,
    /// Its first sample, on the talker's clock.
    pub at: u64,
}

impl Line {
    /// Returns when it ends.
    pub fn end(&self) -> u64 {
        self.start + self.samples.len() as u64
    }
}

impl Script {
    /// Each clip alone; two at once; one over another; then marks from several who never pause.
    pub fn new(clips: &[Clip], members: usize) -> Self {
        let talkers = clips.len().min(TALKERS_MAX).min(members.saturating_sub(1)).max(1);
        let clips: Vec<SharedClip> =
            clips.iter().map(|clip| (clip.name.clone(), clip.samples[..].into())).collect();
        let mut script =
            Self { talkers, lines: Vec::new(), marked: 0..0, marks: Vec::new(), end: LEAD };
        for (index, clip) in clips.iter().enumerate() {
            script.say(&[(index % talkers, clip, 0)]);
        }
        if talkers > 1 {
            let clip = |index: usize| &clips[index % clips.len()];
            script.say(&[(0, clip(0), 0), (1, clip(1), 0)]);
            script.say(&[
                (1, clip(1), 0),
                (talkers - 1 - usize::from(talkers == 2), clip(2), SECOND),
            ]);
        }
        script.mark();
        script
    }

    /// Returns how often somebody begins to talk.
    pub fn turns(&self) -> usize {
        self.lines.len() + self.markers()
    }

    /// Returns how many of the members speak marks.
    pub fn markers(&self) -> usize {
        self.talkers.min(MARKERS_MAX)
    }

    /// Returns the voice of a member: their lines and marks, or only faint noise.
    pub fn voice(&self, member: usize) -> Schedule {
        let lines = self.lines.iter().filter(|line| line.talker == member);
        let mut utterances: Vec<_> = lines
            .map(|line| Utterance { start: line.start, samples: line.samples.clone() })
            .collect();
        let mut own = self.marks.iter().filter(|mark| mark.talker == member).peekable();
        if own.peek().is_some() {
            let length = (self.marked.end - self.marked.start) as usize;
            let mut murmur = carrier(length, member as u64);
            for spoken in own {
                spoken.mark.mix_into(&mut murmur, (spoken.at - self.marked.start) as usize);
            }
            utterances.push(Utterance { start: self.marked.start, samples: murmur.into() });
        }
        let noise = if member < self.talkers { 0.0 } else { LISTENER_NOISE_RMS };
        Schedule::new(utterances, noise, member as u64 + 1)
    }

    /// Appends lines that begin together or overlap, and the pause after them.
    fn say(&mut self, lines: &[(usize, &SharedClip, u64)]) {
        let begin = self.end;
        for (talker, (clip, samples), offset) in lines {
            self.lines.push(Line {
                talker: *talker,
                clip: clip.clone(),
                samples: samples.clone(),
                start: begin + offset,
                alone: lines.len() == 1,
            });
        }
        let ends = self.lines.iter().map(Line::end);
        self.end = ends.max().unwrap_or(begin) + PAUSE;
    }

    /// Appends the part in which up to three talkers never pause and speak marks in turn.
    fn mark(&mut self) {
        let begin = self.end.next_multiple_of(FRAME_SAMPLES as u64);
        self.marked = begin..begin + MARKED;
        let speakers = self.markers();
        for speaker in 0..speakers {
            // Half-way into a frame, so that no error of detection takes it for its neighbour.
            let first =
                begin + SECOND / 2 + speaker as u64 * MARK_STAGGER + FRAME_SAMPLES as u64 / 2;
            let last = self.marked.end - SECOND / 2;
            let mut at = first;
            while at + (MARK_SAMPLES as u64) < last {
                let mark = Mark::all().nth(speaker).expect("there are more marks than markers");
                self.marks.push(SpokenMark { talker: speaker, mark, at });
                at += MARK_STAGGER * MARKERS_MAX as u64;
            }
        }
        self.end = self.marked.end + PAUSE;
    }
}

/// Noise that keeps a squelch open between marks.
fn carrier(length: usize, seed: u64) -> Vec<f32> {
    let mut random = seed + 1;
    (0..length)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let unit = (random >> 40) as f32 / (1 << 24) as f32;
            (unit - 0.5) * 12f32.sqrt() * CARRIER_RMS
        })
        .collect()
}

/// One second.
const SECOND: u64 = 48_000;

/// Before the first word: half a second for all to have sent something.
const LEAD: u64 = SECOND / 2;

/// Between lines: hangover (400 ms), closing frames, playout delay, and half a second of silence.
const PAUSE: u64 = SECOND * 11 / 10;

/// How long the talkers never pause.
const MARKED: u64 = 6 * SECOND;

/// Between marks of different talkers: 160 ms, four times a mark's length.
const MARK_STAGGER: u64 = 8 * FRAME_SAMPLES as u64;

/// Most that speak marks.
const MARKERS_MAX: usize = 3;

/// Most talkers in a demonstration.
const TALKERS_MAX: usize = 8;

/// -42 dBFS: above the squelch, below the marks.
const CARRIER_RMS: f32 = 0.008;

/// -72 dBFS, as of a quiet room; below the squelch.
const LISTENER_NOISE_RMS: f32 = 0.000_25;
