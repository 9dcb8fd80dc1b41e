//! What a member hears: packets wait for their time, are decoded and played.

use std::time::Duration;

use sabha_media::codec::opus::{Opus, OpusDecoder};
use sabha_media::codec::{Codec, FRAME_SAMPLES, samples_duration};
use sabha_media::comfort_noise::ComfortNoise;
use sabha_media::drop_reason::DropReason;
use sabha_media::extension::{LevelDbov, MixerLevels};
use sabha_media::jitter_buffer::{BufferedPacket, JitterCounters, JitterSettings};
use sabha_media::playout::Playout;
use sabha_media::reception::Reception;
use sabha_media::red::{Predecessor, RedArrivals, RedPacket};
use sabha_media::reordering::Reordering;
use sabha_media::rtp::{PayloadType, RtpPacket};
use sabha_media::time::Instant;

use super::heard::Heard;
use super::live::LiveSound;
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
    arrivals: RedArrivals,
    reordering: Reordering,
    red_copies: u8,
    recovered: u64,
    playout: Playout<OpusDecoder>,
    reception: Reception,
    lengths: PacketLengths,
    heard: Heard,
    next: Instant,
    interval: Duration,
    position: u64,
    comfort_noise: ComfortNoise,
}

impl Downlink {
    pub(super) fn new(settings: &MemberSettings, sink: Box<dyn Sink>) -> Self {
        let jitter = JitterSettings {
            target_min: settings.playout_delay,
            target_max: PLAYOUT_DELAY_MAX.max(settings.playout_delay),
            quiet: QUIET,
            margin_percent: 0,
            stretch: true,
        };
        Self {
            sink,
            payload_type: settings.payload_type,
            red_payload_type: settings.red_payload_type,
            arrivals: RedArrivals::default(),
            reordering: Reordering::default(),
            red_copies: 0,
            recovered: 0,
            playout: Playout::new(OpusDecoder::new(), jitter),
            reception: Reception::default(),
            lengths: PacketLengths::default(),
            heard: Heard::default(),
            next: settings.start,
            interval: interval(settings.clock_ppm, BLOCK_SAMPLES),
            position: 0,
            comfort_noise: ComfortNoise::new(settings.send_ssrc.0.into()),
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
        self.reception.count(index, packet.timestamp(), received_at);
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
        for index in self.reordering.push(index, self.playout.buffer().delays().spread()) {
            self.arrivals.see(received_at, index);
        }
        if is_probe {
            self.playout.buffer_mut().handle_probe(&packet);
            return Ok(());
        }
        self.lengths.count(samples);
        self.arrivals.count(red.as_ref());
        self.playout.buffer_mut().set_redundancy(self.arrivals.wait(received_at));
        let inserted = self.playout.insert(&packet);
        if let Some(red) = red {
            self.insert_copies(&packet, &red);
        }
        inserted
    }

    /// Inserts the copies of the packets directly before `packet` as packets of their own. Those
    /// that are there or were played are refused, which is as it should be and not counted.
    fn insert_copies(&mut self, packet: &BufferedPacket<'_>, red: &RedPacket<'_>) {
        self.red_copies = self.red_copies.max(red.copies().len() as u8);
        for copy in red.predecessors(&Opus, packet.index, packet.timestamp) {
            let Predecessor { index, timestamp, samples, payload } = copy;
            let copy = BufferedPacket { index, timestamp, samples, payload, ..*packet };
            self.recovered += u64::from(self.playout.insert_copy(&copy).is_ok());
        }
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
            let played = self.playout.fill(self.next, &mut { SKIPS_MAX }, &mut block);
            self.heard.count(self.next, &played, BLOCK_SAMPLES);
            if played.samples < BLOCK_SAMPLES {
                self.comfort_noise.fill(&mut block[played.samples..]);
            } else if played.received_at.is_some() {
                self.comfort_noise.hear(&block);
            }
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

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn reception(&self) -> &Reception {
        &self.reception
    }

    pub(super) fn reception_mut(&mut self) -> &mut Reception {
        &mut self.reception
    }

    pub(super) fn lengths(&self) -> PacketLengths {
        self.lengths
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Returns the largest number of copies that a packet carried.
    pub(super) fn red_copies(&self) -> u8 {
        self.red_copies
    }

    /// Returns how many lost packets came as a copy in time to be played.
    pub(super) fn recovered(&self) -> u64 {
        self.recovered
    }

    pub(super) fn playout(&self) -> JitterCounters {
        self.playout.buffer().counters()
    }

    pub(super) fn finish(self) -> std::io::Result<()> {
        self.sink.finish()
    }
}

/// What is played at once: 5 ms. A packet is played so much later than it need be at most.
const BLOCK_SAMPLES: usize = 240;

/// Packets that one block may skip: more than a buffer ever has too many.
const SKIPS_MAX: u32 = 4;

/// A frame at or below this level may be skipped to shorten the delay.
const QUIET: LevelDbov = LevelDbov(60);

/// The playout delay never grows beyond this.
const PLAYOUT_DELAY_MAX: Duration = Duration::from_millis(400);
