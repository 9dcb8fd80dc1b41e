//! A member's media engine: what is said goes up, what is heard comes down.
//!
//! Pure like the node's engines: the driver of `sabha-transport` tells it the time and carries its
//! datagrams. One UDP socket, one leg, one key in each direction.

mod buffer_delays;
mod downlink;
mod gate;
mod heard;
mod live;
mod local_mix;
mod log;
mod preroll;
mod quality;
mod reports;
mod sidetone;
mod sound_io;
mod uplink;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

pub use buffer_delays::{BUFFER_DELAY_MAX, BufferDelays};
pub use downlink::PacketLengths;
pub use gate::{
    GATE_CLOSE, GATE_HANGOVER, GATE_OPEN, Gate, GateDecision, LOUD_PROBE_INTERVAL, PREROLL_PACKETS,
    PROBE_INTERVAL,
};
pub use heard::Heard;
pub use local_mix::{TalkerVolume, VOLUME_MAX};
pub use log::{ArrivedPacket, PlayedFrame, SentPacket, TimingLog};
pub use quality::LegQuality;
pub use sidetone::{RETURN_DELAY_MAX, SIDETONE_GAIN};
pub use sound_io::{BufferSink, Schedule, Sink, Source, Utterance, WavSink};

use sabha_core::message::Mode;
use sabha_media::codec::{EncoderSettings, samples_duration};
use sabha_media::drop_reason::{DropCounters, DropReason};
use sabha_media::jitter_buffer::JitterCounters;
use sabha_media::leg::Ssrc;
use sabha_media::reception::Reception;
use sabha_media::rtp::{PacketKind, PayloadType, classify};
use sabha_media::shard::{MediaEpoch, OwnVoice, UplinkOrder};
use sabha_media::srtp::{MasterKey, ProtectTap, SrtpReceiver, SrtpSender, StreamsError};
use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};
use sabha_transport::Endpoint;

use crate::processing::MicrophoneSettings;
use downlink::Downlink;
use live::LiveSound;
use reports::Reports;
use uplink::{Path, Uplink};

/// What a member's leg needs: the join answer, the keys, and the member's own choices.
pub struct MemberSettings {
    /// The node's media socket.
    pub node: SocketAddr,
    /// The key of what is sent.
    pub send_key: MasterKey,
    /// The key of what is received.
    pub receive_key: MasterKey,
    /// The SSRC to send with.
    pub send_ssrc: Ssrc,
    /// The streams to expect: one from a mixer, one for each slot from a bridge.
    pub receive_ssrcs: Vec<Ssrc>,
    /// Whether the streams are a mix or talkers as they are.
    pub mode: Mode,
    /// The payload type of Opus, both ways.
    pub payload_type: PayloadType,
    /// The payload type of redundant audio, both ways; `None` if it was not agreed.
    pub red_payload_type: Option<PayloadType>,
    /// The epoch of the leg.
    pub epoch: MediaEpoch,
    /// Name of this member's source in RTCP.
    pub cname: String,
    /// Bitrate and effort of the encoder.
    pub encoder: EncoderSettings,
    /// How long packets wait for late ones, at least.
    pub playout_delay: Duration,
    /// When sound begins to be sent and played; both clocks start here.
    pub start: Instant,
    /// How much faster than the driver's clock the member's runs, in millionths.
    pub clock_ppm: i32,
    /// What is done to a live microphone; nothing to recorded sound.
    pub microphone: Option<MicrophoneSettings>,
    /// Whether a person listens live, and is to hear themselves by their own device where the
    /// node's answer takes longer than `RETURN_DELAY_MAX`.
    pub sidetone: bool,
    /// Whether to log when each packet went and came; costs memory.
    pub log_timing: bool,
    /// Told of each use of a key, in tests and demonstrations.
    pub tap: Option<Arc<dyn ProtectTap>>,
}

impl MemberSettings {
    /// Tells whether each stream carries one talker at a time, to be mixed here.
    fn is_forwarded(&self) -> bool {
        self.mode == Mode::Bridge
    }
}

/// What a member is told to do while it runs.
pub enum MemberCommand {
    /// Say goodbye on the media path and send nothing more.
    Leave,
    /// Report the present figures; a full channel gets none.
    Report(SyncSender<MemberReport>),
    /// Move to another media socket of the node.
    SetNode(SocketAddr),
    /// Hear a talker of a bridge, named by the SSRC they send with, so loud from now on.
    SetVolume(Ssrc, TalkerVolume),
}

