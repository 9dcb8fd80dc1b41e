//! Turns a stream's packets into frames: jitter buffer, decoder, and what is decoded but not due.
//!
//! The node has one for each talker, a member for what it hears. Time is an argument.

use crate::codec::{Decoder, FRAME_SAMPLES, PACKET_SAMPLES_MAX};
use crate::drop_reason::DropReason;
use crate::extension::LevelDbov;
use crate::jitter_buffer::{BufferedPacket, JitterBuffer, JitterSettings, Pull};
use crate::stretch::{self, Likeness};
use crate::time::Instant;

/// A stream that is being played.
pub struct Playout<D> {
    buffer: JitterBuffer,
    decoder: D,
    /// Decoded samples that wait for their frame, then room for one packet more.
    pcm: Box<[f32; PCM_SAMPLES_MAX]>,
    length: usize,
    /// The packet that the newest samples of `pcm` came from.
    newest: Newest,
    /// What would have followed had nothing been skipped; faded into what does.
    skipped: Option<[f32; CROSSFADE_SAMPLES]>,
    /// Samples concealed in a row.
    concealed: usize,
    /// Samples by which playout is to become longer, whatever the buffer says.
    owed: u32,
    /// The RMS of the loudest packet lately.
    loudest: f32,
    /// Samples played since the sound was last made longer or shorter, or could not be.
    unstretched: u32,
    /// Samples that are played before it may be made so again.
    rest: u32,
    counters: PlayoutCounters,
}

/// Calls of the decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutCounters {
    /// All, concealments included.
    pub decodes: u64,
    /// Of those, concealments.
    pub concealments: u64,
    /// Of those, frames made from the redundancy in the packet behind them.
    pub repaired: u64,
    /// Payloads that the codec refused.
    pub undecodable: u64,
    /// Samples that were put in to make the delay longer.
    pub lengthened: u64,
    /// Samples that were taken out to make the delay shorter.
    pub shortened: u64,
}

/// Where a frame came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayedFrame {
    /// Samples of the frame that were decoded or concealed; those behind are silence.
    pub samples: usize,
    /// Of those, samples at its beginning that were left over when the frame before was filled.
    pub left_over: usize,
    /// When the packet was received that completed the frame; `None` if it was concealed.
    pub received_at: Option<Instant>,
    /// The level that the packet claimed; `None` if the frame was concealed or empty.
    pub level: Option<LevelDbov>,
}

#[derive(Clone, Copy, Default)]
struct Newest {
    received_at: Option<Instant>,
    level: Option<LevelDbov>,
    /// Whether the last packet played was digital silence: what follows it may be nothing.
    is_silent: bool,
}

impl<D: Decoder> Playout<D> {
    /// Makes a playout of nothing yet. Allocates once.
    pub fn new(decoder: D, jitter: JitterSettings) -> Self {
        Self {
            buffer: JitterBuffer::new(jitter),
            decoder,
            pcm: Box::new([0.0; PCM_SAMPLES_MAX]),
            length: 0,
            newest: Newest { is_silent: true, ..Newest::default() },
            skipped: None,
            concealed: 0,
            owed: 0,
            loudest: 0.0,
            unstretched: 0,
            rest: STRETCH_INTERVAL,
            counters: PlayoutCounters::default(),
        }
    }

    /// Forgets the stream, but keeps the memory; for the next tenant of a pooled playout.
    pub fn reset(&mut self, jitter: JitterSettings) {
        self.buffer.reset(jitter);
        self.decoder.reset();
        self.length = 0;
        self.newest = Newest { is_silent: true, ..Newest::default() };
        self.skipped = None;
        self.concealed = 0;
        self.owed = 0;
        self.loudest = 0.0;
        self.unstretched = 0;
        self.rest = STRETCH_INTERVAL;
        self.counters = PlayoutCounters::default();
    }

    /// Takes a packet in, in any order.
    ///
    /// # Errors
    /// As `JitterBuffer::insert`.
    pub fn insert(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        self.buffer.insert(packet)
    }

