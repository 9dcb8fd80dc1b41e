//! What a member sends: a frame every 20 ms with its level in the header, as far as it is wanted.

use std::net::SocketAddr;
use std::time::Duration;

use sabha_media::codec::opus::OpusEncoder;
use sabha_media::codec::{Encoder, EncoderSettings, FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ};
use sabha_media::extension::{ClientLevel, ElementWriter, LevelDbov};
use sabha_media::leg::Ssrc;
use sabha_media::red::{Copies, CopyChoice, CopyOrder, RED_SIZE_MAX};
use sabha_media::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber};
use sabha_media::shard::BitrateOrder;
use sabha_media::srtp::SrtpSender;
use sabha_media::time::Instant;
use sabha_media::transmit::Transmit;

use super::live::LiveSound;
use super::preroll::{EncodedFrame, Preroll};
use super::{Gate, GateDecision, MemberSettings, Source, TimingLog};

/// The sending half.
///
/// The encoder runs whether its packets are sent or not: what goes before an onset must be real,
/// and the decoder at the node begins with it.
pub(super) struct Uplink {
    source: Box<dyn Source>,
    encoder: OpusEncoder,
    /// As the member chose it.
    settings: EncoderSettings,
    bitrate_order: BitrateOrder,
    gate: Gate,
    preroll: Preroll,
    stream: Stream,
    position: u64,
    next: Instant,
    interval: Duration,
    finished: bool,
    frame: Frame,
}

/// The RTP stream: what was sent so far, and how the next packet is written.
struct Stream {
    ssrc: Ssrc,
    payload_type: PayloadType,
    red_payload_type: Option<PayloadType>,
    /// Which copies each packet is to carry.
    copies: CopyOrder,
    sequence_number: SequenceNumber,
    voice: u64,
    probes: u64,
    octets: u64,
}

/// What sound goes through, where packets go and who seals them.
pub(super) struct Path<'a, T> {
    pub(super) to: SocketAddr,
    pub(super) sender: &'a mut SrtpSender,
    pub(super) live: &'a mut LiveSound,
    pub(super) log: Option<&'a mut TimingLog>,
    pub(super) transmit: &'a mut T,
}

impl Uplink {
    pub(super) fn new(settings: &MemberSettings, source: Box<dyn Source>) -> Self {
        let mut copies = CopyOrder::default();
        copies.set(CopyChoice::default().copies());
        Self {
            source,
            encoder: OpusEncoder::new(settings.encoder),
            settings: settings.encoder,
            bitrate_order: BitrateOrder::OWN,
            gate: Gate::new(),
            preroll: Preroll::new(),
            stream: Stream {
                ssrc: settings.send_ssrc,
                payload_type: settings.payload_type,
                red_payload_type: settings.red_payload_type,
                copies,
                sequence_number: SequenceNumber(0),
                voice: 0,
                probes: 0,
                octets: 0,
            },
            position: 0,
            next: settings.start,
            interval: interval(settings.clock_ppm, FRAME_SAMPLES),
            finished: false,
            frame: [0.0; FRAME_SAMPLES],
        }
    }

    /// Sends of every frame whose time has come what is wanted of it.
    pub(super) fn send_due<T: Transmit>(&mut self, now: Instant, mut path: Path<'_, T>) {
        self.pass_over(now, path.live);
        while self.next <= now {
            self.finished |= !self.source.fill(&mut self.frame);
            path.live.handle_capture(&mut self.frame);
            self.encode();
            let level = self.preroll.newest().level;
            match self.gate.handle_frame(self.next, level) {
                GateDecision::Send => self.stream.send(&self.preroll, 0, false, &mut path),
                GateDecision::Onset => {
                    self.stream.copies.begin();
                    for (place, age) in self.preroll.onset().enumerate() {
                        self.stream.send(&self.preroll, age, place == 0, &mut path);
                    }
                    self.preroll.clear();
                }
                GateDecision::Probe => {
                    self.stream.probe(self.preroll.newest(), &mut path);
                    self.preroll.hold();
                }
                GateDecision::Hold => self.preroll.hold(),
            }
            self.position += FRAME_SAMPLES as u64;
            self.next += self.interval;
        }
    }

    /// Takes which copies of the packets before it a report asks each packet to carry.
    pub(super) fn set_copies(&mut self, copies: Copies) {
        self.stream.copies.set(copies);
    }

    /// Returns which copies each packet is to carry.
    pub(super) fn copies(&self) -> Copies {
        self.stream.copies.copies()
    }

    /// Follows the node's order, from the next frame on.
    pub(super) fn set_bitrate_order(&mut self, order: BitrateOrder) {
        if std::mem::replace(&mut self.bitrate_order, order) != order {
            self.encoder.apply(EncoderSettings { bitrate: self.bitrate(), ..self.settings });
        }
    }

    /// Returns the bitrate that sound is sent with, in bit/s.
    pub(super) fn bitrate(&self) -> u32 {
        self.bitrate_order.of(self.settings.bitrate)
    }

