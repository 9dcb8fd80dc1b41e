//! A member's ear: decodes and plays what is received as the client does, and notes what was heard.
//!
//! Plays half a second behind the clock, but as if in time: each frame is made of what the kernel
//! had received when it was due. So a load generator that is late makes nobody miss anything.
//! Keeps sound of the steady part only, at most `RECORDED_FRAMES_MAX`, spread over it.

use std::collections::VecDeque;
use std::time::Duration;

use sabha_media::codec::opus::OpusDecoder;
use sabha_media::codec::{FRAME_SAMPLES, Frame};
use sabha_media::engine::RECEIVE_STREAMS_MAX;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::{BufferedPacket, JitterSettings};
use sabha_media::playout::Playout;
use sabha_media::quality::{CodecQuality, Mos, PacketLoss, Rating};
use sabha_media::rtp::RtpTimestamp;
use sabha_media::time::Instant;
use sabha_media::transmit::DATAGRAM_SIZE_MAX;

use super::hall::SteadyPart;

/// One member's ear.
pub struct Ear {
    lines: Vec<Line>,
    /// The frame that is played next is of this time.
    next: Instant,
    interval: Duration,
    /// What the lines are yet to be given, in the order of arrival.
    staged: VecDeque<Staged>,
    clipped_samples: u64,
    recording: Recording,
}

/// One of the streams that an ear hears: a mix, or whoever a bridge sends in it.
struct Line {
    playout: Playout<OpusDecoder>,
    /// Who is heard in it, if that is known.
    talker: Option<u32>,
    packets: [Arrival; ARRIVALS],
    arrivals: usize,
    /// The packet of the frame that was played last, and that frame's timestamp.
    last: Option<Arrival>,
    while_joining: Part,
    steady: Part,
}

/// What was heard in one part of the run.
#[derive(Clone)]
pub struct Part {
    bounds: SteadyPart,
    /// Frames that were due.
    pub frames: u64,
    /// Of those, frames that no packet was decoded for.
    pub missing: u64,
    /// For each frame heard, when relative to its timestamp, in µs; wraps, so only differences say
    /// something. At most `LAGS_MAX`.
    lags_us: Vec<i32>,
}

/// Sound as it was heard.
#[derive(Default)]
pub struct Recording {
    /// f32 mono at 48 kHz, a frame after the other.
    pub pcm: Vec<f32>,
    /// One for each frame.
    pub frames: Vec<RecordedFrame>,
}

/// One recorded frame.
#[derive(Clone, Copy, Debug)]
pub struct RecordedFrame {
    /// When it was played.
    pub played_at: Instant,
    /// What it was made of: of each stream the talker, if known, and when the packet was received.
    sources: [Option<(Option<u32>, Instant)>; RECEIVE_STREAMS_MAX],
}

impl RecordedFrame {
    /// Returns when the packet was received in which `talker` is heard; `None` if it was concealed.
    pub fn received_from(&self, talker: u32) -> Option<Instant> {
        let mut sources = self.sources.iter().flatten();
        let source = sources.find(|(who, _)| who.is_none_or(|who| who == talker));
        source.map(|(_, received_at)| *received_at)
    }
}

/// A packet that was received.
struct Staged {
    line: usize,
    talker: Option<u32>,
    index: u64,
    timestamp: RtpTimestamp,
    samples: u32,
    level: LevelDbov,
    received_at: Instant,
    payload: [u8; DATAGRAM_SIZE_MAX],
    payload_len: usize,
}

#[derive(Clone, Copy, Default)]
struct Arrival {
    received_at: Instant,
    timestamp: u32,
}

impl Ear {
    /// Makes an ear for so many streams, whose clock begins at `start`.
    pub fn new(
        start: Instant,
        while_joining: &SteadyPart,
        steady: &SteadyPart,
        streams: usize,
    ) -> Self {
        let streams = streams.min(RECEIVE_STREAMS_MAX);
        Self {
            lines: (0..streams).map(|_| Line::new(while_joining, steady)).collect(),
            next: start,
            interval: FRAME,
            staged: VecDeque::with_capacity(STAGED_MAX * streams),
            clipped_samples: 0,
            recording: Recording {
                pcm: Vec::with_capacity(RECORDED_FRAMES_MAX * FRAME_SAMPLES),
                frames: Vec::with_capacity(RECORDED_FRAMES_MAX),
            },
        }
    }