    /// Takes in a packet that was kept back.
    ///
    /// # Errors
    /// As `JitterBuffer::insert`.
    pub fn insert_kept(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        self.buffer.insert_kept(packet)
    }

    /// Takes in a copy that came in the last packet.
    ///
    /// # Errors
    /// As `JitterBuffer::insert`.
    pub fn insert_copy(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        self.buffer.insert_copy(packet)
    }

    /// Fills the frame that is due at `at`, the tick's scheduled time; frames may be of any length
    /// up to 20 ms.
    ///
    /// Each packet that is skipped to shorten the delay takes one from `skips`. After a packet of
    /// digital silence (level 127) nothing is concealed: the sender has announced its pause.
    pub fn fill(&mut self, at: Instant, skips: &mut u32, frame: &mut [f32]) -> PlayedFrame {
        let queued = self.length;
        while self.length < frame.len() {
            if self.buffer.is_empty() && self.newest.is_silent {
                break;
            }
            if !self.pull(at, skips, frame.len()) {
                break;
            }
            if self.newest.received_at.is_some() {
                self.stretch(at, frame.len(), queued);
            }
        }
        let samples = self.length.min(frame.len());
        frame[..samples].copy_from_slice(&self.pcm[..samples]);
        frame[samples..].fill(0.0);
        self.pcm.copy_within(samples..self.length, 0);
        self.length -= samples;
        self.unstretched = self.unstretched.saturating_add(samples as u32);
        let left_over = queued.min(samples);
        if samples < frame.len() {
            return PlayedFrame { samples, left_over, ..PlayedFrame::default() };
        }
        let Newest { received_at, level, .. } = self.newest;
        PlayedFrame { samples, left_over, received_at, level }
    }

    /// Makes the delay longer by `samples`, as soon as the sound allows it without being heard, and
    /// keeps it so until `until`.
    pub fn lengthen(&mut self, samples: u32, until: Instant) {
        self.owed = samples;
        self.buffer.keep_delay(until);
    }

    /// Gives up the next `samples`: nobody asked for them in time. What follows is played with the
    /// delay of before, whether it is here or still on its way.
    pub fn pass_over(&mut self, samples: u32) {
        let decoded = self.length.min(samples as usize);
        self.pcm.copy_within(decoded..self.length, 0);
        self.length -= decoded;
        self.skipped = None;
        let rest = samples - decoded as u32;
        if rest > 0 {
            self.buffer.pass_over(rest);
        }
    }

    /// Returns the buffer of what is still to be played.
    pub fn buffer(&self) -> &JitterBuffer {
        &self.buffer
    }

    /// Returns the buffer, to tell it of a moved tick.
    pub fn buffer_mut(&mut self) -> &mut JitterBuffer {
        &mut self.buffer
    }

    /// Returns the calls of the decoder since the stream began.
    pub fn counters(&self) -> PlayoutCounters {
        self.counters
    }

