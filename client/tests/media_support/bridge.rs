//! A bridge made by hand: forwards given talkers to one member, slot by slot.
#![allow(dead_code, clippy::unwrap_used)]

use sabha_client::media::{MemberCommand, MemberSettings, Schedule};
use sabha_core::message::Mode;
use sabha_media::codec::opus::OpusEncoder;
use sabha_media::codec::{Encoder, EncoderSettings, FRAME_SAMPLES, PAYLOAD_SIZE_MAX};
use sabha_media::extension::{ElementWriter, LevelDbov, MixerLevels};
use sabha_media::leg::Ssrc;
use sabha_media::rtcp::{ReportBlock, RtcpPacket, RtcpPackets};
use sabha_media::rtp::{
    PacketKind, RtpHeader, RtpTimestamp, SequenceNumber, classify, write_csrcs,
};
use sabha_media::srtp::{SrtpReceiver, SrtpSender};
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram};
use sabha_transport::Endpoint;

use super::{FRAME, Live, Member, NODE, PAYLOAD_TYPE, PLAYOUT_DELAY, START, Wire, key, settings};

/// Packets that go before an onset.
const LOOK_BACK: usize = 3;

/// A voice, encoded frame by frame as its own device would.
pub struct Voice {
    pub ssrc: Ssrc,
    frames: Vec<(u8, Vec<u8>)>,
    /// Where the voice is forwarded now: slot, and what to add to its numbers there.
    place: Option<(usize, u16, u32)>,
}

impl Voice {
    pub fn new(ssrc: u32, sound: &[f32]) -> Self {
        let mut encoder = OpusEncoder::new(EncoderSettings { bitrate: 48_000, complexity: 5 });
        let (frames, _) = sound.as_chunks::<FRAME_SAMPLES>();
        let encode = |frame| {
            let mut payload = [0; PAYLOAD_SIZE_MAX];
            let length = encoder.encode(frame, &mut payload).unwrap();
            (LevelDbov::from_samples(frame).0, payload[..length].to_vec())
        };
        Self { ssrc: Ssrc(ssrc), frames: frames.iter().map(encode).collect(), place: None }
    }
}

/// What was last sent in a slot.
struct Slot {
    ssrc: Ssrc,
    sequence: u16,
    timestamp: u32,
    frame: usize,
    voice: Option<usize>,
}

/// Who is forwarded in which slot, from one frame to another.
#[derive(Clone, Copy)]
pub struct Turn {
    pub voice: usize,
    pub slot: usize,
    pub from: usize,
    pub to: usize,
}

/// A member, its bridge, and the way between.
pub struct Bridged {
    pub member: Member,
    pub now: Instant,
    sender: SrtpSender,
    slots: Vec<Slot>,
    voices: Vec<Voice>,
    /// What the member sent.
    sent: Vec<Vec<u8>>,
}

impl Bridged {
    /// A member behind a network who is sent these voices in `slots` slots.
    pub fn new(slots: u32, voices: Vec<Voice>, plan: &str) -> Self {
        let ssrcs: Vec<_> = (0..slots).map(|slot| Ssrc(0x8000_0001 + (slot << 16))).collect();
        let clock = (START, 0);
        let settings = MemberSettings {
            receive_ssrcs: ssrcs.clone(),
            mode: Mode::Bridge,
            log_timing: false,
            ..settings(1, clock, (Ssrc(1), ssrcs[0]), PLAYOUT_DELAY, Live::default())
        };
        let member = Member::with(1, &settings, Schedule::new(Vec::new(), 0.0, 1));
        let slot = |(place, ssrc): (usize, &Ssrc)| Slot {
            ssrc: *ssrc,
            sequence: 500 * place as u16,
            timestamp: 77_777 * place as u32,
            frame: 0,
            voice: None,
        };
        Self {
            member: member.behind(plan.parse().unwrap(), START, 5),
            now: START,
            sender: SrtpSender::new(&key(1, 1), &ssrcs).unwrap(),
            slots: ssrcs.iter().enumerate().map(slot).collect(),
            voices,
            sent: Vec::new(),
        }
    }

