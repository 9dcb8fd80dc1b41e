//! What members of one conference can know of each other's packets: what is said, when, and when
//! it was sent.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sabha_media::leg::Ssrc;
use sabha_media::time::Instant;

use super::hall::SteadyPart;
use super::schedule::{Moment, Schedule};
use super::speech::{Piece, Repertoire};
use super::wall::Wall;

/// What is said in one conference, by frames counted from the day's time.
pub struct Programme {
    timeline: Timeline,
    /// The talkers' pieces, then what those say who are not to be forwarded.
    pieces: Vec<Arc<Piece>>,
    schedule: Arc<Schedule>,
    /// What the talkers of this process did.
    sent: Box<[Sent]>,
}

/// Where a conference is in its pieces.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    /// The clocks.
    pub wall: Wall,
    /// The frame of the piece at frame 0 of the day's time.
    pub shift: u64,
}

/// One frame of what somebody says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Whose piece: a talker's place, or beyond them those who are not to be forwarded.
    pub piece: usize,
    /// Which frame, counted by the day's time.
    pub frame: u64,
}

/// What a talker of this process sends: as which source, and the last frames when.
struct Sent {
    ssrc: AtomicU32,
    /// Time in ns in the low bits, the frame's number in the high ones.
    times: [AtomicU64; SENT_FRAMES],
}

impl Programme {
    /// Makes the programme of a conference.
    pub fn new(timeline: Timeline, repertoire: &Repertoire, schedule: Arc<Schedule>) -> Self {
        let mut pieces = repertoire.talkers().to_vec();
        let sent = pieces.iter().map(|_| Sent::new()).collect();
        pieces.extend([repertoire.loud_noise().clone(), repertoire.noise().clone()]);
        Self { timeline, pieces, schedule, sent }
    }

    /// Returns how many talkers there are.
    pub fn talkers(&self) -> usize {
        self.sent.len()
    }

    /// Notes which source a talker is.
    pub fn note_source(&self, talker: usize, ssrc: Ssrc) {
        if let Some(sent) = self.sent.get(talker) {
            sent.ssrc.store(ssrc.0, Ordering::Relaxed);
        }
    }

    /// Notes that a talker sends a frame.
    pub fn note_sent(&self, talker: usize, frame: u64, at: Instant) {
        if let Some(sent) = self.sent.get(talker) {
            let packed = frame << TIME_BITS | at.as_nanos() & TIME_MASK;
            sent.times[frame as usize % SENT_FRAMES].store(packed, Ordering::Relaxed);
        }
    }

    /// Returns when a frame was sent; `None` for a talker of another process, and long ago.
    pub fn sent_at(&self, said: Said) -> Option<Instant> {
        let sent = self.sent.get(said.piece)?;
        let packed = sent.times[said.frame as usize % SENT_FRAMES].load(Ordering::Relaxed);
        let is_it = packed != 0 && packed >> TIME_BITS == said.frame & (u64::MAX >> TIME_BITS);
        is_it.then(|| Instant::from_nanos(packed & TIME_MASK))
    }

    /// Whether `ssrc` may be the source of what `piece` says, as far as this process knows.
    pub fn may_be(&self, piece: usize, ssrc: Ssrc) -> bool {
        let known = self.sent.get(piece).map_or(0, |sent| sent.ssrc.load(Ordering::Relaxed));
        known == 0 || known == ssrc.0
    }

    /// Whether a payload is this frame, octet for octet.
    pub fn says(&self, said: Said, payload: &[u8]) -> bool {
        self.pieces.get(said.piece).is_some_and(|piece| piece.says(said.frame, payload))
    }

    /// Finds who said a payload that arrived at `received_at`, and as which frame: the nearest.
    pub fn find(&self, payload: &[u8], received_at: Instant) -> Option<Said> {
        let now = self.timeline.frame(received_at);
        let found = |piece| {
            let mut frames = (0..=FRAMES_APART).flat_map(|apart| [now - apart, now + apart]);
            let frame = frames.find(|frame| self.says(Said { piece, frame: *frame }, payload))?;
            Some(Said { piece, frame })
        };
        (0..self.pieces.len()).find_map(found)
    }

    /// Returns what the schedule says of a frame.
    pub fn moment(&self, said: Said) -> Moment {
        self.schedule.moment(said.piece, said.frame)
    }

    /// Returns when a frame begins.
    pub fn begins(&self, frame: u64) -> Instant {
        self.timeline.begins(frame)
    }

    /// Returns how often a talker begins to speak within `frames`.
    pub fn turns(&self, talker: usize, frames: &Range<u64>) -> u64 {
        self.schedule.onsets(talker, frames.clone())
    }

    /// Returns how often talkers other than `own` begin to speak within `frames`.
    pub fn onsets(&self, own: Option<usize>, frames: &Range<u64>) -> u64 {
        let others = (0..self.talkers()).filter(|talker| Some(*talker) != own);
        others.map(|talker| self.turns(talker, frames)).sum()
    }

