//! What one member of a bridged conference received, held against what was said.
//!
//! Pure: packets in, counts out. Each payload is looked up in the programme, so that it is known
//! whose frame it is, whatever the packet claims; then source, sequence number and timestamp must
//! go with it. Nothing here allocates once the member is made.

use std::sync::Arc;
use std::time::Duration;

use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::leg::Ssrc;
use sabha_media::time::Instant;

use super::hall::SteadyPart;
use super::programme::{Programme, Said};
use super::tally::ForwardedTally;

/// One member's side of a bridge.
pub struct Forwarded {
    programme: Arc<Programme>,
    /// Its place among the talkers, and what it sends as.
    own: Option<usize>,
    own_ssrc: Ssrc,
    streams: Box<[Stream]>,
    /// What of each talker it received.
    received: Box<[Received]>,
    /// The second that is under way, and the streams used in it, a bit each.
    second: u64,
    used: u8,
    tally: ForwardedTally,
}

/// One packet of a bridge, plain.
#[derive(Clone, Copy, Debug)]
pub struct ForwardedPacket<'a> {
    /// Which of the member's streams.
    pub stream: usize,
    /// Its place in the stream.
    pub index: u64,
    /// Its timestamp.
    pub timestamp: u32,
    /// Whether it has the marker.
    pub marker: bool,
    /// Whom it names as the talker; `None` unless that is exactly one.
    pub source: Option<Ssrc>,
    /// Opus, redundancy taken off.
    pub payload: &'a [u8],
    /// When the kernel received it.
    pub received_at: Instant,
    /// Whether that was in the measured part.
    pub is_steady: bool,
}

/// What a packet was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Who said it.
    pub said: Said,
    /// Whether it is speech that was due.
    pub is_due: bool,
    /// How long after it was sent it arrived; known of talkers of this process, and not of what was
    /// kept before a spurt of talk.
    pub delay: Option<Duration>,
    /// When a spurt of talk goes into its `FIRST_FRAMES`th frame: how many of those were missing,
    /// and which frame it began with.
    pub onset: Option<(u64, usize)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    source: Option<Ssrc>,
    said: Said,
    index: u64,
    timestamp: u32,
}

/// The last 64 frames of one talker: bit `n` is the one `n` before the newest.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    newest: u64,
    frames: u64,
}

impl Forwarded {
    /// Makes the side of a member with so many streams that received nothing yet.
    pub fn new(
        programme: Arc<Programme>,
        own: Option<usize>,
        own_ssrc: Ssrc,
        streams: usize,
    ) -> Self {
        let received = vec![Received::default(); programme.talkers()].into();
        let (streams, tally) = (vec![Stream::default(); streams].into(), ForwardedTally::default());
        Self { programme, own, own_ssrc, streams, received, second: 0, used: 0, tally }
    }

    /// Returns the counts.
    pub fn tally(&self) -> &ForwardedTally {
        &self.tally
    }

    /// Returns its place among the talkers, if it is one.
    pub fn own(&self) -> Option<usize> {
        self.own
    }

    /// Returns by schedule how many frames of speech were due to it in a part of the run, and how
    /// often others began to talk.
    pub fn due(&self, part: &SteadyPart) -> (u64, u64) {
        let frames = self.programme.frames(part);
        let speech = self.programme.due(self.own, &frames, self.streams.len());
        (speech, self.programme.onsets(self.own, &frames))
    }

    /// Returns what the members of the conference know of each other.
    pub fn programme(&self) -> &Programme {
        &self.programme
    }

    /// Counts a packet; returns what it was, `None` for what should not have come.
    pub fn handle(&mut self, packet: &ForwardedPacket<'_>) -> Option<Arrival> {
        if packet.is_steady {
            self.note_second(packet);
        }
        let said = self.follow(packet)?;
        if said.piece >= self.programme.talkers() {
            self.tally.noise += 1;
            return None;
        }
        if self.own == Some(said.piece) || packet.source == Some(self.own_ssrc) {
            self.tally.own += 1;
            return None;
        }
        let moment = self.programme.moment(said);
        let before = self.received[said.piece];
        let Some(received) = self.received[said.piece].note(said.frame) else {
            self.tally.doubled += 1;
            return None;
        };
        // The first frames of a spurt were kept until it was one.
        let is_under_way = moment.since_onset.is_none_or(|since| u64::from(since) >= FIRST_FRAMES);
        let is_timed = moment.is_speech && is_under_way;
        let sent_at = self.programme.sent_at(said).filter(|_| is_timed);
        let begun = moment.since_onset.map(|since| said.frame - u64::from(since));
        let first = begun.filter(|begun| {
            before.newest < begun + FIRST_FRAMES && begun + FIRST_FRAMES <= said.frame
        });
        Some(Arrival {
            said,
            is_due: moment.is_speech,
            delay: sent_at.map(|sent_at| packet.received_at.saturating_since(sent_at)),
            onset: first.map(|begun| (begun, received.missing(begun..begun + FIRST_FRAMES))),
        })
    }

