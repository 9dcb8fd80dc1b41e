//! What members say, encoded once at the start: speech with marks, and the noise of a quiet room.
//!
//! A piece is said again and again, each member beginning elsewhere in it by the time of day, so
//! that the talkers of a conference keep their places in it whichever process they are in.

use std::ops::Range;
use std::sync::Arc;

use sabha_client::random::Random;
use sabha_client::sound::built_in::built_in_clips;
use sabha_client::sound::mark::MARKS;
use sabha_client::sound::{Clip, Mark};
use sabha_media::codec::opus::OpusEncoder;
use sabha_media::codec::{Encoder, EncoderSettings, FRAME_SAMPLES, Frame, PAYLOAD_SIZE_MAX};
use sabha_media::extension::LevelDbov;
use serde::{Deserialize, Serialize};

/// How talkers talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// All at once, without a pause.
    #[default]
    Continuous,
    /// One after the other, each for a few seconds, without a pause between them.
    Turns,
    /// In turns, and now and then two at once.
    Conversation,
    /// In turns of one second, without marks.
    Alternate,
}

impl Pattern {
    /// Whether each talker talks all the time.
    pub fn never_pauses(self) -> bool {
        self == Self::Continuous
    }

    /// Whether talkers say marks.
    pub fn has_marks(self) -> bool {
        self != Self::Alternate
    }

    /// Frames of one round: in a round it is the same talkers who speak.
    fn round_frames(self) -> u64 {
        if self == Self::Alternate { ALTERNATE_FRAMES } else { PIECE_FRAMES }
    }
}

/// One piece of sound, encoded.
pub struct Piece {
    octets: Box<[u8]>,
    frames: Box<[PieceFrame]>,
    /// The sound itself, to be compared with what is heard.
    pub pcm: Box<[f32]>,
    /// Whether no frame of it opens a gate.
    pub is_quiet: bool,
}

/// One frame of a piece.
#[derive(Clone, Copy, Debug)]
pub struct PieceFrame {
    start: u32,
    length: u16,
    /// How loud it is.
    pub level: LevelDbov,
    /// The mark that begins in it, if any.
    pub mark: Option<Mark>,
}

impl Piece {
    /// Returns the frame at `at`, counted on without end, and its payload.
    pub fn frame(&self, at: u64) -> (PieceFrame, &[u8]) {
        let frame = self.frames[(at % self.frames.len() as u64) as usize];
        let start = frame.start as usize;
        (frame, &self.octets[start..start + usize::from(frame.length)])
    }

    /// Whether a payload is the frame at `at`, octet for octet.
    pub fn says(&self, at: u64, payload: &[u8]) -> bool {
        self.frame(at).1 == payload
    }

    /// Returns how many frames it has.
    pub fn len(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Encodes `pcm` as it sounds when it follows itself.
    fn encode(pcm: Vec<f32>, marks: &[(usize, Mark)]) -> Self {
        let mut encoder = OpusEncoder::new(ENCODER);
        let (mut octets, mut frames) = (Vec::new(), Vec::new());
        let mut payload = [0; PAYLOAD_SIZE_MAX];
        for is_kept in [false, true] {
            for (at, samples) in pcm.as_chunks::<FRAME_SAMPLES>().0.iter().enumerate() {
                let frame: &Frame = samples;
                let length = encoder.encode(frame, &mut payload).unwrap_or(0);
                if is_kept {
                    frames.push(PieceFrame {
                        start: octets.len() as u32,
                        length: length as u16,
                        level: LevelDbov::from_samples(frame),
                        mark: marks.iter().find(|(begins, _)| *begins == at).map(|(_, mark)| *mark),
                    });
                    octets.extend_from_slice(&payload[..length]);
                }
            }
        }
        let is_quiet = frames.iter().all(|frame| frame.level > GATE);
        Self { octets: octets.into(), frames: frames.into(), pcm: pcm.into(), is_quiet }
    }
}

/// Everything that is said in a run.
pub struct Repertoire {
    /// For each talker of a conference its piece; further talkers begin at the first again.
    talkers: Vec<Arc<Piece>>,
    noise: Arc<Piece>,
    loud_noise: Arc<Piece>,
}

impl Repertoire {
    /// Encodes the pieces of a conference with so many talkers.
    pub fn new(talkers: u32, pattern: Pattern, seed: u64) -> Self {
        let clips = built_in_clips();
        let parts = talkers.min(u32::from(MARKS)) as usize;
        let script = Script { parts: parts.max(1), pattern, seed };
        let talkers = (0..parts).map(|part| Arc::new(script.piece(part, &clips))).collect();
        let noise = Arc::new(script.noise(ROOM_RMS..ROOM_RMS));
        let loud_noise = Arc::new(script.noise(NOISY_RMS));
        Self { talkers, noise, loud_noise }
    }

