//! When a member sends what: its piece frame by frame, or level probes, as the node orders.
//!
//! Pure. A member who only listens and need not send its noise is woken every five seconds.

use std::sync::Arc;
use std::time::Duration;

use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::extension::LevelDbov;
use sabha_media::rtp::RtpTimestamp;
use sabha_media::shard::UplinkOrder;
use sabha_media::time::Instant;

use super::speech::Piece;

/// A member's microphone.
pub struct Voice {
    piece: Arc<Piece>,
    /// The frame of the piece at which this member's clock begins.
    shift: u64,
    /// Frames since the clock began.
    position: u64,
    next: Instant,
    interval: Duration,
    /// Frames for which the gate stays open.
    hangover: u32,
    /// Frames since the last probe.
    since_probe: u32,
    is_paused: bool,
    /// Whether everything is sent, whatever the node orders.
    is_open: bool,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The frames of the piece from `from` up to and including `to`, each a packet.
    Frames {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
        /// Whether a pause ends with the first.
        is_onset: bool,
    },
    /// A probe of the level of this frame.
    Probe(u64),
    /// Nothing.
    Nothing,
}

impl Voice {
    /// Begins at `start` with frame `shift` of the piece, on a clock that runs `ppm` millionths
    /// fast.
    pub fn new(piece: Arc<Piece>, shift: u64, start: Instant, ppm: i32) -> Self {
        let nanos = FRAME.as_nanos() as i64 - i64::from(ppm) * FRAME.as_nanos() as i64 / 1_000_000;
        Self {
            piece,
            shift,
            position: 0,
            next: start,
            interval: Duration::from_nanos(nanos.max(1).cast_unsigned()),
            hangover: 0,
            since_probe: PROBE_FRAMES,
            is_paused: true,
            is_open: false,
        }
    }

    /// Makes a microphone that is never gated.
    pub fn open(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// Returns when `step` is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Returns what is due now, and moves on.
    pub fn step(&mut self, now: Instant, order: UplinkOrder) -> Due {
        self.pass_over(now);
        let order = if self.is_open { UplinkOrder::Everything } else { order };
        let position = self.position;
        let is_restful = self.piece.is_quiet && order != UplinkOrder::Everything;
        let frames = if is_restful { PROBE_FRAMES } else { 1 };
        self.position += u64::from(frames);
        self.next += self.interval * frames;
        self.since_probe += frames;
        if is_restful {
            self.is_paused = true;
            return self.probe(position, PROBE_FRAMES);
        }
        let level = self.frame_level(position);
        let was_open = self.hangover > 0;
        self.hangover = match level {
            level if level <= OPEN || was_open && level <= CLOSE => HANGOVER_FRAMES,
            _ => self.hangover.saturating_sub(1),
        };
        match (order, self.hangover > 0) {
            (UplinkOrder::Everything, _) => self.frames(position, position),
            (UplinkOrder::Voice, true) if was_open => self.frames(position, position),
            (UplinkOrder::Voice, true) => {
                self.frames(position.saturating_sub(PREROLL_FRAMES), position)
            }
            (UplinkOrder::Voice, false) => self.pause(position, PROBE_FRAMES),
            (UplinkOrder::Probes, true) => self.pause(position, LOUD_PROBE_FRAMES),
            (UplinkOrder::Probes, false) => self.pause(position, PROBE_FRAMES),
        }
    }

    /// Returns the frame of the piece that a position says.
    pub fn frame_of(&self, position: u64) -> u64 {
        self.shift + position
    }

    /// Returns what is said.
    pub fn piece(&self) -> &Arc<Piece> {
        &self.piece
    }

    /// Returns the timestamp of a position.
    pub fn timestamp(position: u64) -> RtpTimestamp {
        RtpTimestamp((position * FRAME_SAMPLES as u64) as u32)
    }

    /// Returns the timestamp of what is due next.
    pub fn newest_timestamp(&self) -> RtpTimestamp {
        Self::timestamp(self.position)
    }

    fn frame_level(&self, position: u64) -> LevelDbov {
        self.piece.frame(self.frame_of(position)).0.level
    }

    fn frames(&mut self, from: u64, to: u64) -> Due {
        let is_onset = std::mem::take(&mut self.is_paused);
        Due::Frames { from: if is_onset { from } else { to }, to, is_onset }
    }

    fn pause(&mut self, position: u64, every: u32) -> Due {
        self.is_paused = true;
        self.probe(position, every)
    }

    fn probe(&mut self, position: u64, every: u32) -> Due {
        if self.since_probe < every {
            return Due::Nothing;
        }
        self.since_probe = 0;
        Due::Probe(position)
    }

    /// After a stall leaves out what nobody could hear in time, as the client does.
    fn pass_over(&mut self, now: Instant) {
        let behind = now.saturating_since(self.next).as_nanos() / self.interval.as_nanos();
        if behind > BACKLOG_FRAMES_MAX {
            let frames = u32::try_from(behind).unwrap_or(u32::MAX);
            self.position += u64::from(frames);
            self.next += self.interval * frames;
        }
    }
}

/// One frame.
const FRAME: Duration = Duration::from_millis(20);

/// The gate opens at this level and stays open down to the other. Source: the client's gate.
pub const OPEN: LevelDbov = LevelDbov(50);
pub const CLOSE: LevelDbov = LevelDbov(55);

/// 400 ms after the last loud frame.
pub const HANGOVER_FRAMES: u32 = 20;

/// Frames before an onset that are sent with it.
const PREROLL_FRAMES: u64 = 3;

/// Between probes: 5 s, and 200 ms while loud. Source: the client's.
const PROBE_FRAMES: u32 = 250;
const LOUD_PROBE_FRAMES: u32 = 10;

/// Frames made up for after a stall. Source: the client's.
const BACKLOG_FRAMES_MAX: u128 = 20;

#[cfg(test)]
mod tests {
    use super::super::speech::{PIECE_FRAMES, Pattern, Repertoire};
    use super::*;