    /// Finds out whose frame a packet is, and holds its header against that.
    fn follow(&mut self, packet: &ForwardedPacket<'_>) -> Option<Said> {
        let stream = self.streams.get_mut(packet.stream)?;
        let tally = &mut self.tally;
        tally.compared += 1;
        let steps = packet.timestamp.wrapping_sub(stream.timestamp).cast_signed();
        let frames = i64::from(steps / FRAME_SAMPLES as i32);
        let is_new = stream.source.is_none();
        let is_same = stream.source.is_some() && stream.source == packet.source;
        let next = Said { frame: stream.said.frame.saturating_add_signed(frames), ..stream.said };
        let goes_on = is_same && steps % FRAME_SAMPLES as i32 == 0;
        let said = if goes_on && self.programme.says(next, packet.payload) {
            Some(next)
        } else {
            self.programme.find(packet.payload, packet.received_at)
        };
        let is_in_time = packet.marker || !is_same || goes_on && said == Some(next);
        tally.mismatches += u64::from(said.is_none() || !is_in_time);
        let is_known = packet.source.zip(said);
        let is_known = is_known.is_some_and(|(ssrc, said)| self.programme.may_be(said.piece, ssrc));
        tally.unsourced += u64::from(!is_known);
        let advance = packet.index.cast_signed() - stream.index.cast_signed();
        let is_in_order = match (is_same, packet.marker) {
            _ if is_new => true,
            (true, true) => advance > 0,
            (true, false) => advance == frames,
            (false, marker) => marker && advance == 1,
        };
        tally.breaks += u64::from(!is_in_order);
        tally.switches += u64::from(packet.is_steady && !is_new && !is_same);
        if is_new || advance > 0 {
            let said = said.unwrap_or(next);
            let Some(source) = packet.source.or(stream.source) else { return Some(said) };
            let &ForwardedPacket { index, timestamp, .. } = packet;
            *stream = Stream { source: Some(source), said, index, timestamp };
        }
        said
    }

    fn note_second(&mut self, packet: &ForwardedPacket<'_>) {
        let second = packet.received_at.as_nanos() / 1_000_000_000;
        if second != self.second {
            (self.second, self.used) = (second, 0);
        }
        self.used |= 1 << (packet.stream % 8);
        self.tally.streams_max = self.tally.streams_max.max(self.used.count_ones());
    }
}

impl Received {
    /// Notes a frame; `None` if it was there before. Of what is too old nothing is known.
    fn note(&mut self, frame: u64) -> Option<Self> {
        if frame > self.newest {
            let ahead = u32::try_from(frame - self.newest).unwrap_or(u32::MAX);
            self.frames = self.frames.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = frame;
            return Some(*self);
        }
        let back = u32::try_from(self.newest - frame).unwrap_or(u32::MAX);
        let bit = 1_u64.checked_shl(back).unwrap_or(0);
        let is_new = self.frames & bit == 0;
        self.frames |= bit;
        is_new.then_some(*self)
    }

    /// Counts the frames that were not received.
    fn missing(&self, mut frames: std::ops::Range<u64>) -> usize {
        let all = (frames.end - frames.start) as usize;
        let has = |frame: u64| {
            let back = u32::try_from(self.newest - frame).unwrap_or(u32::MAX);
            self.frames & 1_u64.checked_shl(back).unwrap_or(0) != 0
        };
        all - frames.by_ref().filter(|frame| has(*frame)).count()
    }
}

/// Of a spurt of talk, the frames whose loss takes a part of its first word: 200 ms.
pub const FIRST_FRAMES: u64 = 10;

#[cfg(test)]
mod tests {
    use super::super::programme::tests::programme;
    use super::super::speech::Pattern;
    use super::*;

    /// A listener, and a bridge that sends it whatever a test wants.
    struct Room {
        member: Forwarded,
        streams: [Sender; 3],
        first: u64,
    }