    /// Decodes what the buffer gives next; false if that is nothing.
    fn pull(&mut self, at: Instant, skips: &mut u32, needed: usize) -> bool {
        let wanted = (needed - self.length) as u32;
        let room = &mut self.pcm[self.length..][..PACKET_SAMPLES_MAX];
        let (decoder, counters) = (&mut self.decoder, &mut self.counters);
        match self.buffer.pull(at, *skips > 0, wanted) {
            Pull::Idle => return false,
            Pull::Skip(packet) => {
                *skips -= 1;
                decode(decoder, packet.payload, room, counters);
                let begins = self.newest.level.is_none() && self.newest.received_at.is_none();
                if !begins && self.skipped.is_none() {
                    let head = std::array::from_fn(|index| room[index]);
                    self.skipped = Some(head);
                }
            }
            Pull::Play(packet) => {
                let (received_at, level) = (Some(packet.received_at), Some(packet.level));
                let is_silent = packet.level == LevelDbov::SILENCE;
                let written = decode(decoder, packet.payload, room, counters);
                self.newest = Newest { received_at, level, is_silent };
                let from = concealment_gain(std::mem::take(&mut self.concealed));
                fade(&mut self.pcm[self.length..][..written.min(CROSSFADE_SAMPLES)], from, 1.0);
                self.extend(written);
            }
            Pull::Conceal(samples) => {
                let samples = (samples as usize).min(PACKET_SAMPLES_MAX);
                let room = &mut room[..samples];
                counters.decodes += 1;
                let follower = self.buffer.follower();
                let repaired = follower.map(|packet| decoder.decode_fec(packet.payload, room));
                let written = if let Some(Ok(written)) = repaired {
                    counters.repaired += 1;
                    written
                } else {
                    counters.concealments += 1;
                    let Ok(written) = decoder.decode(None, room) else { return false };
                    written
                };
                self.newest = Newest { received_at: None, level: None, ..self.newest };
                let from = concealment_gain(self.concealed);
                self.concealed += written;
                let to = concealment_gain(self.concealed);
                fade(&mut self.pcm[self.length..][..written], from, to);
                self.extend(written);
            }
        }
        true
    }

    /// Makes what waits to be played a little longer or shorter, if that is wanted and was not just
    /// done or found impossible.
    fn stretch(&mut self, at: Instant, block: usize, queued: usize) {
        if self.unstretched < self.rest {
            return;
        }
        let is_quiet = rms(&self.pcm[..self.length]) <= self.loudest * QUIET_SHARE;
        let wanted = match self.owed {
            0 => self.buffer.wanted_stretch(at, block as u32, queued.min(block) as u32, is_quiet),
            owed => owed.cast_signed(),
        };
        if wanted == 0 {
            return;
        }
        let most = wanted.unsigned_abs() as usize;
        let changed = if wanted < 0 { self.shorten_by(most) } else { self.lengthen_by(most) };
        let is_urgent = wanted >= FRAME_SAMPLES as i32;
        self.rest = match changed {
            Some(_) if is_urgent || is_quiet => 0,
            Some(_) => STRETCH_INTERVAL,
            None => FRAME_SAMPLES as u32,
        };
        self.unstretched = 0;
    }

    fn shorten_by(&mut self, most: usize) -> Option<()> {
        let likeness = if most < ROUGH_MIN { Likeness::Close } else { Likeness::Rough };
        let removed = stretch::shorten(&mut self.pcm[..self.length], most, likeness)?;
        self.length -= removed;
        self.counters.shortened += removed as u64;
        Some(())
    }

    /// A little more than what is wanted does no harm, and a little less would.
    fn lengthen_by(&mut self, most: usize) -> Option<()> {
        let most = most.max(LENGTHEN_MAX_LEAST);
        let added = stretch::lengthen(&mut self.pcm[..], self.length, most, Likeness::Close)?;
        self.length += added;
        self.owed = self.owed.saturating_sub(added as u32);
        self.counters.lengthened += added as u64;
        Some(())
    }

    /// Takes `written` samples, just decoded behind the last, as to be played.
    fn extend(&mut self, written: usize) {
        if let Some(skipped) = self.skipped.take() {
            let following = &mut self.pcm[self.length..];
            for (index, (sample, skipped)) in following.iter_mut().zip(skipped).enumerate() {
                let share = index as f32 / CROSSFADE_SAMPLES as f32;
                *sample = *sample * share + skipped * (1.0 - share);
            }
        }
        let decoded = rms(&self.pcm[self.length..][..written]);
        self.loudest = decoded.max(self.loudest * LOUDEST_KEPT);
        self.length = (self.length + written).min(PCM_SAMPLES_MAX);
    }
}

fn rms(samples: &[f32]) -> f32 {
    (stretch::dot(samples, samples) / samples.len().max(1) as f32).sqrt()
}