    /// Returns the gate, to tell it the node's order.
    pub(super) fn gate_mut(&mut self) -> &mut Gate {
        &mut self.gate
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Returns the packets sent, level probes included.
    pub(super) fn packets(&self) -> u64 {
        self.stream.voice + self.stream.probes
    }

    /// Returns the packets sent that carry sound.
    pub(super) fn voice_packets(&self) -> u64 {
        self.stream.voice
    }

    /// Returns the level probes sent.
    pub(super) fn probes(&self) -> u64 {
        self.stream.probes
    }

    pub(super) fn octets(&self) -> u64 {
        self.stream.octets
    }

    pub(super) fn timestamp(&self) -> RtpTimestamp {
        RtpTimestamp(self.position as u32)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Encodes the present frame.
    fn encode(&mut self) {
        let encoded = self.preroll.next();
        encoded.position = self.position;
        encoded.level = LevelDbov::from_samples(&self.frame);
        encoded.length = self.encoder.encode(&self.frame, &mut encoded.payload).unwrap_or(0);
    }

    /// After a stall, as of a machine that slept, leaves out what nobody could hear in time. The
    /// timestamp jumps as after a pause.
    fn pass_over(&mut self, now: Instant, live: &mut LiveSound) {
        let behind = now.saturating_since(self.next).as_nanos() / self.interval.as_nanos().max(1);
        if behind <= BACKLOG_MAX {
            return;
        }
        let frames = u32::try_from(behind).unwrap_or(u32::MAX);
        self.next += self.interval * frames;
        self.position += u64::from(frames) * FRAME_SAMPLES as u64;
        self.preroll.clear();
        live.skip(u64::from(frames));
        self.stream.copies.begin();
    }
}

impl Stream {
    /// Sends the frame that is `age` frames old, with the copies that the node's reports ask for.
    fn send<T: Transmit>(
        &mut self,
        preroll: &Preroll,
        age: usize,
        marker: bool,
        path: &mut Path<'_, T>,
    ) {
        let frame = preroll.at(age);
        let copies = self.copies.advance();
        let mut packet = [0; RED_SIZE_MAX];
        let redundant = self.red_payload_type.filter(|_| copies > Copies::None).and_then(|red| {
            Some((red, preroll.write_red(age, copies, self.payload_type, &mut packet)?))
        });
        let (payload_type, payload) = match redundant {
            Some((red, length)) => (red, &packet[..length]),
            None => (self.payload_type, frame.payload()),
        };
        self.transmit(frame, marker, (payload_type, payload), path);
        if let Some(log) = &mut path.log {
            log.push_sent(frame.position, frame.payload());
        }
        self.voice += 1;
        self.octets += payload.len() as u64;
    }

    fn probe<T: Transmit>(&mut self, frame: &EncodedFrame, path: &mut Path<'_, T>) {
        self.transmit(frame, false, (self.payload_type, &[]), path);
        self.copies.begin();
        self.probes += 1;
    }

    fn transmit<T: Transmit>(
        &mut self,
        frame: &EncodedFrame,
        marker: bool,
        (payload_type, payload): (PayloadType, &[u8]),
        path: &mut Path<'_, T>,
    ) {
        let header = RtpHeader {
            marker,
            payload_type,
            sequence_number: self.sequence_number,
            timestamp: RtpTimestamp(frame.position as u32),
            ssrc: self.ssrc,
        };
        let sender = &mut *path.sender;
        path.transmit.transmit(path.to, |slot| {
            let length = write(&header, frame.level, payload, slot);
            if length == 0 { 0 } else { sender.protect_rtp(slot, length).unwrap_or(0) }
        });
        self.sequence_number = self.sequence_number.next();
    }
}

/// Writes a plain packet and returns its length, 0 if the level does not fit.
fn write(header: &RtpHeader, level: LevelDbov, payload: &[u8], slot: &mut [u8]) -> usize {
    let mut length = header.write_fixed(0, true, slot);
    let voice = level.0 < VOICE_DBOV;
    let Ok(mut writer) = ElementWriter::new(&mut slot[length..]) else { return 0 };
    if (ClientLevel { voice, level }).write(&mut writer).is_err() {
        return 0;
    }
    length += writer.finish();
    slot[length..length + payload.len()].copy_from_slice(payload);
    length + payload.len()
}

/// Returns how long so many samples last on a clock that runs `ppm` millionths fast.
pub(super) fn interval(ppm: i32, samples: usize) -> Duration {
    let micros = samples as i64 * 1_000_000 / i64::from(SAMPLE_RATE_HZ);
    let nanos = micros * 1_000 - i64::from(ppm) * micros / 1_000;
    Duration::from_nanos(nanos.max(1).cast_unsigned())
}

/// Frames that are made up for after a stall: what a listener's buffer holds.
const BACKLOG_MAX: u128 = 20;

/// Louder frames are announced as voice (the V bit of RFC 6464).
const VOICE_DBOV: u8 = 50;