    #[derive(Clone, Copy, Default)]
    struct Sender {
        index: u64,
        timestamp: u32,
    }

    const OWN: Ssrc = Ssrc(99);

    fn source(piece: usize) -> Ssrc {
        Ssrc(piece as u32 + 1)
    }

    fn room(pattern: Pattern, talkers: u32, own: Option<usize>) -> Room {
        let programme = programme(pattern, talkers);
        (0..talkers as usize).for_each(|talker| programme.note_source(talker, source(talker)));
        room_of(&Arc::new(programme), own)
    }

    fn room_of(programme: &Arc<Programme>, own: Option<usize>) -> Room {
        // Where a piece begins again, so that tests know who speaks when.
        let now = programme.frame(Instant::from_millis(60_000));
        let first = now.next_multiple_of(programme.period());
        let streams = [1_000, 2_000, 3_000].map(|index| Sender { index, timestamp: 77 });
        Room { member: Forwarded::new(programme.clone(), own, OWN, 3), streams, first }
    }

    impl Room {
        /// The next packet of a stream, `steps` frames behind the one before.
        fn packet(
            &mut self,
            stream: usize,
            steps: u64,
            said: Said,
        ) -> (ForwardedPacket<'static>, Vec<u8>) {
            let sender = &mut self.streams[stream];
            sender.index += steps;
            sender.timestamp += steps as u32 * FRAME_SAMPLES as u32;
            let payload = self.member.programme().payload(said).to_vec();
            let received_at =
                self.member.programme().begins(said.frame) + Duration::from_millis(21);
            let packet = ForwardedPacket {
                stream,
                index: sender.index,
                timestamp: sender.timestamp,
                marker: false,
                source: Some(source(said.piece)),
                payload: &[],
                received_at,
                is_steady: true,
            };
            (packet, payload)
        }

        fn hear(
            &mut self,
            (stream, steps): (usize, u64),
            (piece, frame): (usize, u64),
            change: impl FnOnce(&mut ForwardedPacket<'_>),
        ) -> Option<Arrival> {
            let said = Said { piece, frame: self.first + frame };
            let (packet, payload) = self.packet(stream, steps, said);
            let mut packet = ForwardedPacket { payload: &payload, ..packet };
            change(&mut packet);
            self.member.handle(&packet)
        }

        fn tally(&self) -> ForwardedTally {
            *self.member.tally()
        }
    }

    #[test]
    fn talkers_in_their_streams_are_all_right() {
        let mut room = room(Pattern::Continuous, 3, None);
        for frame in 0..100 {
            for talker in 0..3 {
                let arrival = room.hear((talker, 1), (talker, frame), |_| {}).unwrap();
                assert!(arrival.is_due && arrival.onset.is_none());
            }
        }
        let wanted = ForwardedTally { compared: 300, streams_max: 3, ..ForwardedTally::default() };
        assert_eq!(room.tally(), wanted);
    }

    #[test]
    fn changed_payload_is_a_mismatch() {
        let mut room = room(Pattern::Continuous, 1, None);
        room.hear((0, 1), (0, 0), |_| {});
        let heard = room.hear((0, 1), (0, 1), |packet| packet.payload = b"another");
        assert_eq!((heard, room.tally().mismatches), (None, 1));
        assert!(room.hear((0, 1), (0, 2), |_| {}).is_some(), "it goes on behind it");
        assert_eq!(room.tally().mismatches, 1);
    }

    #[test]
    fn frame_under_another_frames_timestamp_is_a_mismatch() {
        let mut room = room(Pattern::Continuous, 1, None);
        room.hear((0, 1), (0, 0), |_| {});
        room.hear((0, 1), (0, 5), |_| {});
        assert_eq!((room.tally().mismatches, room.tally().breaks), (1, 0));
        room.hear((0, 1), (0, 6), |packet| packet.timestamp += 7);
        assert_eq!(room.tally().mismatches, 2);
    }

    #[test]
    fn loss_of_the_talker_stays_visible_and_a_closed_gap_is_a_break() {
        let mut room = room(Pattern::Continuous, 1, None);
        room.hear((0, 1), (0, 0), |_| {});
        room.hear((0, 4), (0, 4), |_| {});
        assert_eq!((room.tally().mismatches, room.tally().breaks), (0, 0));
        room.hear((0, 4), (0, 8), |packet| packet.index -= 3);
        assert_eq!((room.tally().mismatches, room.tally().breaks), (0, 1));
    }