    /// Takes a packet that was received in a stream, of `talker` if that is known; one too many is
    /// lost.
    pub fn hear(&mut self, line: usize, talker: Option<u32>, packet: &BufferedPacket<'_>) {
        if self.staged.len() >= STAGED_MAX * self.lines.len() || line >= self.lines.len() {
            return;
        }
        let mut payload = [0; DATAGRAM_SIZE_MAX];
        let payload_len = packet.payload.len().min(DATAGRAM_SIZE_MAX);
        payload[..payload_len].copy_from_slice(&packet.payload[..payload_len]);
        let &BufferedPacket { index, timestamp, samples, level, received_at, .. } = packet;
        self.staged.push_back(Staged {
            line,
            talker,
            index,
            timestamp,
            samples,
            level,
            received_at,
            payload,
            payload_len,
        });
    }

    /// Returns when a frame is to be played.
    pub fn next(&self) -> Instant {
        self.next + LAG
    }

    /// Plays every frame whose time has come.
    pub fn play_due(&mut self, now: Instant) {
        while self.next() <= now {
            let at = self.next;
            self.next += self.interval;
            self.take_staged(at);
            let mut sum = [0.0; FRAME_SAMPLES];
            let mut sources = [None; RECEIVE_STREAMS_MAX];
            for (line, source) in self.lines.iter_mut().zip(&mut sources) {
                let received_at = line.play(at, &mut sum);
                *source = received_at.map(|received_at| (line.talker, received_at));
            }
            if self.lines.iter().any(|line| line.steady.bounds.contains(at)) {
                let loud = sum.iter().filter(|sample| sample.abs() >= CLIPPING).count();
                self.clipped_samples += loud as u64;
                self.record(RecordedFrame { played_at: at, sources }, &sum);
            }
        }
    }

    /// Gives the lines what had been received by `at`.
    fn take_staged(&mut self, at: Instant) {
        while self.staged.front().is_some_and(|packet| packet.received_at <= at) {
            let Some(packet) = self.staged.pop_front() else { return };
            self.lines[packet.line].take(&packet);
        }
    }

    /// Returns what was heard while others joined, in the steady part, and the clipped samples.
    pub fn parts(&self) -> (Part, Part, u64) {
        let joining = Part::sum(self.lines.iter().map(|line| &line.while_joining));
        (joining, Part::sum(self.lines.iter().map(|line| &line.steady)), self.clipped_samples)
    }

    /// Returns the sound of the steady part.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Keeps a frame if it lies in one of the stretches that are kept.
    fn record(&mut self, recorded: RecordedFrame, frame: &Frame) {
        let Some(bounds) = self.lines.first().map(|line| &line.steady.bounds) else { return };
        let (from, to, at) = (bounds.from(), bounds.to(), recorded.played_at);
        let frames = to.saturating_since(from).as_nanos() / FRAME.as_nanos();
        let stride = (frames / STRETCHES).max(STRETCH_FRAMES);
        let number = at.saturating_since(from).as_nanos() / FRAME.as_nanos();
        if number % stride < STRETCH_FRAMES && self.recording.frames.len() < RECORDED_FRAMES_MAX {
            self.recording.frames.push(recorded);
            self.recording.pcm.extend_from_slice(frame);
        }
    }
}

impl Line {
    fn new(while_joining: &SteadyPart, steady: &SteadyPart) -> Self {
        let jitter = JitterSettings {
            target_min: PLAYOUT_DELAY_MIN,
            target_max: PLAYOUT_DELAY_MAX,
            quiet: QUIET,
            margin_percent: 0,
            stretch: false,
        };
        Self {
            playout: Playout::new(OpusDecoder::new(), jitter),
            talker: None,
            packets: [Arrival::default(); ARRIVALS],
            arrivals: 0,
            last: None,
            while_joining: Part::new(while_joining),
            steady: Part::new(steady),
        }
    }

    fn take(&mut self, packet: &Staged) {
        let &Staged { index, timestamp, samples, level, received_at, .. } = packet;
        let arrival = Arrival { received_at, timestamp: timestamp.0 };
        self.packets[self.arrivals % ARRIVALS] = arrival;
        self.arrivals += 1;
        self.talker = packet.talker;
        let payload = &packet.payload[..packet.payload_len];
        let packet = BufferedPacket { index, timestamp, samples, level, received_at, payload };
        // What is too late to be played is missing, and counted as that.
        let _ = self.playout.insert(&packet);
    }

    /// Adds the frame that is due at `at` to `sum`; returns when its packet was received.
    fn play(&mut self, at: Instant, sum: &mut Frame) -> Option<Instant> {
        let mut frame = [0.0; FRAME_SAMPLES];
        let played = self.playout.fill(at, &mut { SKIPS_MAX }, &mut frame);
        for (sum, sample) in sum.iter_mut().zip(&frame) {
            *sum += sample;
        }
        self.note(at, played.received_at);
        played.received_at
    }

