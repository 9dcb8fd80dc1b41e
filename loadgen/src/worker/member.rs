//! A member on the media path, light enough that ten thousand fit on one thread.
//!
//! Everything a client does with a packet is done: authenticate, decrypt, count, report, obey the
//! node's orders. Only some members have an ear and decode. What a mixer sends is compared with what
//! they receive, what a bridge sends with what was said. Nothing here allocates once the member is
//! made, but for its marks.

use std::net::SocketAddr;

use sabha_client::network::Losses;
use sabha_client::random::Random;
use sabha_client::sound::Mark;
use sabha_media::drop_reason::DropReason;
use sabha_media::extension::{ClientLevel, ElementWriter, LevelDbov, MixerLevels};
use sabha_media::jitter_buffer::BufferedPacket;
use sabha_media::leg::Ssrc;
use sabha_media::reception::Reception;
use sabha_media::red::RedPacket;
use sabha_media::rtp::{PacketKind, PayloadType, RtpHeader, RtpPacket, SequenceNumber, classify};
use sabha_media::shard::MediaEpoch;
use sabha_media::srtp::{MasterKey, SrtpReceiver, SrtpSender, StreamsError};
use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};
use sabha_transport::Endpoint;

use super::contact::{Contact, ReceivedStream, Sent};
use super::ear::Ear;
use super::forwarded::{Forwarded, ForwardedPacket};
use super::hall::{Hall, LATE, SteadyPart};
use super::ledger::Alignment;
use super::opus_frames::{FRAMES_MAX, OpusFrames, frame_hash};
use super::tally::Tally;
use super::voice::{Due, Voice};

/// What the node allotted.
pub struct LegSettings {
    /// The node's media socket.
    pub node: SocketAddr,
    /// The key of what is sent.
    pub send_key: MasterKey,
    /// The key of what is received.
    pub receive_key: MasterKey,
    /// The SSRC to send with.
    pub send_ssrc: Ssrc,
    /// The streams to expect: one from a mixer, several from a bridge.
    pub receive_ssrcs: Vec<Ssrc>,
    /// The payload type of Opus, both ways.
    pub payload_type: PayloadType,
    /// The payload type of redundant audio, if it was agreed; its copies are not used.
    pub red_payload_type: Option<PayloadType>,
    /// The epoch of the leg.
    pub epoch: MediaEpoch,
}

/// What this member is in the run.
pub struct Part {
    /// Its counts, with its names.
    pub tally: Tally,
    /// What its packets are held against.
    pub measure: Measure,
    /// Its place among the talkers, if it is one.
    pub talker: Option<usize>,
    /// What it says.
    pub voice: Voice,
    /// Its ear, if it decodes.
    pub ear: Option<Box<Ear>>,
    /// The packets that are lost, each way.
    pub losses: Losses,
    /// Seeded for this member.
    pub random: Random,
}

/// What a member's packets are held against.
pub enum Measure {
    /// What others receive of the same mix: the place of its conference in the hall, and its part.
    Mix(usize, Kind),
    /// What was said, by whoever the bridge sends.
    Bridge(Box<Forwarded>),
}

/// How a member's frames are held against the others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only listens, and says what the others must receive.
    Reference,
    /// Only listens.
    Listener,
    /// Talks, and so hears a mix of its own.
    Talker,
}

/// What a member is told.
pub enum MemberCommand {
    /// Say goodbye on the media path and send nothing more.
    Leave,
}

/// One member.
pub struct LoadMember {
    leg: LegSettings,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    contact: Contact,
    streams: Box<[ReceivedStream]>,
    alignment: Alignment,
    sequence_number: SequenceNumber,
    octets_out: u32,
    hall: Hall,
    steady: SteadyPart,
    part: Part,
    /// Marks that were sent in the steady part, and when; the last one perhaps not yet.
    marks: Vec<(Mark, Instant)>,
    is_mark_pending: bool,
    has_left: bool,
}

impl LoadMember {
    /// Makes a member; it sends with the driver's first call.
    ///
    /// # Errors
    /// `StreamsError` if the node allotted SSRCs that cannot be.
    pub fn new(
        leg: LegSettings,
        mut part: Part,
        hall: Hall,
        steady: SteadyPart,
    ) -> Result<Self, StreamsError> {
        let contact_random = Random::new(part.random.bits(), 1);
        let received =
            |ssrc: &Ssrc| ReceivedStream { ssrc: *ssrc, reception: Reception::default() };
        Ok(Self {
            sender: SrtpSender::new(&leg.send_key, &[leg.send_ssrc])?,
            receiver: SrtpReceiver::new(&leg.receive_key, &leg.receive_ssrcs)?,
            contact: Contact::new(leg.send_ssrc, leg.epoch, contact_random),
            streams: leg.receive_ssrcs.iter().map(received).collect(),
            alignment: Alignment::default(),
            sequence_number: SequenceNumber(0),
            octets_out: 0,
            hall,
            steady,
            part,
            marks: Vec::new(),
            is_mark_pending: false,
            has_left: false,
            leg,
        })
    }

