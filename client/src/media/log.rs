//! When which sound went and came, for measuring delay by the sound itself.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::leg::Ssrc;
use sabha_media::red::RedPacket;
use sabha_media::rtp::{PayloadType, RtpPacket};
use sabha_media::time::Instant;

use super::BufferDelays;

/// One packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPacket {
    /// Its first sample, counted from the source's beginning.
    pub sample: u64,
    /// Names its sound: the hash of the payload, without copies of others.
    pub payload: u64,
    /// When the kernel had taken it.
    pub at: Instant,
}

/// One RTP packet that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivedPacket {
    /// When the kernel received it.
    pub at: Instant,
    /// The stream that it belongs to.
    pub stream: Ssrc,
    /// Who said it, if the packet names one.
    pub source: Option<Ssrc>,
    /// Names its sound, as in `SentPacket`.
    pub payload: u64,
}

/// Where in the recording the sound of one packet begins, of a concealment, or silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayedFrame {
    /// Its first sample, counted from the beginning of the recording.
    pub sample: u64,
    /// When the kernel received its packet; `None` if it had none.
    pub received_at: Option<Instant>,
    /// When it was played.
    pub played_at: Instant,
}

/// Both directions of one member, in order.
#[derive(Clone, Debug, Default)]
pub struct TimingLog {
    /// What was sent.
    pub sent: Vec<SentPacket>,
    /// What was played; one entry for each packet, concealment and piece of silence.
    pub played: Vec<PlayedFrame>,
    /// What was received, in the order of arrival.
    pub arrived: Vec<ArrivedPacket>,
    unsent: usize,
}

impl TimingLog {
    pub(super) fn push_sent(&mut self, sample: u64, payload: &[u8]) {
        self.sent.push(SentPacket { sample, payload: hash(payload), at: Instant::ZERO });
    }

    pub(super) fn push_arrived(&mut self, plain: &[u8], red: Option<PayloadType>, at: Instant) {
        let Ok(packet) = RtpPacket::parse(plain) else { return };
        let is_red = Some(packet.payload_type()) == red;
        let red = is_red.then(|| RedPacket::parse(packet.payload())).and_then(Result::ok);
        let payload = hash(red.map_or(packet.payload(), |red| red.primary().payload));
        let (stream, source) = (packet.ssrc(), packet.csrcs().next());
        self.arrived.push(ArrivedPacket { at, stream, source, payload });
    }

    pub(super) fn handle_sent(&mut self, now: Instant) {
        for packet in &mut self.sent[self.unsent..] {
            packet.at = now;
        }
        self.unsent = self.sent.len();
    }

    /// Returns when the packet with a sample of the source was sent.
    pub fn sent_at(&self, sample: u64) -> Option<Instant> {
        let after = self.sent.partition_point(|packet| packet.sample <= sample);
        let packet = self.sent.get(after.checked_sub(1)?)?;
        (sample < packet.sample + FRAME_SAMPLES as u64).then_some(packet.at)
    }

    /// Returns when the packet with a sample of the recording was received.
    pub fn received_at(&self, sample: u64) -> Option<Instant> {
        let after = self.played.partition_point(|frame| frame.sample <= sample);
        self.played.get(after.checked_sub(1)?)?.received_at
    }

    /// Returns how long packets waited to be played, median, in each whole second since `begin`;
    /// `None` for a second in which none was.
    pub fn buffer_timeline(&self, begin: Instant) -> Vec<Option<Duration>> {
        let mut seconds = Vec::new();
        for frame in &self.played {
            let second = frame.played_at.saturating_since(begin).as_secs() as usize;
            if seconds.len() <= second {
                seconds.resize_with(second + 1, BufferDelays::default);
            }
            if let Some(received_at) = frame.received_at {
                seconds[second].record(frame.played_at.saturating_since(received_at));
            }
        }
        seconds.iter().map(|second| second.percentile(0.5)).collect()
    }

    /// Returns the delay that others added to a sound: from the sending of the packet with
    /// `spoken`, a sample of the speaker's source, to the arrival of the packet with `heard`, a
    /// sample of this member's recording.
    ///
    /// `heard` must be free of look-ahead: a sound leaves each encoder 312 samples late.
    pub fn added_delay(&self, heard: u64, speaker: &Self, spoken: u64) -> Option<Duration> {
        let sent = speaker.sent_at(spoken)?;
        Some(self.received_at(heard)?.saturating_since(sent))
    }
}

fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeline_has_each_seconds_median_wait() {
        let begin = Instant::from_millis(5_000);
        let mut log = TimingLog::default();
        let mut play = |ms: u64, waited_ms: Option<u64>| {
            let played_at = begin + Duration::from_millis(ms);
            let received_at = waited_ms.map(|waited| played_at - Duration::from_millis(waited));
            log.played.push(PlayedFrame { sample: ms * 48, received_at, played_at });
        };
        for (ms, waited) in [(0, 9), (20, 13), (999, 80), (2_500, 40)] {
            play(ms, Some(waited));
        }
        play(1_500, None);
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(log.buffer_timeline(begin), [ms(13), None, ms(40)]);
    }
}