/// Returns how loud a concealment still is after so many samples: what a decoder makes up is like
/// the sound for 60 ms, and buzzes after that.
fn concealment_gain(samples: usize) -> f32 {
    let faded = samples.saturating_sub(CONCEALED_WHOLE) as f32 / CONCEALED_FADE as f32;
    (1.0 - faded).max(0.0)
}

/// Changes the gain from one value to another.
fn fade(samples: &mut [f32], from: f32, to: f32) {
    if from == 1.0 && to == 1.0 {
        return;
    }
    let step = (to - from) / samples.len().max(1) as f32;
    for (index, sample) in samples.iter_mut().enumerate() {
        *sample *= from + step * (index + 1) as f32;
    }
}

/// Decodes a payload, or conceals one frame in its place if the codec refuses it; returns the
/// samples written.
fn decode<D: Decoder>(
    decoder: &mut D,
    payload: &[u8],
    room: &mut [f32],
    counters: &mut PlayoutCounters,
) -> usize {
    counters.decodes += 1;
    if let Ok(written) = decoder.decode(Some(payload), room) {
        return written;
    }
    counters.undecodable += 1;
    room[..FRAME_SAMPLES].fill(0.0);
    decoder.decode(None, &mut room[..FRAME_SAMPLES]).unwrap_or(FRAME_SAMPLES)
}

/// One frame that is not full yet, the longest packet behind it, and what makes it longer.
const PCM_SAMPLES_MAX: usize = FRAME_SAMPLES + PACKET_SAMPLES_MAX + LENGTHEN_MAX_LEAST;

/// Samples that are concealed without fading: 60 ms.
const CONCEALED_WHOLE: usize = 2_880;

/// Samples in which a concealment then fades: 40 ms, before the buffer asks for no more.
const CONCEALED_FADE: usize = 1_920;

/// A delay that is so many samples too long is shortened at a price: 100 ms.
const ROUGH_MIN: usize = 4_800;

/// Samples between two changes of the sound's length: 80 ms.
const STRETCH_INTERVAL: u32 = 3_840;

/// How much longer the sound may become in one step, however little is wanted: a pitch period of
/// 80 Hz, so that there is nearly always a step to be made.
const LENGTHEN_MAX_LEAST: usize = 600;

/// Sound this much quieter than the loudest lately lies between words or before a plosive, where
/// nobody hears a change of its length: -20 dB. In the midst of a vowel one of 40 ms costs up to
/// 1.5 points of PESQ-WB, there 0.1.
const QUIET_SHARE: f32 = 0.1;

/// What the loudest packet is taken for after each further one: 4 dB a second less.
const LOUDEST_KEPT: f32 = 0.99;