    /// Returns the counts.
    pub fn tally(&self) -> &Tally {
        &self.part.tally
    }

    /// Returns what it received of a bridge.
    pub fn forwarded(&self) -> Option<&Forwarded> {
        match &self.part.measure {
            Measure::Mix(..) => None,
            Measure::Bridge(forwarded) => Some(forwarded),
        }
    }

    /// Returns the ear, if there is one.
    pub fn ear(&self) -> Option<&Ear> {
        self.part.ear.as_deref()
    }

    /// Returns the marks that this member sent in the steady part, and when.
    pub fn marks(&self) -> &[(Mark, Instant)] {
        &self.marks
    }

    fn receive(&mut self, datagram: Datagram<'_>) -> Result<(), DropReason> {
        let Datagram { received_at, bytes, .. } = datagram;
        let octets = bytes.len() as u64;
        let is_steady = self.steady.contains(received_at);
        match classify(bytes) {
            PacketKind::Rtp => {
                let plain = self.receiver.unprotect_rtp(bytes)?;
                self.heard();
                let packet = RtpPacket::parse(&bytes[..plain.length])?;
                if is_steady {
                    let tally = &mut self.part.tally.steady;
                    let payload = packet.payload().len();
                    tally.payload_octets += payload as u64;
                    tally.padding_octets += (plain.length - packet.header_len() - payload) as u64;
                }
                self.handle_rtp(plain.index.0, &packet, received_at, is_steady)?;
            }
            PacketKind::Rtcp => {
                let plain = self.receiver.unprotect_rtcp(bytes)?;
                self.heard();
                self.contact.handle_compound(&bytes[..plain.length], received_at)?;
                self.part.tally.steady.reports += u64::from(is_steady);
            }
            PacketKind::Neither => return Err(DropReason::NotRtp),
        }
        self.part.tally.steady.octets += if is_steady { octets } else { 0 };
        Ok(())
    }

    fn heard(&mut self) {
        self.part.tally.connected = true;
        self.contact.handle_contact();
    }

    /// Counts a packet, holds it against the others', and gives it to the ear.
    fn handle_rtp(
        &mut self,
        index: u64,
        packet: &RtpPacket<'_>,
        received_at: Instant,
        is_steady: bool,
    ) -> Result<(), DropReason> {
        let ssrc = packet.ssrc();
        let stream = self.streams.iter().position(|stream| stream.ssrc == ssrc);
        let stream = stream.ok_or(DropReason::UnknownSsrc)?;
        if packet.payload().is_empty() {
            // A probe: it says how late packets come.
            self.streams[stream].reception.count(index, packet.timestamp(), received_at);
            return Ok(());
        }
        let payload = match packet.payload_type() {
            opus if opus == self.leg.payload_type => packet.payload(),
            red if Some(red) == self.leg.red_payload_type => {
                RedPacket::parse(packet.payload())?.primary().payload
            }
            _ => return Err(DropReason::UnknownPayloadType),
        };
        let opus = OpusFrames::parse(payload).ok_or(DropReason::Undecodable)?;
        let (late, talker) = match self.part.measure {
            Measure::Mix(..) => {
                (self.compare(packet.timestamp().0, &opus, received_at, is_steady), None)
            }
            Measure::Bridge(_) => {
                self.hold_against_said((stream, index), packet, payload, received_at)
            }
        };
        let frames = opus.frames().len();
        let tally = &mut self.part.tally;
        tally.packets_in += 1;
        if is_steady {
            tally.steady.packets += 1;
            tally.steady.frames += frames as u64;
            tally.steady.late_nanos_max = tally.steady.late_nanos_max.max(late);
            tally.steady.late60 += u64::from(late > LATE.as_nanos() as u64);
        }
        if self.is_lost() {
            return Ok(());
        }
        self.streams[stream].reception.count(index, packet.timestamp(), received_at);
        let Some(ear) = &mut self.part.ear else { return Ok(()) };
        let loudest = MixerLevels::read(packet)?.map(|(_, level)| level.0).min();
        let heard = BufferedPacket {
            index,
            timestamp: packet.timestamp(),
            samples: (frames * FRAME_SAMPLES) as u32,
            level: loudest.map_or(LevelDbov::SILENCE, LevelDbov),
            received_at,
            payload,
        };
        ear.hear(stream, talker, &heard);
        Ok(())
    }