    /// Returns the blocks of the member's last report.
    pub fn last_report(&mut self) -> Vec<ReportBlock> {
        let mut receiver = SrtpReceiver::new(&key(1, 0), &[Ssrc(1)]).unwrap();
        let is_report = |bytes: &Vec<u8>| classify(bytes) == PacketKind::Rtcp;
        let mut last = self.sent.iter().rfind(|bytes| is_report(bytes)).unwrap().clone();
        let plain = receiver.unprotect_rtcp(&mut last).unwrap();
        let blocks = |packet: RtcpPacket<'_>| match packet {
            RtcpPacket::SenderReport(report) => report.blocks.collect(),
            RtcpPacket::ReceiverReport(report) => report.blocks.collect(),
            _ => Vec::new(),
        };
        RtcpPackets::parse(&last[..plain.length]).unwrap().flat_map(blocks).collect()
    }

    /// Forwards all that is said in the first `frames` frames, but for what is lost on its way to
    /// the bridge: voice and frame.
    pub fn play(&mut self, frames: usize, turns: &[Turn], is_lost: impl Fn(usize, usize) -> bool) {
        for (at, mut packet) in self.forward(frames, turns, is_lost) {
            self.run_until(at);
            let datagram = Datagram { from: NODE, received_at: at, bytes: &mut packet };
            self.member.media.handle_datagram(at, datagram, &mut Wire::default());
        }
        self.run_until(START + FRAME * (frames as u32 + 25));
    }

    /// Returns all that `play` hands over, and when.
    pub fn forward(
        &mut self,
        frames: usize,
        turns: &[Turn],
        is_lost: impl Fn(usize, usize) -> bool,
    ) -> Vec<(Instant, Vec<u8>)> {
        let mut packets = Vec::new();
        for frame in 0..frames {
            let at = START + FRAME * (frame as u32 + 1);
            for turn in turns.iter().filter(|turn| (turn.from..turn.to).contains(&frame)) {
                let first =
                    if frame == turn.from { frame.saturating_sub(LOOK_BACK) } else { frame };
                for sent in first..=frame {
                    if !is_lost(turn.voice, sent) {
                        let marker = sent == first && first < frame;
                        packets.push((at, self.packet(turn, sent, frame, marker)));
                    }
                }
            }
        }
        packets
    }

    pub fn command(&mut self, command: MemberCommand) {
        self.member.media.handle_command(self.now, command, &mut Wire::default());
    }

    fn packet(&mut self, turn: &Turn, sent: usize, now: usize, marker: bool) -> Vec<u8> {
        let (slot, voice) = (&mut self.slots[turn.slot], &mut self.voices[turn.voice]);
        let incoming = (sent as u16, (sent * FRAME_SAMPLES) as u32);
        let holds = slot.voice == Some(turn.voice)
            && voice.place.is_some_and(|(place, ..)| place == turn.slot);
        if !holds {
            let elapsed = (now.saturating_sub(slot.frame) * FRAME_SAMPLES) as u32;
            let timestamp = slot.timestamp.wrapping_add(elapsed.max(FRAME_SAMPLES as u32));
            let sequence = slot.sequence.wrapping_add(1);
            let shift = (sequence.wrapping_sub(incoming.0), timestamp.wrapping_sub(incoming.1));
            voice.place = Some((turn.slot, shift.0, shift.1));
        }
        if marker && holds {
            // Another spurt: numbers go on, however many packets were not forwarded between.
            let sequence = slot.sequence.wrapping_add(1);
            let place = voice.place.as_mut().unwrap();
            place.1 = sequence.wrapping_sub(incoming.0);
        }
        let (_, by, later) = voice.place.unwrap();
        (slot.sequence, slot.timestamp) =
            (incoming.0.wrapping_add(by), incoming.1.wrapping_add(later));
        (slot.frame, slot.voice) = (now, Some(turn.voice));
        let header = RtpHeader {
            marker: marker || !holds,
            payload_type: PAYLOAD_TYPE,
            sequence_number: SequenceNumber(slot.sequence),
            timestamp: RtpTimestamp(slot.timestamp),
            ssrc: slot.ssrc,
        };
        let (level, payload) = &voice.frames[sent];
        let mut packet = vec![0; DATAGRAM_SIZE_MAX];
        let mut length = header.write_fixed(1, true, &mut packet);
        length += write_csrcs(&[voice.ssrc], &mut packet[length..]);
        let mut writer = ElementWriter::new(&mut packet[length..]).unwrap();
        MixerLevels::write(&[LevelDbov(*level)], &mut writer).unwrap();
        length += writer.finish();
        packet[length..length + payload.len()].copy_from_slice(payload);
        // Padded, as a bridge under load does to make packets equal (RFC 3550 section 5.1).
        let padding = 4;
        packet[0] |= 0x20;
        length += payload.len() + padding;
        packet[length - 1] = padding as u8;
        let length = self.sender.protect_rtp(&mut packet, length).unwrap();
        packet.truncate(length);
        packet
    }

    fn run_until(&mut self, end: Instant) {
        let mut wire: Wire = Wire::default();
        while let Some(at) = self.member.media.poll_timeout().filter(|at| *at < end) {
            self.now = self.now.max(at);
            self.member.media.handle_timeout(self.now, &mut wire);
            self.member.media.handle_sent(self.now);
        }
        self.sent.extend(wire.0.into_iter().map(|(_, bytes)| bytes));
        self.now = end;
    }
}