/// One member's figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberReport {
    /// Packets sent.
    pub packets_out: u64,
    /// Of those, packets with sound.
    pub voice_out: u64,
    /// Of those, level probes.
    pub probes_out: u64,
    /// What the node wants of the microphone now.
    pub uplink_order: UplinkOrder,
    /// The bitrate that sound is sent with, in bit/s: the member's own, or less by the node's order.
    pub bitrate: u32,
    /// How often the microphone's gate opened.
    pub gate_openings: u64,
    /// Packets received and authenticated.
    pub packets_in: u64,
    /// Of those, how many of which length.
    pub lengths_in: PacketLengths,
    /// Packets that never came, by gaps in the sequence.
    pub lost: i64,
    /// Interarrival jitter, of the stream that has most.
    pub jitter: Duration,
    /// Whether talkers were forwarded as they are, and mixed here.
    pub is_forwarded: bool,
    /// Talkers whose decoder and buffer were given to another.
    pub talkers_evicted: u64,
    /// Volumes that were refused: too many, or no number.
    pub volumes_refused: u64,
    /// What playout made of the packets.
    pub playout: JitterCounters,
    /// How often up to 20 ms were concealed, as no packet could be played in time; `heard` has it in
    /// samples.
    pub concealed: u64,
    /// What became of the frames that were due, and how long their packets waited.
    pub heard: Heard,
    /// The largest number of copies that a received packet carried.
    pub red_copies: u8,
    /// Lost packets that came as a copy in time to be played; they count as lost all the same.
    pub recovered: u64,
    /// How many copies each packet with sound is sent with now.
    pub copies_out: u8,
    /// Round trip of the media path, once known.
    pub round_trip: Option<Duration>,
    /// What the node does with the own voice, as far as it was asked.
    pub own_voice: OwnVoice,
    /// Whether the node was heard at all.
    pub connected: bool,
    /// Whether the source of sound has ended.
    pub finished: bool,
    /// Packets discarded, by reason.
    pub drops: DropCounters,
}

/// A member's media engine.
pub struct MemberMedia {
    node: SocketAddr,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    uplink: Uplink,
    downlink: Downlink,
    reports: Reports,
    live: LiveSound,
    /// How long packets wait to be played, at least.
    playout_delay: Duration,
    own_voice: OwnVoice,
    is_forwarded: bool,
    log: Option<TimingLog>,
    drops: DropCounters,
    left: bool,
}

impl MemberMedia {
    /// Makes the engine; nothing is sent before the driver's first call.
    ///
    /// # Errors
    /// `StreamsError` if the node allotted SSRCs that cannot be.
    pub fn new(
        settings: &MemberSettings,
        source: Box<dyn Source>,
        sink: Box<dyn Sink>,
    ) -> Result<Self, StreamsError> {
        let mut sender = SrtpSender::new(&settings.send_key, &[settings.send_ssrc])?;
        sender.set_tap(settings.tap.clone());
        Ok(Self {
            node: settings.node,
            sender,
            receiver: SrtpReceiver::new(&settings.receive_key, &settings.receive_ssrcs)?,
            uplink: Uplink::new(settings, source),
            downlink: Downlink::new(settings, sink),
            reports: Reports::new(settings),
            live: LiveSound::new(settings),
            playout_delay: settings.playout_delay,
            own_voice: OwnVoice::Returned,
            is_forwarded: settings.is_forwarded(),
            log: settings.log_timing.then(TimingLog::default),
            drops: DropCounters::default(),
            left: false,
        })
    }

    /// Returns the present figures.
    pub fn report(&self) -> MemberReport {
        let (streams, mix) = (self.downlink.streams(), self.downlink.mix());
        let receptions = || streams.iter().map(|stream| &stream.reception);
        let playout = mix.counters();
        MemberReport {
            packets_out: self.uplink.packets(),
            voice_out: self.uplink.voice_packets(),
            probes_out: self.uplink.probes(),
            uplink_order: self.uplink.gate().order(),
            bitrate: self.uplink.bitrate(),
            gate_openings: self.uplink.gate().openings(),
            packets_in: receptions().map(Reception::received).sum(),
            lengths_in: self.downlink.lengths(),
            lost: receptions().map(Reception::lost).sum(),
            jitter: samples_duration(receptions().map(Reception::jitter).max().unwrap_or(0)),
            is_forwarded: self.is_forwarded,
            talkers_evicted: mix.evicted(),
            volumes_refused: mix.volumes_refused(),
            playout,
            concealed: playout.concealed,
            heard: mix.heard(),
            red_copies: self.downlink.red_copies(),
            recovered: self.downlink.recovered(),
            copies_out: self.uplink.copies().count() as u8,
            round_trip: self.reports.round_trip(),
            own_voice: self.own_voice,
            connected: self.reports.is_connected(),
            finished: self.uplink.is_finished(),
            drops: self.drops.clone(),
        }
    }