    /// Returns the pieces of all talkers.
    pub fn talkers(&self) -> &[Arc<Piece>] {
        &self.talkers
    }

    /// Returns the piece of talker `talker` of a conference.
    pub fn talker(&self, talker: u32) -> Option<&Arc<Piece>> {
        self.talkers.get(talker as usize % self.talkers.len().max(1))
    }

    /// Returns what those say who only listen.
    pub fn noise(&self) -> &Arc<Piece> {
        &self.noise
    }

    /// Returns what those say whose microphone hears a noisy room: never loud enough to be heard.
    pub fn loud_noise(&self) -> &Arc<Piece> {
        &self.loud_noise
    }
}

/// Where in a piece the marks are: from this frame to its end nobody speaks.
pub const MARKS_FROM: u64 = 400;

/// Frames of a piece: 8 s of speech, then 3.52 s of marks.
pub const PIECE_FRAMES: u64 = 576;

/// Who says what when in one conference.
struct Script {
    parts: usize,
    pattern: Pattern,
    seed: u64,
}

impl Script {
    fn piece(&self, part: usize, clips: &[Clip]) -> Piece {
        let rounds = match self.pattern {
            Pattern::Continuous => 1,
            Pattern::Turns | Pattern::Conversation => self.parts,
            Pattern::Alternate => self.parts * ALTERNATE_TURNS,
        };
        let round_frames = self.pattern.round_frames() as usize;
        let samples = round_frames * FRAME_SAMPLES;
        let mut random = Random::new(self.seed, 100 + part as u64);
        let (mut pcm, mut marks) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let speaks = rounds == 1 || self.speaks(part, round);
            let rms = if speaks { CARRIER_RMS } else { ROOM_RMS };
            let mut sound: Vec<f32> =
                (0..samples).map(|_| (random.unit() as f32 - 0.5) * 12f32.sqrt() * rms).collect();
            if speaks {
                speak(&mut sound, clips, part + round);
            }
            if speaks && self.pattern.has_marks() {
                let first = round * round_frames;
                marks
                    .extend(self.mark(&mut sound, part).into_iter().map(|(at, m)| (first + at, m)));
            }
            pcm.append(&mut sound);
        }
        Piece::encode(pcm, &marks)
    }

    /// Whether a talker has the word in a round; in a conversation the next one may join in.
    fn speaks(&self, part: usize, round: usize) -> bool {
        let joins = self.pattern == Pattern::Conversation
            && Random::new(self.seed, 500 + round as u64).unit() < SHARE_OF_DOUBLE_TALK
            && part == (round + 1) % self.parts;
        part == round % self.parts || joins
    }

    /// Adds a talker's marks in turn with the others'; returns in which frames they begin.
    fn mark(&self, sound: &mut [f32], part: usize) -> Vec<(usize, Mark)> {
        let Some(mark) = u8::try_from(part).ok().and_then(Mark::new) else { return Vec::new() };
        let turn = self.parts.max(TURNS_MIN) * MARK_STAGGER;
        let first = MARKS_FROM as usize + part * MARK_STAGGER + 2;
        let last = PIECE_FRAMES as usize - MARK_STAGGER;
        let frames: Vec<_> = (first..last).step_by(turn).collect();
        for at in &frames {
            // Half-way into a frame, so that no error of detection takes it for its neighbour.
            mark.mix_into(sound, at * FRAME_SAMPLES + FRAME_SAMPLES / 2);
        }
        frames.into_iter().map(|at| (at, mark)).collect()
    }

    /// Noise that flickers, from frame to frame, between two levels.
    fn noise(&self, rms: Range<f32>) -> Piece {
        let mut random = Random::new(self.seed, 99);
        let frames = (0..NOISE_FRAMES).flat_map(|_| {
            let rms = rms.start + random.unit() as f32 * (rms.end - rms.start);
            (0..FRAME_SAMPLES)
                .map(|_| (random.unit() as f32 - 0.5) * 12f32.sqrt() * rms)
                .collect::<Vec<_>>()
        });
        Piece::encode(frames.collect(), &[])
    }
}

