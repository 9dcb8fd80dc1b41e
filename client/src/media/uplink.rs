//! What a member sends: a frame every 20 ms, with its level in the header.

use std::net::SocketAddr;
use std::time::Duration;

use sabha_media::codec::opus::OpusEncoder;
use sabha_media::codec::{Encoder, FRAME_SAMPLES, Frame, PAYLOAD_SIZE_MAX};
use sabha_media::extension::{ClientLevel, ElementWriter, LevelDbov};
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber};
use sabha_media::srtp::SrtpSender;
use sabha_media::time::Instant;
use sabha_media::transmit::Transmit;

use super::{MemberSettings, Source, TimingLog};

/// The sending half.
pub(super) struct Uplink {
    source: Box<dyn Source>,
    encoder: OpusEncoder,
    ssrc: Ssrc,
    payload_type: PayloadType,
    sequence_number: SequenceNumber,
    position: u64,
    next: Instant,
    interval: Duration,
    packets: u64,
    octets: u64,
    finished: bool,
    frame: Frame,
    payload: [u8; PAYLOAD_SIZE_MAX],
}

impl Uplink {
    pub(super) fn new(settings: &MemberSettings, source: Box<dyn Source>) -> Self {
        Self {
            source,
            encoder: OpusEncoder::new(settings.encoder),
            ssrc: settings.send_ssrc,
            payload_type: settings.payload_type,
            sequence_number: SequenceNumber(0),
            position: 0,
            next: settings.start,
            interval: interval(settings.clock_ppm),
            packets: 0,
            octets: 0,
            finished: false,
            frame: [0.0; FRAME_SAMPLES],
            payload: [0; PAYLOAD_SIZE_MAX],
        }
    }

    /// Sends every frame whose time has come.
    pub(super) fn send_due(
        &mut self,
        now: Instant,
        to: SocketAddr,
        sender: &mut SrtpSender,
        mut log: Option<&mut TimingLog>,
        transmit: &mut impl Transmit,
    ) {
        self.pass_over(now);
        while self.next <= now {
            self.finished |= !self.source.fill(&mut self.frame);
            let encoded = self.encoder.encode(&self.frame, &mut self.payload);
            let length = encoded.unwrap_or(0);
            transmit.transmit(to, |slot| self.write(length, sender, slot));
            if let Some(log) = &mut log {
                log.push_sent(self.position);
            }
            self.sequence_number = self.sequence_number.next();
            self.position += FRAME_SAMPLES as u64;
            self.packets += 1;
            self.octets += length as u64;
            self.next += self.interval;
        }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    pub(super) fn timestamp(&self) -> RtpTimestamp {
        RtpTimestamp(self.position as u32)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// After a stall, as of a machine that slept, leaves out what nobody could hear in time. The
    /// timestamp jumps as after a pause.
    fn pass_over(&mut self, now: Instant) {
        let behind = now.saturating_since(self.next).as_nanos() / self.interval.as_nanos().max(1);
        if behind <= BACKLOG_MAX {
            return;
        }
        let frames = u32::try_from(behind).unwrap_or(u32::MAX);
        self.next += self.interval * frames;
        self.position += u64::from(frames) * FRAME_SAMPLES as u64;
    }

    fn write(&self, payload_length: usize, sender: &mut SrtpSender, slot: &mut [u8]) -> usize {
        let header = RtpHeader {
            marker: self.packets == 0,
            payload_type: self.payload_type,
            sequence_number: self.sequence_number,
            timestamp: self.timestamp(),
            ssrc: self.ssrc,
        };
        let mut length = header.write_fixed(0, true, slot);
        let level = LevelDbov::from_samples(&self.frame);
        let voice = level.0 < VOICE_DBOV;
        let Ok(mut writer) = ElementWriter::new(&mut slot[length..]) else { return 0 };
        if (ClientLevel { voice, level }).write(&mut writer).is_err() {
            return 0;
        }
        length += writer.finish();
        slot[length..length + payload_length].copy_from_slice(&self.payload[..payload_length]);
        sender.protect_rtp(slot, length + payload_length).unwrap_or(0)
    }
}

/// Returns how long a frame of 20 ms lasts on a clock that runs `ppm` millionths fast.
pub(super) fn interval(ppm: i32) -> Duration {
    let nanos = 20_000_000_i64 - i64::from(ppm) * 20;
    Duration::from_nanos(nanos.max(1).cast_unsigned())
}

/// Frames that are made up for after a stall: what a listener's buffer holds.
const BACKLOG_MAX: u128 = 20;

/// Louder frames are announced as voice (the V bit of RFC 6464).
const VOICE_DBOV: u8 = 50;