    fn steps(voice: &mut Voice, order: UplinkOrder, count: usize) -> Vec<Due> {
        (0..count).map(|_| voice.step(voice.next(), order)).collect()
    }

    fn voice(repertoire: &Repertoire, talker: Option<u32>) -> Voice {
        let piece = talker.and_then(|at| repertoire.talker(at)).unwrap_or(repertoire.noise());
        Voice::new(piece.clone(), 0, Instant::from_millis(5), 50)
    }

    #[test]
    fn everything_is_a_packet_each_frame() {
        let repertoire = Repertoire::new(0, Pattern::Continuous, 1);
        let mut voice = voice(&repertoire, None);
        let due = steps(&mut voice, UplinkOrder::Everything, 100);
        assert!(due.iter().all(|due| matches!(due, Due::Frames { from, to, .. } if from == to)));
        assert_eq!(voice.next(), Instant::from_nanos(5_000_000 + 100 * 19_999_000));
    }

    #[test]
    fn quiet_member_only_probes_every_five_seconds() {
        let repertoire = Repertoire::new(0, Pattern::Continuous, 1);
        for order in [UplinkOrder::Voice, UplinkOrder::Probes] {
            let mut voice = voice(&repertoire, None);
            assert_eq!(steps(&mut voice, order, 3), [0, 250, 500].map(Due::Probe));
        }
    }

    #[test]
    fn open_microphone_sends_every_frame_whatever_is_ordered() {
        let repertoire = Repertoire::new(0, Pattern::Continuous, 1);
        let mut voice = voice(&repertoire, None).open();
        let due = steps(&mut voice, UplinkOrder::Probes, 100);
        assert!(due.iter().all(|due| matches!(due, Due::Frames { from, to, .. } if from == to)));
    }

    #[test]
    fn talker_with_pauses_sends_onsets_whole() {
        let repertoire = Repertoire::new(2, Pattern::Turns, 1);
        let mut voice = voice(&repertoire, Some(1));
        let due = steps(&mut voice, UplinkOrder::Voice, 2 * PIECE_FRAMES as usize);
        let onset = due.iter().find(|due| matches!(due, Due::Frames { is_onset: true, .. }));
        let to = PIECE_FRAMES;
        assert_eq!(onset, Some(&Due::Frames { from: to - 3, to, is_onset: true }));
        let probes = due.iter().filter(|due| matches!(due, Due::Probe(_))).count();
        assert_eq!(probes, PIECE_FRAMES as usize / 250 + 1);
    }

    #[test]
    fn ordered_to_probe_a_talker_sends_no_payload() {
        let repertoire = Repertoire::new(1, Pattern::Continuous, 1);
        let due = steps(&mut voice(&repertoire, Some(0)), UplinkOrder::Probes, 100);
        let probes = due.iter().filter(|due| matches!(due, Due::Probe(_))).count();
        assert_eq!((probes, due.iter().any(|due| matches!(due, Due::Frames { .. }))), (10, false));
    }
}