/// Adds clips one after the other, as far as they fit before the marks; of a clip that alone is too
/// long, the beginning.
fn speak(sound: &mut [f32], clips: &[Clip], first: usize) {
    let end = sound.len().min(MARKS_FROM as usize * FRAME_SAMPLES);
    let mut at = 0;
    for clip in clips.iter().cycle().skip(first % clips.len().max(1)) {
        let Some(room) = sound.get_mut(at..end) else { return };
        if room.len() < clip.samples.len() && at > 0 {
            return;
        }
        for (sample, spoken) in room.iter_mut().zip(&clip.samples) {
            *sample += spoken;
        }
        at += clip.samples.len();
    }
}

/// What members' encoders do: 32 kbit/s as in the client; effort is spent only once, here.
const ENCODER: EncoderSettings = EncoderSettings { bitrate: 32_000, complexity: 9 };

/// -42 dBFS: keeps a squelch open between words, below the marks.
const CARRIER_RMS: f32 = 0.008;

/// -70 dBFS, as of a quiet room; below the squelch.
const ROOM_RMS: f32 = 0.000_316;

/// -59.5 to -55.5 dBFS: a noisy room, below the squelch.
const NOISY_RMS: Range<f32> = 0.001_06..0.001_68;

/// A gate opens above this level. Source: the node's squelch.
const GATE: LevelDbov = LevelDbov(50);

/// Between marks of different talkers: 160 ms, four times a mark's length.
const MARK_STAGGER: usize = 8;

/// A talker's marks are at least 480 ms apart, so that a delayed one is not taken for the next.
const TURNS_MIN: usize = 3;

/// Two seconds of noise; what is below the squelch is never decoded.
const NOISE_FRAMES: usize = 100;

/// Who alternates has the word for one second, and says something else each of six times.
const ALTERNATE_FRAMES: u64 = 50;
const ALTERNATE_TURNS: usize = 6;

/// How often a second talker joins in.
const SHARE_OF_DOUBLE_TALK: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    fn open(piece: &Piece) -> Vec<bool> {
        (0..piece.len()).map(|at| piece.frame(at).0.level <= GATE).collect()
    }

    #[test]
    fn continuous_talkers_never_pause_and_speak_marks_in_turn() {
        let repertoire = Repertoire::new(3, Pattern::Continuous, 1);
        let mut marks = Vec::new();
        for talker in 0..3 {
            let piece = repertoire.talker(talker).unwrap();
            assert_eq!(piece.len(), PIECE_FRAMES);
            assert!(open(piece).into_iter().all(|open| open), "talker {talker} pauses");
            marks.extend((0..piece.len()).filter_map(|at| Some((at, piece.frame(at).0.mark?))));
        }
        marks.sort_unstable();
        assert!(marks.len() >= 18, "{}", marks.len());
        assert!(marks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= MARK_STAGGER as u64));
        assert!(marks.iter().all(|(at, _)| *at >= MARKS_FROM));
    }

    #[test]
    fn turns_leave_no_pause_and_one_talker_at_a_time() {
        let repertoire = Repertoire::new(3, Pattern::Turns, 1);
        let talkers: Vec<_> = (0..3).map(|at| open(repertoire.talker(at).unwrap())).collect();
        for at in 0..talkers[0].len() {
            let count = talkers.iter().filter(|open| open[at]).count();
            assert_eq!(count, 1, "frame {at}");
        }
    }

    #[test]
    fn two_who_alternate_have_the_word_for_a_second_each() {
        let repertoire = Repertoire::new(2, Pattern::Alternate, 1);
        let talkers: Vec<_> = (0..2).map(|at| open(repertoire.talker(at).unwrap())).collect();
        for (at, both) in talkers[0].iter().zip(&talkers[1]).enumerate() {
            let turn = at / ALTERNATE_FRAMES as usize % 2;
            assert_eq!(both, (&(turn == 0), &(turn == 1)), "frame {at}");
        }
        let frame = |at| repertoire.talker(0).unwrap().frame(at).1.to_vec();
        assert_ne!(frame(10), frame(110), "each turn says something else");
    }

    #[test]
    fn noisy_room_is_loud_but_opens_no_gate() {
        let repertoire = Repertoire::new(0, Pattern::Continuous, 1);
        let noise = repertoire.loud_noise();
        assert!(noise.is_quiet);
        for at in 0..noise.len() {
            let level = noise.frame(at).0.level.0;
            assert!((55..=60).contains(&level), "-{level} dBov");
        }
    }

    #[test]
    fn room_noise_opens_no_gate() {
        let repertoire = Repertoire::new(0, Pattern::Continuous, 1);
        assert!(repertoire.noise().is_quiet && repertoire.talker(0).is_none());
        assert!((68..=72).contains(&repertoire.noise().frame(7).0.level.0));
    }
}
