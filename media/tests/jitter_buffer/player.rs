//! A listener in virtual time around a jitter buffer, who checks all that comes out of it.
//!
//! Shared by the tests and the fuzz target. A model keeps which packets the buffer accepted.

use std::collections::BTreeMap;
use std::time::Duration;

use sabha_media::drop_reason::DropReason;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::{BufferedPacket, JitterBuffer, JitterSettings, Pull};
use sabha_media::rtp::RtpTimestamp;
use sabha_media::time::Instant;

pub const FRAME: Duration = Duration::from_millis(20);
pub const FRAME_SAMPLES: u32 = 960;
/// What the buffer conceals in a row at most.
pub const CONCEALED_MAX: u32 = 5_760;
/// Packets that the buffer holds.
pub const CAPACITY: u64 = 32;

/// A packet on its way, with its index as payload.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub index: u64,
    pub timestamp: u32,
    pub samples: u32,
    pub level: u8,
    pub at: Instant,
}

/// What a pull gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    Play { index: u64, wait: Duration },
    Skip { index: u64 },
    Conceal(u32),
    Idle,
}

pub struct Player {
    pub buffer: JitterBuffer,
    pub settings: JitterSettings,
    pub log: Vec<(Instant, Out)>,
    /// Samples pulled and not yet played.
    pcm: u32,
    waiting: BTreeMap<u64, Packet>,
    newest: Option<u64>,
    last: Option<Packet>,
    concealed: u32,
    lost: u64,
}

impl Player {
    pub fn new(settings: JitterSettings) -> Self {
        Self {
            buffer: JitterBuffer::new(settings),
            settings,
            log: Vec::new(),
            pcm: 0,
            waiting: BTreeMap::new(),
            newest: None,
            last: None,
            concealed: 0,
            lost: 0,
        }
    }

    pub fn insert(&mut self, packet: Packet) -> Result<(), DropReason> {
        let payload = packet.index.to_be_bytes();
        let outcome = self.buffer.insert(&BufferedPacket {
            index: packet.index,
            timestamp: RtpTimestamp(packet.timestamp),
            samples: packet.samples,
            level: LevelDbov(packet.level),
            received_at: packet.at,
            payload: &payload,
        });
        let was_given = self.last.is_some_and(|last| packet.index <= last.index);
        if outcome.is_ok() {
            assert!(!was_given, "packet {} was passed and is taken in", packet.index);
            if self.newest.is_some_and(|newest| packet.index >= newest + CAPACITY) {
                self.waiting.clear();
            }
            assert!(self.waiting.insert(packet.index, packet).is_none(), "taken in twice");
            self.newest = self.newest.max(Some(packet.index));
        }
        outcome
    }

    /// Plays one frame; at most `skips` packets may be skipped for it.
    pub fn tick(&mut self, now: Instant, mut skips: u32) {
        while self.pcm < FRAME_SAMPLES {
            let out = match self.buffer.pull(now, skips > 0, FRAME_SAMPLES - self.pcm) {
                Pull::Idle => Out::Idle,
                Pull::Conceal(samples) => Out::Conceal(samples),
                Pull::Play(packet) => {
                    let wait = now.saturating_since(packet.received_at);
                    Out::Play { index: check_payload(&packet), wait }
                }
                Pull::Skip(packet) => Out::Skip { index: check_payload(&packet) },
            };
            self.log.push((now, out));
            match out {
                Out::Idle => {
                    self.check_idle(now);
                    self.pcm = 0;
                    return;
                }
                Out::Conceal(samples) => {
                    assert!((1..=FRAME_SAMPLES).contains(&samples));
                    self.concealed += samples;
                    assert!(self.concealed <= CONCEALED_MAX);
                    self.pcm += samples;
                }
                Out::Play { index, .. } => self.pcm += self.give(index),
                Out::Skip { index } => {
                    skips -= 1;
                    self.give(index);
                    assert!(!self.waiting.is_empty(), "the last packet is never skipped");
                }
            }
        }
        self.pcm -= FRAME_SAMPLES;
        self.check_counters();
    }

    /// Returns the indices that were played.
    pub fn played(&self) -> Vec<u64> {
        let outs = self.log.iter().map(|(_, out)| *out);
        outs.filter_map(|out| if let Out::Play { index, .. } = out { Some(index) } else { None })
            .collect()
    }

    /// Returns how long the last packet played had waited.
    pub fn last_wait(&self) -> Duration {
        let outs = self.log.iter().rev().map(|(_, out)| *out);
        outs.filter_map(|out| if let Out::Play { wait, .. } = out { Some(wait) } else { None })
            .next()
            .expect("a packet was played")
    }

    pub fn count(&self, wanted: impl Fn(&Out) -> bool) -> usize {
        self.log.iter().filter(|(_, out)| wanted(out)).count()
    }

    pub fn concealed_samples(&self) -> u32 {
        let samples = self.log.iter().map(|(_, out)| match out {
            Out::Conceal(samples) => *samples,
            _ => 0,
        });
        samples.sum()
    }

    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns the samples that the packet stands for.
    fn give(&mut self, index: u64) -> u32 {
        // Quiet packets before a spurt's first sound may have been dropped.
        while let Some((oldest, packet)) = self.waiting.first_key_value()
            && *oldest < index
            && packet.level >= self.settings.quiet.0
        {
            self.give(*oldest);
        }
        let packet = self.waiting.remove(&index).expect("was taken in and not given before");
        if let Some((oldest, _)) = self.waiting.first_key_value() {
            assert!(index < *oldest, "packet {index} before {oldest}");
        }
        if let Some(last) = self.last {
            assert!(last.index < index);
            let missing = index - last.index - 1;
            self.lost += missing;
            let hole = packet.timestamp.wrapping_sub(last.timestamp.wrapping_add(last.samples));
            let is_hole = missing > 0 && hole <= CONCEALED_MAX && hole.is_multiple_of(120);
            if is_hole {
                assert!(self.concealed >= hole, "{hole} missing, {} concealed", self.concealed);
            }
        }
        self.concealed = 0;
        self.last = Some(packet);
        packet.samples
    }

    /// There is silence only before a spurt, or when nothing came for as long as is concealed.
    fn check_idle(&self, now: Instant) {
        match self.waiting.first_key_value() {
            Some((_, oldest)) => {
                let wait = now.saturating_since(oldest.at);
                assert!(wait < self.buffer.target(), "packet {} is due", oldest.index);
            }
            None => assert!(self.last.is_none() || self.concealed == CONCEALED_MAX),
        }
    }

    fn check_counters(&self) {
        let counters = self.buffer.counters();
        assert_eq!(counters.lost, self.lost);
        assert_eq!(self.buffer.is_empty(), self.waiting.is_empty());
        let bound = self.settings.target_max.max(self.settings.target_min);
        assert!((self.settings.target_min..=bound).contains(&self.buffer.target()));
    }
}

fn check_payload(packet: &BufferedPacket<'_>) -> u64 {
    assert_eq!(packet.payload, packet.index.to_be_bytes());
    packet.index
}