    /// Holds a packet of a bridge against what was said; returns how late it came, in ns, and whose
    /// it is.
    fn hold_against_said(
        &mut self,
        (stream, index): (usize, u64),
        packet: &RtpPacket<'_>,
        payload: &[u8],
        received_at: Instant,
    ) -> (u64, Option<u32>) {
        let Measure::Bridge(forwarded) = &mut self.part.measure else { return (0, None) };
        let mut hall = self.hall.lock();
        hall.packets_in += 1;
        let mut sources = packet.csrcs();
        let arrival = forwarded.handle(&ForwardedPacket {
            stream,
            index,
            timestamp: packet.timestamp().0,
            marker: packet.marker(),
            source: sources.next().filter(|_| sources.len() == 0),
            payload,
            received_at,
            is_steady: self.steady.contains(received_at),
        });
        let Some(arrival) = arrival else { return (0, None) };
        let is_measured = |frame| self.steady.contains(forwarded.programme().begins(frame));
        let is_steady = is_measured(arrival.said.frame);
        self.part.tally.steady.speech += u64::from(is_steady && arrival.is_due);
        if let Some((begun, missing)) = arrival.onset
            && is_measured(begun)
            && !self.part.tally.churns
        {
            hall.forwarded.onsets[missing] += 1;
        }
        let delay = arrival.delay.unwrap_or_default();
        hall.late60 += u64::from(delay > LATE);
        if let (Some(delay), true) = (arrival.delay, is_steady) {
            hall.lateness.record(delay);
            match self.steady.third(received_at) {
                0 => hall.forwarded.early.record(delay),
                2 => hall.forwarded.late.record(delay),
                _ => {}
            }
        }
        let late = if is_steady { delay.as_nanos() as u64 } else { 0 };
        (late, u32::try_from(arrival.said.piece).ok())
    }

    /// Holds a packet against the others'; returns how late it came, in ns.
    fn compare(
        &mut self,
        timestamp: u32,
        opus: &OpusFrames<'_>,
        received_at: Instant,
        is_steady: bool,
    ) -> u64 {
        let Measure::Mix(ledger, kind) = self.part.measure else { return 0 };
        let frames = opus.frames();
        let mut hall = self.hall.lock();
        hall.packets_in += 1;
        let ledger = hall.ledger(ledger);
        let placed = if kind == Kind::Talker {
            Some(ledger.place_by_time(&mut self.alignment, timestamp, received_at))
        } else {
            let mut hashes = [0; FRAMES_MAX];
            for (hash, frame) in hashes.iter_mut().zip(frames) {
                *hash = frame_hash(opus.config, frame);
            }
            let (hashes, is_reference) = (&hashes[..frames.len()], kind == Kind::Reference);
            let placed = ledger.place(&mut self.alignment, timestamp, hashes, is_reference);
            if let Some(position) = placed {
                for (at, hash) in hashes.iter().enumerate() {
                    ledger.post(position + (at * FRAME_SAMPLES) as u64, *hash, is_reference);
                }
            }
            placed
        };
        let Some(position) = placed else {
            hall.unplaced += frames.len() as u64;
            return 0;
        };
        // A packet is due once its last frame is.
        let last = position + (frames.len().saturating_sub(1) * FRAME_SAMPLES) as u64;
        let late_nanos = u64::try_from(ledger.arrive(last, received_at)).unwrap_or(0);
        let late = std::time::Duration::from_nanos(late_nanos);
        hall.late60 += u64::from(late > LATE);
        if is_steady {
            hall.lateness.record(late);
        }
        late_nanos
    }

    fn is_lost(&mut self) -> bool {
        self.part.losses.is_lost(&mut self.part.random)
    }

    fn say_due(&mut self, now: Instant, transmit: &mut impl Transmit) {
        while self.part.voice.next() <= now {
            match self.part.voice.step(now, self.contact.order()) {
                Due::Nothing => {}
                Due::Probe(position) => {
                    self.part.tally.probes_out += 1;
                    self.send(now, (position, true, false), transmit);
                }
                Due::Frames { from, to, is_onset } => {
                    for position in from..=to {
                        self.note_sent(position, now);
                        let marker = is_onset && position == from;
                        self.send(now, (position, false, marker), transmit);
                        self.note_mark(position, now);
                    }
                }
            }
        }
    }

    /// Tells those whom a bridge sends this frame when it was sent; before it is, as they may have it
    /// before this thread goes on.
    fn note_sent(&self, position: u64, now: Instant) {
        if let (Some(talker), Some(forwarded)) = (self.part.talker, self.forwarded()) {
            forwarded.programme().note_sent(talker, self.part.voice.frame_of(position), now);
        }
    }