/// Where packets were skipped, 5 ms of what they would have begun with fade into what follows.
const CROSSFADE_SAMPLES: usize = 240;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec::opus::{OpusDecoder, OpusEncoder};
    use crate::codec::{CodecError, Encoder, EncoderSettings, Frame, PAYLOAD_SIZE_MAX};
    use crate::rtp::RtpTimestamp;

    const JITTER: JitterSettings = JitterSettings {
        target_min: Duration::from_millis(10),
        target_max: Duration::from_millis(100),
        quiet: LevelDbov(60),
        margin_percent: 0,
        stretch: true,
    };

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// A playout of a tone's packets, one each 20 ms from 0 ms on, with these levels.
    fn playout_of(levels: &[u8]) -> Playout<OpusDecoder> {
        let mut encoder = OpusEncoder::new(EncoderSettings { bitrate: 32_000, complexity: 5 });
        let mut playout = Playout::new(OpusDecoder::new(), JITTER);
        for (index, level) in levels.iter().enumerate() {
            let tone: Frame =
                std::array::from_fn(|i| ((index * FRAME_SAMPLES + i) as f32 * 0.05).sin() * 0.2);
            let mut payload = [0; PAYLOAD_SIZE_MAX];
            let length = encoder.encode(&tone, &mut payload).unwrap();
            let packet = BufferedPacket {
                index: index as u64,
                timestamp: RtpTimestamp(index as u32 * FRAME_SAMPLES as u32),
                samples: FRAME_SAMPLES as u32,
                level: LevelDbov(*level),
                received_at: at(index as u64 * 20),
                payload: &payload[..length],
            };
            playout.insert(&packet).unwrap();
        }
        playout
    }

    #[test]
    fn each_frame_tells_its_packet() {
        let mut playout = playout_of(&[20, 30]);
        let mut frame = [0.0; FRAME_SAMPLES];
        for (index, level) in [20, 30].into_iter().enumerate() {
            let index = index as u64;
            let played = playout.fill(at(index * 20 + 10), &mut 0, &mut frame);
            assert_eq!(played.received_at, Some(at(index * 20)));
            assert_eq!(played.level, Some(LevelDbov(level)));
        }
        let concealed = playout.fill(at(50), &mut 0, &mut frame);
        assert_eq!((concealed.samples, concealed.received_at), (FRAME_SAMPLES, None));
    }

    #[test]
    fn concealment_fades_after_60_ms_and_sound_resumes_without_a_click() {
        let (mut playout, mut sent) = (playout_of(&[]), playout_of(&[20; 30]));
        while let Pull::Play(packet) = sent.buffer.pull(at(900), false, 960) {
            if !(12..18).contains(&packet.index) {
                playout.insert(&packet).unwrap();
            }
        }
        let (mut heard, mut frame) = (Vec::new(), [0.0; FRAME_SAMPLES]);
        for tick in 0..30 {
            playout.fill(at(tick * 20 + 10), &mut 0, &mut frame);
            heard.extend(frame);
        }
        let peak = |from: usize, to: usize| {
            heard[from * 960..to * 960].iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()))
        };
        let step = |from: usize, to: usize| {
            let pairs = heard[from * 960..to * 960].windows(2);
            pairs.fold(0.0_f32, |step, pair| step.max((pair[1] - pair[0]).abs()))
        };
        assert!(peak(8, 12) > 0.19 && peak(20, 30) > 0.19);
        assert!(peak(13, 15) > 0.05, "a concealment is heard: {}", peak(13, 15));
        assert!(peak(17, 18) < 0.001, "and gone after 100 ms: {}", peak(17, 18));
        assert!(step(12, 30) <= 1.5 * step(4, 12), "{} of {}", step(12, 30), step(4, 12));
    }

    #[test]
    fn missing_frame_is_made_from_the_redundancy_of_its_follower() {
        /// Has redundancy in every payload.
        struct WithFec;

        impl Decoder for WithFec {
            fn decode(
                &mut self,
                payload: Option<&[u8]>,
                pcm: &mut [f32],
            ) -> Result<usize, CodecError> {
                payload.ok_or(CodecError::InvalidPacket)?;
                pcm[..FRAME_SAMPLES].fill(0.0);
                Ok(FRAME_SAMPLES)
            }

            fn decode_fec(&mut self, _: &[u8], pcm: &mut [f32]) -> Result<usize, CodecError> {
                pcm.fill(0.5);
                Ok(pcm.len())
            }

            fn reset(&mut self) {}
        }

        let mut playout = Playout::new(WithFec, JITTER);
        for index in [0, 1, 3] {
            let packet = BufferedPacket {
                index,
                timestamp: RtpTimestamp(index as u32 * 960),
                samples: 960,
                level: LevelDbov(20),
                received_at: at(index * 20),
                payload: &[0x78],
            };
            playout.insert(&packet).unwrap();
        }
        let mut frame = [0.0; FRAME_SAMPLES];
        for ms in [10, 30, 50, 70] {
            let played = playout.fill(at(ms), &mut 0, &mut frame);
            assert_eq!(played.samples, FRAME_SAMPLES);
            assert_eq!(frame[0] == 0.5, ms == 50);
        }
        let counters = PlayoutCounters { decodes: 4, repaired: 1, ..Default::default() };
        assert_eq!(playout.counters(), counters);
        assert_eq!(playout.fill(at(90), &mut 0, &mut frame).samples, 0, "nothing follows");
    }

    #[test]
    fn nothing_is_concealed_after_announced_silence() {
        let mut playout = playout_of(&[20, 127]);
        let mut frame = [0.0; FRAME_SAMPLES];
        for ms in [10, 30, 50, 70] {
            playout.fill(at(ms), &mut 0, &mut frame);
        }
        assert_eq!(playout.counters(), PlayoutCounters { decodes: 2, ..Default::default() });
    }

    #[test]
    fn refused_payload_is_concealed() {
        let mut playout = playout_of(&[20]);
        let packet = BufferedPacket {
            index: 1,
            timestamp: RtpTimestamp(960),
            samples: 960,
            level: LevelDbov(20),
            received_at: at(20),
            payload: &[0xff, 0xff, 0xff],
        };
        playout.insert(&packet).unwrap();
        let mut frame = [0.0; FRAME_SAMPLES];
        playout.fill(at(10), &mut 0, &mut frame);
        let played = playout.fill(at(30), &mut 0, &mut frame);
        assert_eq!(played.samples, FRAME_SAMPLES);
        assert_eq!(playout.counters().undecodable, 1);
    }

    #[test]
    fn what_is_passed_over_is_not_played_and_the_delay_stays() {
        let mut playout = playout_of(&[20; 9]);
        let mut frame = [0.0; FRAME_SAMPLES];
        let mut played =
            |playout: &mut Playout<_>, ms| playout.fill(at(ms), &mut 0, &mut frame).received_at;
        assert_eq!(played(&mut playout, 10), Some(at(0)));
        playout.pass_over(5 * FRAME_SAMPLES as u32);
        assert_eq!(played(&mut playout, 130), Some(at(120)));
        assert_eq!(played(&mut playout, 150), Some(at(140)));
        let counters = playout.buffer().counters();
        assert_eq!((counters.lost, counters.concealed, counters.late), (5, 0, 0));
    }

    #[test]
    fn packets_that_were_still_on_their_way_are_passed_over_too() {
        let mut behind = playout_of(&[20; 12]);
        let mut playout = playout_of(&[20]);
        let mut frame = [0.0; FRAME_SAMPLES];
        assert_eq!(playout.fill(at(10), &mut 0, &mut frame).received_at, Some(at(0)));
        playout.pass_over(5 * FRAME_SAMPLES as u32);
        // The tick comes before the packets: one frame more is given up, none is concealed.
        assert_eq!(playout.fill(at(130), &mut 0, &mut frame).samples, 0);
        while let Pull::Play(packet) = behind.buffer.pull(at(900), false, 960) {
            let _ = playout.insert(&packet);
        }
        for ms in [150, 170] {
            let played = playout.fill(at(ms), &mut 0, &mut frame);
            assert_eq!(played.received_at, Some(at(ms - 10)), "as late as before");
        }
        assert_eq!(playout.counters().concealments, 0);
    }

    #[test]
    fn stream_that_does_not_come_back_pauses() {
        let mut playout = playout_of(&[20]);
        let mut frame = [0.0; FRAME_SAMPLES];
        playout.fill(at(10), &mut 0, &mut frame);
        playout.pass_over(5 * FRAME_SAMPLES as u32);
        for ms in (130..900).step_by(20) {
            assert_eq!(playout.fill(at(ms), &mut 0, &mut frame).samples, 0);
        }
        let packet = BufferedPacket {
            index: 1,
            timestamp: RtpTimestamp(960),
            samples: 960,
            level: LevelDbov(20),
            received_at: at(900),
            payload: &[0x78],
        };
        playout.insert(&packet).unwrap();
        assert_eq!(playout.fill(at(905), &mut 0, &mut frame).samples, 0, "it waits for the target");
        assert_eq!(playout.fill(at(910), &mut 0, &mut frame).received_at, Some(at(900)));
    }
}
