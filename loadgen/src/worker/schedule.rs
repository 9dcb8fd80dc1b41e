//! When who speaks, known beforehand from the levels of what they say.
//!
//! Frames are counted by the time of day (see `Programme`), so all members mean the same by one.

use std::ops::Range;
use std::sync::Arc;

use sabha_media::extension::LevelDbov;

use super::speech::Piece;
use super::voice::{CLOSE, HANGOVER_FRAMES, OPEN};

/// For each talker of a conference, which frames of the piece are speech.
#[derive(Clone, Debug, Default)]
pub struct Schedule(Vec<Box<[Moment]>>);

/// What one frame of a talker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Whether it is loud enough to be forwarded for its own sake.
    pub is_speech: bool,
    /// Frames since this spurt of talk began; `None` in silence, and if the talker never pauses.
    pub since_onset: Option<u16>,
}

impl Schedule {
    /// Reads the levels of each talker's piece.
    pub fn new(talkers: &[Arc<Piece>]) -> Self {
        Self(talkers.iter().map(|piece| moments(piece)).collect())
    }

    /// Returns what frame `at` of a talker is; silence for talkers who are not there.
    pub fn moment(&self, talker: usize, at: u64) -> Moment {
        self.0
            .get(talker)
            .map_or_else(Moment::default, |moments| moments[(at % moments.len() as u64) as usize])
    }

    /// Returns how often a talker begins to speak within `frames`.
    pub fn onsets(&self, talker: usize, frames: Range<u64>) -> u64 {
        frames.filter(|at| self.moment(talker, *at).since_onset == Some(0)).count() as u64
    }

    /// Returns the frames of speech that are due within `frames` to a member, who may be talker
    /// `own`, where at most `streams` talkers are forwarded at once.
    ///
    /// Of more who speak than there are streams, `own` is taken to be among those forwarded.
    pub fn due(&self, own: Option<usize>, frames: Range<u64>, streams: usize) -> u64 {
        let speaks = |talker: usize, at: u64| self.moment(talker, at).is_speech;
        let due = frames.map(|at| {
            let speaking = (0..self.0.len()).filter(|talker| speaks(*talker, at)).count();
            let own = usize::from(own.is_some_and(|own| speaks(own, at)));
            speaking.min(streams).saturating_sub(own) as u64
        });
        due.sum()
    }
}

/// Follows a gate through the piece as it sounds when it follows itself.
fn moments(piece: &Piece) -> Box<[Moment]> {
    let levels: Vec<_> = (0..piece.len()).map(|at| piece.frame(at).0.level).collect();
    gate(&levels)
}

fn gate(levels: &[LevelDbov]) -> Box<[Moment]> {
    let (mut hangover, mut since_onset) = (0, None);
    let mut moments = vec![Moment::default(); levels.len()];
    for _ in 0..2 {
        for (moment, level) in moments.iter_mut().zip(levels) {
            let was_open = hangover > 0;
            let is_speech = *level <= OPEN || was_open && *level <= CLOSE;
            hangover = if is_speech { HANGOVER_FRAMES } else { hangover.saturating_sub(1) };
            since_onset = match (was_open, hangover > 0) {
                (_, false) => None,
                (false, true) => Some(0),
                (true, true) => since_onset.and_then(|since: u16| since.checked_add(1)),
            };
            *moment = Moment { is_speech, since_onset };
        }
    }
    // Who has not paused in a whole piece never began: what the first pass took for an onset is none.
    let never_pauses = moments.iter().all(|moment| moment.since_onset != Some(0));
    if never_pauses {
        moments.iter_mut().for_each(|moment| moment.since_onset = None);
    }
    moments.into()
}

#[cfg(test)]
mod tests {
    use super::super::speech::{Pattern, Repertoire};
    use super::*;

    fn levels(parts: &[(u8, usize)]) -> Vec<LevelDbov> {
        parts.iter().flat_map(|(level, frames)| vec![LevelDbov(*level); *frames]).collect()
    }

    fn schedule(pattern: Pattern, talkers: u32) -> Schedule {
        Schedule::new(Repertoire::new(talkers, pattern, 1).talkers())
    }

    #[test]
    fn spurt_begins_loud_and_ends_with_the_hangover() {
        let moments = gate(&levels(&[(70, 30), (20, 5), (53, 5), (70, 40)]));
        let speech: Vec<_> = (0..80).filter(|at| moments[*at].is_speech).collect();
        assert_eq!(speech, (30..40).collect::<Vec<_>>(), "-53 dBov keeps open what is open");
        assert_eq!(moments[30].since_onset, Some(0));
        assert_eq!(moments[58].since_onset, Some(28));
        assert_eq!((moments[29].since_onset, moments[59].since_onset), (None, None));
    }

    #[test]
    fn who_never_pauses_has_no_onset() {
        let schedule = schedule(Pattern::Continuous, 2);
        assert_eq!(schedule.onsets(0, 0..5_000), 0);
        assert_eq!(schedule.due(None, 0..1_000, 3), 2_000);
        assert_eq!(schedule.due(Some(1), 0..1_000, 3), 1_000);
    }

    #[test]
    fn those_who_alternate_begin_every_two_seconds_and_one_is_due_at_a_time() {
        let schedule = schedule(Pattern::Alternate, 2);
        assert_eq!((schedule.onsets(0, 0..1_000), schedule.onsets(1, 0..1_000)), (10, 10));
        assert_eq!(schedule.moment(1, 50).since_onset, Some(0));
        assert_eq!(schedule.due(None, 0..1_000, 3), 1_000);
        assert_eq!(schedule.due(Some(0), 0..1_000, 3), 500);
    }

    #[test]
    fn no_more_are_due_than_there_are_streams() {
        let schedule = schedule(Pattern::Continuous, 5);
        assert_eq!(schedule.due(None, 0..100, 3), 300);
        assert_eq!(schedule.due(Some(0), 0..100, 3), 200);
    }
}