    fn note_mark(&mut self, position: u64, now: Instant) {
        let voice = &self.part.voice;
        let (frame, _) = voice.piece().frame(voice.frame_of(position));
        let Some(mark) = frame.mark else { return };
        if self.steady.contains(now) && self.marks.len() < MARKS_MAX {
            self.marks.push((mark, now));
            self.is_mark_pending = true;
        }
    }

    /// Sends one frame of the piece, or the probe of its level.
    fn send(
        &mut self,
        now: Instant,
        (position, is_probe, marker): (u64, bool, bool),
        transmit: &mut impl Transmit,
    ) {
        let header = RtpHeader {
            marker,
            payload_type: self.leg.payload_type,
            sequence_number: self.sequence_number,
            timestamp: Voice::timestamp(position),
            ssrc: self.leg.send_ssrc,
        };
        self.sequence_number = self.sequence_number.next();
        self.part.tally.packets_out += 1;
        if self.is_lost() {
            return;
        }
        self.part.tally.steady.packets_out += u64::from(self.steady.contains(now));
        let voice = &self.part.voice;
        let (frame, payload) = voice.piece().frame(voice.frame_of(position));
        let payload = if is_probe { &[] } else { payload };
        self.octets_out = self.octets_out.wrapping_add(payload.len() as u32);
        let sender = &mut self.sender;
        transmit.transmit(self.leg.node, |slot| {
            let length = write_packet(&header, frame.level, payload, slot);
            if length == 0 { 0 } else { sender.protect_rtp(slot, length).unwrap_or(0) }
        });
    }

    fn send_report(&mut self, now: Instant, is_goodbye: bool, transmit: &mut impl Transmit) {
        let sent = Sent {
            packets: self.part.tally.packets_out as u32,
            octets: self.octets_out,
            timestamp: self.part.voice.newest_timestamp(),
        };
        self.part.tally.steady.reports_out += u64::from(self.steady.contains(now));
        let Self { sender, contact, streams, .. } = self;
        transmit.transmit(self.leg.node, |slot| {
            let length = contact.write(now, sent, streams, is_goodbye, slot);
            if length == 0 { 0 } else { sender.protect_rtcp(slot, length).unwrap_or(0) }
        });
    }
}

impl Endpoint for LoadMember {
    type Command = MemberCommand;

    fn handle_datagram(
        &mut self,
        _now: Instant,
        datagram: Datagram<'_>,
        _transmit: &mut impl Transmit,
    ) {
        if self.receive(datagram).is_err() {
            self.part.tally.drops += 1;
        }
    }

    fn handle_command(
        &mut self,
        now: Instant,
        command: MemberCommand,
        transmit: &mut impl Transmit,
    ) {
        match command {
            MemberCommand::Leave => {
                if !self.has_left {
                    self.send_report(now, true, transmit);
                }
                self.has_left = true;
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant, transmit: &mut impl Transmit) {
        if self.has_left {
            return;
        }
        if self.contact.next(&self.streams) <= now {
            self.send_report(now, false, transmit);
        }
        self.say_due(now, transmit);
        if let Some(ear) = &mut self.part.ear {
            ear.play_due(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.has_left {
            return None;
        }
        let next = self.contact.next(&self.streams).min(self.part.voice.next());
        Some(self.part.ear.as_ref().map_or(next, |ear| next.min(ear.next())))
    }

    fn handle_sent(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_mark_pending)
            && let Some((_, at)) = self.marks.last_mut()
        {
            *at = now;
        }
    }
}

/// Writes a plain packet with its level; returns its length, 0 if it does not fit.
fn write_packet(header: &RtpHeader, level: LevelDbov, payload: &[u8], slot: &mut [u8]) -> usize {
    let mut length = header.write_fixed(0, true, slot);
    let voice = level < VOICE;
    let Ok(mut writer) = ElementWriter::new(&mut slot[length..]) else { return 0 };
    if (ClientLevel { voice, level }).write(&mut writer).is_err() {
        return 0;
    }
    length += writer.finish();
    let Some(room) = slot.get_mut(length..length + payload.len()) else { return 0 };
    room.copy_from_slice(payload);
    length + payload.len()
}

/// Louder frames are announced as voice (the V bit of RFC 6464).
const VOICE: LevelDbov = LevelDbov(50);

/// Marks of one member whose time is kept: an hour of them.
const MARKS_MAX: usize = 8_192;

const FRAME_SAMPLES: usize = sabha_media::codec::FRAME_SAMPLES;