    /// Returns the frames of speech due within `frames` to a member, as `Schedule::due`.
    pub fn due(&self, own: Option<usize>, frames: &Range<u64>, streams: usize) -> u64 {
        self.schedule.due(own, frames.clone(), streams)
    }

    /// Returns the frames that begin in the measured part.
    pub fn frames(&self, part: &SteadyPart) -> Range<u64> {
        let first = |at| {
            let frame = self.timeline.frame(at);
            frame + u64::from(self.begins(frame) < at)
        };
        first(part.from())..first(part.to())
    }
}

impl Timeline {
    /// Returns the frame that `at` lies in.
    pub fn frame(&self, at: Instant) -> u64 {
        self.wall.frame(at) + self.shift
    }

    /// Returns when a frame begins.
    pub fn begins(&self, frame: u64) -> Instant {
        self.wall.begins(frame.saturating_sub(self.shift))
    }
}

impl Sent {
    fn new() -> Self {
        Self { ssrc: AtomicU32::new(0), times: [const { AtomicU64::new(0) }; SENT_FRAMES] }
    }
}

/// Frames whose time is kept: 2.5 s, longer than any packet that is of use is under way.
const SENT_FRAMES: usize = 128;

/// 48 bits of ns are three days; 16 bits of a frame's number tell it from those of the same place.
const TIME_BITS: u32 = 48;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// How far from its time a payload is looked for: less than half a piece, and more than the clocks
/// of a day's run go apart.
const FRAMES_APART: u64 = 250;

#[cfg(test)]
pub(super) mod tests {
    use sabha_transport::Clock;

    use super::super::speech::Pattern;
    use super::*;

    /// A conference in which these talk.
    pub(in super::super) fn programme(pattern: Pattern, talkers: u32) -> Programme {
        let repertoire = Repertoire::new(talkers, pattern, 1);
        let timeline = Timeline { wall: Wall::new(Clock::process()), shift: 217 };
        let schedule = Arc::new(Schedule::new(repertoire.talkers()));
        Programme::new(timeline, &repertoire, schedule)
    }

    impl Programme {
        pub(in super::super) fn period(&self) -> u64 {
            self.pieces[0].len()
        }

        pub(in super::super) fn frame(&self, at: Instant) -> u64 {
            self.timeline.frame(at)
        }

        pub(in super::super) fn payload(&self, said: Said) -> &[u8] {
            self.pieces[said.piece].frame(said.frame).1
        }
    }

    #[test]
    fn payload_is_found_where_it_was_said() {
        let programme = programme(Pattern::Continuous, 3);
        let at = Instant::from_millis(60_000);
        for piece in 0..3 {
            for back in [0, 3, 40] {
                let said = Said { piece, frame: programme.timeline.frame(at) - back };
                let payload = programme.pieces[piece].frame(said.frame).1;
                assert_eq!(programme.find(payload, at), Some(said));
                assert!(!programme.says(Said { frame: said.frame + 1, ..said }, payload));
            }
        }
        assert_eq!(programme.find(b"never said", at), None);
        let noise = programme.pieces[3].frame(7).1;
        assert_eq!(programme.find(noise, at).unwrap().piece, programme.talkers());
    }

    #[test]
    fn time_of_sending_is_of_that_very_frame() {
        let programme = programme(Pattern::Continuous, 1);
        let said = Said { piece: 0, frame: 90_000_000_123 };
        assert_eq!(programme.sent_at(said), None);
        programme.note_sent(0, said.frame, Instant::from_millis(1_234));
        assert_eq!(programme.sent_at(said), Some(Instant::from_millis(1_234)));
        let earlier = Said { frame: said.frame - SENT_FRAMES as u64, ..said };
        assert_eq!(programme.sent_at(earlier), None, "the same place, another frame");
    }

    #[test]
    fn measured_part_holds_whole_frames() {
        let programme = programme(Pattern::Continuous, 1);
        let part = SteadyPart::new();
        part.set(Instant::from_millis(5_000), Instant::from_millis(15_000));
        let frames = programme.frames(&part);
        assert_eq!(frames.end - frames.start, 500);
        assert!(part.contains(programme.begins(frames.start)));
        assert!(!part.contains(programme.begins(frames.end)));
        assert!(!part.contains(programme.begins(frames.start - 1)));
    }

    #[test]
    fn source_of_a_talker_here_is_known() {
        let programme = programme(Pattern::Continuous, 2);
        assert!(programme.may_be(0, Ssrc(7)), "nothing is known yet");
        programme.note_source(0, Ssrc(9));
        assert!(!programme.may_be(0, Ssrc(7)) && programme.may_be(0, Ssrc(9)));
    }
}