    fn note(&mut self, at: Instant, received_at: Option<Instant>) {
        let heard = received_at.and_then(|received_at| self.timestamp_of(received_at));
        if self.last.is_none() && heard.is_none() {
            // Nothing was heard yet: what is missing is the join's time, not a gap.
            return;
        }
        self.last = heard.or(self.last);
        let lag_us = heard.map(|heard| {
            let due_us = u64::from(heard.timestamp) * 125 / 6;
            (at.as_nanos() / 1_000).wrapping_sub(due_us) as i32
        });
        for part in [&mut self.while_joining, &mut self.steady] {
            part.note(at, lag_us);
        }
    }

    /// Finds the packet that came at `received_at`, and which of its frames this is.
    fn timestamp_of(&self, received_at: Instant) -> Option<Arrival> {
        if let Some(last) = self.last.filter(|last| last.received_at == received_at) {
            let timestamp = last.timestamp.wrapping_add(FRAME_SAMPLES as u32);
            return Some(Arrival { timestamp, ..last });
        }
        self.packets.iter().find(|packet| packet.received_at == received_at).copied()
    }
}

impl Part {
    fn new(bounds: &SteadyPart) -> Self {
        Self { bounds: bounds.clone(), frames: 0, missing: 0, lags_us: Vec::new() }
    }

    /// Takes what was heard in several streams together; each is later than its own usual only.
    fn sum<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        parts.fold(Self::new(&SteadyPart::new()), |mut sum, part| {
            sum.frames += part.frames;
            sum.missing += part.missing;
            sum.lags_us.extend(part.lags());
            sum
        })
    }

    fn note(&mut self, at: Instant, lag_us: Option<i32>) {
        if !self.bounds.contains(at) {
            return;
        }
        self.frames += 1;
        match lag_us {
            None => self.missing += 1,
            Some(lag) if self.lags_us.len() < LAGS_MAX => self.lags_us.push(lag),
            Some(_) => {}
        }
    }

    /// Returns how good it sounded, by what was missing.
    pub fn mos(&self, codec: CodecQuality) -> Mos {
        let loss = PacketLoss::random(self.missing as f32 / self.frames.max(1) as f32);
        Rating::new(codec, loss, Duration::ZERO).mos()
    }

    /// Returns how much speech was missing.
    pub fn missing(&self) -> Duration {
        FRAME * u32::try_from(self.missing).unwrap_or(u32::MAX)
    }

    /// Returns by how much speech was heard later than usual, at worst.
    pub fn stall(&self) -> Duration {
        let most = self.lags().into_iter().max().unwrap_or(0);
        Duration::from_micros(u64::try_from(most).unwrap_or(0))
    }

    /// Returns the lags less the usual one, ascending.
    fn lags(&self) -> Vec<i32> {
        let first = self.lags_us.first().copied().unwrap_or(0);
        let mut lags: Vec<_> = self.lags_us.iter().map(|lag| lag.wrapping_sub(first)).collect();
        lags.sort_unstable();
        let usual = lags.get(lags.len() / 2).copied().unwrap_or(0);
        lags.iter_mut().for_each(|lag| *lag = lag.saturating_sub(usual));
        lags
    }
}

/// One frame.
pub const FRAME: Duration = Duration::from_millis(20);

/// How far behind the clock an ear plays: longer than the load generator is ever late.
const LAG: Duration = Duration::from_millis(500);

/// Packets of one stream that wait to be played: as many as come in `LAG`, and a burst after a stall.
const STAGED_MAX: usize = 128;

/// How long what is heard waits for late packets. Source: the client's defaults.
const PLAYOUT_DELAY_MIN: Duration = Duration::from_millis(60);
const PLAYOUT_DELAY_MAX: Duration = Duration::from_millis(400);

/// A frame at or below this level may be skipped. Source: the client's.
const QUIET: LevelDbov = LevelDbov(60);

/// Packets that one frame may skip. Source: the client's.
const SKIPS_MAX: u32 = 4;

/// -0.1 dBFS.
const CLIPPING: f32 = 0.988_553;

/// Packets whose arrival is remembered: more than a buffer holds.
const ARRIVALS: usize = 64;

/// Frames whose lag is kept for a part: 14 minutes.
const LAGS_MAX: usize = 42_000;

