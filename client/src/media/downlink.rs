//! What a member receives: packets are parsed, counted and handed to whoever said them.

use std::time::Duration;

use sabha_media::codec::opus::Opus;
use sabha_media::codec::{Codec, FRAME_SAMPLES, samples_duration};
use sabha_media::drop_reason::DropReason;
use sabha_media::extension::{LevelDbov, MixerLevels};
use sabha_media::jitter_buffer::BufferedPacket;
use sabha_media::red::{Predecessor, RedPacket};
use sabha_media::rtp::{PayloadType, RtpPacket};
use sabha_media::time::Instant;

use super::live::LiveSound;
use super::local_mix::{BLOCK_SAMPLES, LocalMix, Stream, Talker};
use super::log::PlayedFrame;
use super::uplink::interval;
use super::{MemberSettings, Sink, TimingLog};

/// How many packets of which length were received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketLengths {
    /// Of 20 ms.
    pub ms_20: u64,
    /// Of 40 ms.
    pub ms_40: u64,
    /// Of 60 ms.
    pub ms_60: u64,
    /// Of any other length.
    pub other: u64,
}

impl PacketLengths {
    fn count(&mut self, samples: usize) {
        let count = match samples / FRAME_SAMPLES {
            _ if !samples.is_multiple_of(FRAME_SAMPLES) => &mut self.other,
            1 => &mut self.ms_20,
            2 => &mut self.ms_40,
            3 => &mut self.ms_60,
            _ => &mut self.other,
        };
        *count += 1;
    }
}

/// The receiving half.
pub(super) struct Downlink {
    sink: Box<dyn Sink>,
    payload_type: PayloadType,
    red_payload_type: Option<PayloadType>,
    streams: Box<[Stream]>,
    mix: LocalMix,
    red_copies: u8,
    recovered: u64,
    lengths: PacketLengths,
    next: Instant,
    interval: Duration,
    position: u64,
}

impl Downlink {
    pub(super) fn new(settings: &MemberSettings, sink: Box<dyn Sink>) -> Self {
        let is_slot = settings.is_forwarded();
        let streams = settings.receive_ssrcs.iter().map(|ssrc| Stream::new(*ssrc, is_slot));
        Self {
            sink,
            payload_type: settings.payload_type,
            red_payload_type: settings.red_payload_type,
            streams: streams.collect(),
            mix: LocalMix::new(settings),
            red_copies: 0,
            recovered: 0,
            lengths: PacketLengths::default(),
            next: settings.start,
            interval: interval(settings.clock_ppm, BLOCK_SAMPLES),
            position: 0,
        }
    }

    /// Takes an authenticated, decrypted packet.
    pub(super) fn handle_rtp(
        &mut self,
        index: u64,
        plain: &[u8],
        received_at: Instant,
    ) -> Result<(), DropReason> {
        let packet = RtpPacket::parse(plain)?;
        let red = match packet.payload_type() {
            opus if opus == self.payload_type => None,
            red if Some(red) == self.red_payload_type => Some(RedPacket::parse(packet.payload())?),
            _ => return Err(DropReason::UnknownPayloadType),
        };
        let stream = self.streams.iter_mut().find(|stream| stream.ssrc == packet.ssrc());
        let stream = stream.ok_or(DropReason::UnknownSsrc)?;
        let arrival = stream.handle_packet(index, &packet, received_at);
        let loudest = MixerLevels::read(&packet)?.map(|(_, level)| level.0).min();
        let payload = red.map_or(packet.payload(), |red| red.primary().payload);
        let is_probe = packet.payload().is_empty();
        let samples = match is_probe {
            true => FRAME_SAMPLES,
            false => Opus.payload_samples(payload).map_err(|_| DropReason::Undecodable)?,
        };
        let packet = BufferedPacket {
            index,
            timestamp: packet.timestamp(),
            samples: samples as u32,
            level: loudest.map_or(LevelDbov::SILENCE, LevelDbov),
            received_at,
            payload,
        };
        stream.accept(&arrival);
        let talker = self.mix.talker(&arrival, &packet);
        let disorder = talker.as_ref().map_or(Duration::ZERO, |talker| talker.disorder(&packet));
        stream.see(&arrival, disorder);
        let talker = talker.ok_or(DropReason::Late)?;
        if is_probe {
            talker.playout_mut().buffer_mut().handle_probe(&packet);
            return Ok(());
        }
        self.lengths.count(samples);
        stream.arrivals.count(red.as_ref());
        let packet = talker.renumber(packet);
        talker.playout_mut().buffer_mut().set_redundancy(stream.arrivals.wait(received_at));
        let inserted = talker.insert(&packet, &arrival);
        if let Some(red) = red {
            self.red_copies = self.red_copies.max(red.copies().len() as u8);
            self.recovered += insert_copies(talker, &packet, &red);
        }
        inserted
    }

    /// Plays every block whose time has come.
    pub(super) fn play_due(
        &mut self,
        now: Instant,
        live: &mut LiveSound,
        mut log: Option<&mut TimingLog>,
    ) {
        while self.next <= now {
            let mut block = [0.0; BLOCK_SAMPLES];
            let played = self.mix.fill(&mut block, self.next);
            if let Some(log) = log.as_mut().filter(|_| played.left_over < BLOCK_SAMPLES) {
                let sample = self.position + played.left_over as u64;
                let played_at = self.next + samples_duration(played.left_over as u32);
                let received_at = played.received_at;
                log.played.push(PlayedFrame { sample, received_at, played_at });
            }
            live.handle_played(&mut block);
            self.sink.play(&block);
            self.position += BLOCK_SAMPLES as u64;
            self.next += self.interval;
        }
    }

    pub(super) fn red_payload_type(&self) -> Option<PayloadType> {
        self.red_payload_type
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Returns what is received, in the order in which the node listed it.
    pub(super) fn streams(&self) -> &[Stream] {
        &self.streams
    }

    pub(super) fn streams_mut(&mut self) -> &mut [Stream] {
        &mut self.streams
    }

    pub(super) fn lengths(&self) -> PacketLengths {
        self.lengths
    }

    /// Returns all who are heard.
    pub(super) fn mix(&self) -> &LocalMix {
        &self.mix
    }

    pub(super) fn mix_mut(&mut self) -> &mut LocalMix {
        &mut self.mix
    }

    /// Returns the largest number of copies that a packet carried.
    pub(super) fn red_copies(&self) -> u8 {
        self.red_copies
    }

    /// Returns how many lost packets came as a copy in time to be played.
    pub(super) fn recovered(&self) -> u64 {
        self.recovered
    }

    pub(super) fn finish(self) -> std::io::Result<()> {
        self.sink.finish()
    }
}

/// Inserts the copies in `packet` as packets of their own; returns how
/// many were missing. Those that are there or were played are refused, which is as it should be.
fn insert_copies(talker: &mut Talker, packet: &BufferedPacket<'_>, red: &RedPacket<'_>) -> u64 {
    let mut recovered = 0;
    for copy in red.predecessors(&Opus, packet.index, packet.timestamp) {
        let Predecessor { index, timestamp, samples, payload } = copy;
        let copy = BufferedPacket { index, timestamp, samples, payload, ..*packet };
        recovered += u64::from(talker.playout_mut().insert_copy(&copy).is_ok());
    }
    recovered
}