    /// Returns when each packet went and came, if that was asked for.
    pub fn timing(&self) -> Option<&TimingLog> {
        self.log.as_ref()
    }

    /// Ends the sink, as a file must be, and returns what became of it.
    ///
    /// # Errors
    /// The sink's own.
    pub fn finish(self) -> std::io::Result<()> {
        self.downlink.finish()
    }

    fn send_report(&mut self, now: Instant, goodbye: bool, transmit: &mut impl Transmit) {
        let Self { sender, reports, uplink, downlink, .. } = self;
        transmit.transmit(self.node, |slot| {
            let length = reports.write(now, uplink, downlink.streams_mut(), goodbye, slot);
            if length == 0 { 0 } else { sender.protect_rtcp(slot, length).unwrap_or(0) }
        });
    }

    fn receive(&mut self, datagram: Datagram<'_>) -> Result<(), DropReason> {
        let Datagram { received_at, bytes, .. } = datagram;
        match classify(bytes) {
            PacketKind::Rtp => {
                let plain = self.receiver.unprotect_rtp(bytes)?;
                self.reports.handle_contact();
                if let Some(log) = &mut self.log {
                    let red = self.downlink.red_payload_type();
                    log.push_arrived(&bytes[..plain.length], red, received_at);
                }
                self.downlink.handle_rtp(plain.index.0, &bytes[..plain.length], received_at)
            }
            PacketKind::Rtcp => {
                let plain = self.receiver.unprotect_rtcp(bytes)?;
                self.reports.handle_contact();
                let compound = &bytes[..plain.length];
                if let Some(said) = self.reports.handle_compound(compound, received_at)? {
                    self.uplink.gate_mut().set_order(said.uplink);
                    self.uplink.set_bitrate_order(said.bitrate);
                    self.live.handle_own_voice(said.own_voice);
                    self.own_voice = said.own_voice;
                }
                self.watch_delay();
                if let Some(copies) = self.reports.poll_copies() {
                    self.uplink.set_copies(copies);
                }
                Ok(())
            }
            PacketKind::Neither => Err(DropReason::NotRtp),
        }
    }

    /// Asks the node to leave out the own voice where it would come too late, and back again.
    fn watch_delay(&mut self) {
        let Some(round_trip) = self.reports.round_trip() else { return };
        if self.live.handle_delay(round_trip, self.playout_delay) {
            self.reports.set_own_voice(self.live.own_voice());
        }
    }
}

impl Endpoint for MemberMedia {
    type Command = MemberCommand;

    fn handle_datagram(
        &mut self,
        _now: Instant,
        datagram: Datagram<'_>,
        _transmit: &mut impl Transmit,
    ) {
        if let Err(reason) = self.receive(datagram) {
            self.drops.count(reason);
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
                if !self.left {
                    self.send_report(now, true, transmit);
                }
                self.left = true;
            }
            MemberCommand::Report(reply) => {
                // Whoever asked may have gone; then nobody misses the answer.
                let _ = reply.try_send(self.report());
            }
            MemberCommand::SetNode(node) => {
                self.node = node;
                self.send_report(now, false, transmit);
            }
            MemberCommand::SetVolume(talker, volume) => {
                self.downlink.mix_mut().set_volume(talker, volume);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant, transmit: &mut impl Transmit) {
        if self.left {
            return;
        }
        if self.reports.next(self.downlink.streams()) <= now {
            self.send_report(now, false, transmit);
        }
        let Self { node, sender, uplink, downlink, live, log, .. } = self;
        downlink.play_due(now, live, log.as_mut());
        uplink.send_due(now, Path { to: *node, sender, live, log: log.as_mut(), transmit });
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.left {
            return None;
        }
        let report = self.reports.next(self.downlink.streams());
        let next = [self.uplink.next(), self.downlink.next(), report];
        next.into_iter().min()
    }

    fn handle_sent(&mut self, now: Instant) {
        if let Some(log) = &mut self.log {
            log.handle_sent(now);
        }
    }
}