/// What is kept of the sound: five stretches of a piece and a second, 63 s in 12 MB.
const STRETCHES: u128 = 5;
const STRETCH_FRAMES: u128 = 626;
const RECORDED_FRAMES_MAX: usize = (STRETCHES * STRETCH_FRAMES) as usize;

#[cfg(test)]
mod tests {
    use sabha_media::codec::opus::OpusEncoder;
    use sabha_media::codec::{Encoder, EncoderSettings, PAYLOAD_SIZE_MAX};
    use sabha_media::rtp::RtpTimestamp;

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// Hears packets that are sent every 20 ms, `late_ms` after that, those in `lost` never.
    fn listen(packets: u64, late_ms: impl Fn(u64) -> u64, lost: &[u64]) -> Part {
        let bounds = SteadyPart::new();
        bounds.set(at(500), at(packets * 20));
        let mut ear = Ear::new(at(0), &SteadyPart::new(), &bounds, 1);
        let mut encoder = OpusEncoder::new(EncoderSettings { bitrate: 32_000, complexity: 0 });
        let mut arrivals: Vec<_> = (0..packets).map(|at| (at * 20 + late_ms(at), at)).collect();
        arrivals.sort_unstable();
        let mut payload = [0; PAYLOAD_SIZE_MAX];
        for (ms, index) in arrivals {
            ear.play_due(at(ms));
            let length = encoder.encode(&[0.1; FRAME_SAMPLES], &mut payload).unwrap();
            if lost.contains(&index) {
                continue;
            }
            let packet = BufferedPacket {
                index,
                timestamp: RtpTimestamp((index as u32).wrapping_mul(960).wrapping_sub(9_999)),
                samples: 960,
                level: LevelDbov(20),
                received_at: at(ms),
                payload: &payload[..length],
            };
            ear.hear(0, None, &packet);
        }
        ear.play_due(at(packets * 20) + LAG);
        assert_eq!(ear.recording().frames.len() as u64, packets - 25);
        ear.parts().1
    }

    #[test]
    fn steady_stream_has_neither_gaps_nor_stalls() {
        let part = listen(100, |_| 3, &[]);
        assert_eq!((part.frames, part.missing, part.stall()), (75, 0, Duration::ZERO));
    }

    #[test]
    fn streams_are_heard_together_and_each_is_known_by_its_talker() {
        let bounds = SteadyPart::new();
        bounds.set(at(500), at(2_000));
        let mut ear = Ear::new(at(0), &SteadyPart::new(), &bounds, 2);
        let mut encoder = OpusEncoder::new(EncoderSettings { bitrate: 32_000, complexity: 0 });
        let mut payload = [0; PAYLOAD_SIZE_MAX];
        for index in 0..100 {
            ear.play_due(at(index * 20 + 3));
            let length = encoder.encode(&[0.1; FRAME_SAMPLES], &mut payload).unwrap();
            for (line, late_ms) in [(0, 1), (1, 2)] {
                let packet = BufferedPacket {
                    index,
                    timestamp: RtpTimestamp(index as u32 * 960 + line * 7_777),
                    samples: 960,
                    level: LevelDbov(20),
                    received_at: at(index * 20 + late_ms),
                    payload: &payload[..length],
                };
                // Of the second talker one packet is missing.
                if (line, index) != (1, 60) {
                    ear.hear(line as usize, Some(line + 4), &packet);
                }
            }
        }
        ear.play_due(at(2_000) + LAG);
        let (_, part, _) = ear.parts();
        assert_eq!((part.frames, part.missing), (150, 1));
        assert!(part.stall() < FRAME, "{:?}", part.stall());
        let frame = ear.recording().frames[10];
        let (first, second) = (frame.received_from(4).unwrap(), frame.received_from(5).unwrap());
        assert_eq!(second.saturating_since(first), Duration::from_millis(1));
        assert_eq!(frame.received_from(6), None);
    }

    #[test]
    fn lost_packets_are_missing_speech() {
        let part = listen(100, |_| 3, &[50, 51, 60]);
        assert_eq!(part.missing(), Duration::from_millis(60));
        let mos = part.mos(CodecQuality::OPUS_MIXED);
        assert!(mos.value() < 4.0, "{mos:?}");
    }

    #[test]
    fn speech_heard_later_than_usual_is_a_stall() {
        // From 2,000 ms on everything comes 100 ms later, so the playout delay grows.
        let part = listen(150, |at| if at >= 100 { 103 } else { 3 }, &[]);
        let stall = part.stall();
        assert!((40..=110).contains(&stall.as_millis()), "{stall:?}");
        assert!(part.missing > 0);
    }
}