    #[test]
    fn takeover_is_one_switch_and_needs_the_marker_and_the_next_number() {
        let mut room = room(Pattern::Continuous, 2, None);
        room.hear((0, 1), (0, 0), |_| {});
        room.hear((0, 1), (1, 1), |packet| packet.marker = true);
        assert_eq!((room.tally().switches, room.tally().breaks), (1, 0));
        room.hear((0, 1), (0, 2), |_| {});
        assert_eq!((room.tally().switches, room.tally().breaks), (2, 1));
        room.hear((0, 2), (1, 4), |packet| packet.marker = true);
        assert_eq!((room.tally().switches, room.tally().breaks), (3, 2));
        assert_eq!(room.tally().mismatches, 0);
    }

    #[test]
    fn frame_in_two_streams_is_doubled() {
        let mut room = room(Pattern::Continuous, 1, None);
        for frame in 0..3 {
            assert!(room.hear((0, 1), (0, frame), |_| {}).is_some());
        }
        assert!(room.hear((1, 1), (0, 1), |_| {}).is_none());
        assert!(room.hear((1, 2), (0, 3), |_| {}).is_some());
        assert_eq!(room.tally().doubled, 1);
    }

    #[test]
    fn own_frames_are_told_by_their_sound_and_by_their_source() {
        let mut room = room(Pattern::Continuous, 2, Some(1));
        assert!(room.hear((0, 1), (1, 0), |_| {}).is_none());
        assert!(room.hear((1, 1), (0, 0), |packet| packet.source = Some(OWN)).is_none());
        assert!(room.hear((2, 1), (0, 1), |_| {}).is_some());
        assert_eq!((room.tally().own, room.tally().unsourced), (2, 1));
    }

    #[test]
    fn packet_must_name_its_talker_alone() {
        let mut room = room(Pattern::Continuous, 2, None);
        room.hear((0, 1), (0, 0), |packet| packet.source = None);
        room.hear((1, 1), (1, 0), |packet| packet.source = Some(source(0)));
        assert_eq!((room.tally().unsourced, room.tally().mismatches), (2, 0));
        room.hear((2, 1), (0, 1), |_| {});
        assert_eq!(room.tally().unsourced, 2);
    }

    #[test]
    fn noise_of_the_silent_is_told_from_speech() {
        let mut room = room(Pattern::Continuous, 2, None);
        for (at, piece) in [2, 3].into_iter().enumerate() {
            assert!(room.hear((at, 1), (piece, 0), |_| {}).is_none());
        }
        assert_eq!((room.tally().noise, room.tally().mismatches), (2, 0));
    }

    #[test]
    fn what_is_missing_of_an_onset_is_told_once_it_is_over() {
        let programme = Arc::new(programme(Pattern::Alternate, 2));
        for (lost, wanted) in [(0, 0), (1, 1), (7, 7), (10, 10), (30, 10)] {
            let mut room = room_of(&programme, None);
            // Three frames of silence go before the talker's second, which is the other one.
            let heard = (47..50).chain(50 + lost..90);
            let arrivals: Vec<_> = heard
                .filter_map(|frame| room.hear((0, 1), (1, frame), |p| p.marker = true))
                .collect();
            let onsets: Vec<_> = arrivals.iter().filter_map(|arrival| arrival.onset).collect();
            assert_eq!(onsets, [(room.first + 50, wanted)], "{lost} lost");
            assert_eq!(arrivals.iter().filter(|arrival| !arrival.is_due).count(), 3);
        }
    }

    #[test]
    fn delay_is_from_the_talkers_sending() {
        let mut room = room(Pattern::Continuous, 1, None);
        let begins = room.member.programme().begins(room.first);
        room.member.programme().note_sent(0, room.first, begins + Duration::from_millis(20));
        let arrival = room.hear((0, 1), (0, 0), |_| {}).unwrap();
        assert_eq!(arrival.delay, Some(Duration::from_millis(1)));
        assert_eq!(room.hear((0, 1), (0, 1), |_| {}).unwrap().delay, None);
    }

    #[test]
    fn streams_are_counted_within_each_second() {
        let mut room = room(Pattern::Continuous, 3, None);
        room.hear((0, 1), (0, 0), |_| {});
        room.hear((1, 1), (1, 100), |_| {});
        room.hear((2, 1), (2, 200), |_| {});
        assert_eq!(room.tally().streams_max, 1);
        room.hear((0, 201), (0, 201), |_| {});
        room.hear((1, 102), (1, 202), |_| {});
        assert!(room.tally().streams_max >= 2);
    }
}
