//! Holds a stream's packets until their playout time and gives them out in order.
//!
//! Owns the decision when a packet is due, what counts as lost, and when the delay may shrink. It
//! never decodes: whoever pulls does. Memory is one block, taken when the buffer is made.

use std::time::Duration;

use crate::codec::PAYLOAD_SIZE_MAX;
use crate::drop_reason::DropReason;
use crate::extension::LevelDbov;
use crate::rtp::RtpTimestamp;
use crate::time::Instant;

/// Bounds and start of a buffer's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterSettings {
    /// How long a packet waits at least, to begin with.
    pub target_min: Duration,
    /// The target never grows beyond this.
    pub target_max: Duration,
    /// A frame at or below this level may be skipped to shorten the delay.
    pub quiet: LevelDbov,
}

/// What a buffer needs to know of a packet.
#[derive(Clone, Copy, Debug)]
pub struct BufferedPacket<'a> {
    /// The sequence number, unwrapped (RFC 3711's packet index).
    pub index: u64,
    /// The RTP timestamp of its first sample.
    pub timestamp: RtpTimestamp,
    /// Samples that it stands for.
    pub samples: u32,
    /// Its level.
    pub level: LevelDbov,
    /// When the kernel received it.
    pub received_at: Instant,
    /// The codec's payload.
    pub payload: &'a [u8],
}

/// What a pull gives.
#[derive(Debug)]
pub enum Pull<'a> {
    /// Nothing is due: the stream has not begun, pauses, or ended.
    Idle,
    /// Decode and play this packet.
    Play(BufferedPacket<'a>),
    /// Decode this quiet packet, do not play it, and pull again: it shortens the delay.
    Skip(BufferedPacket<'a>),
    /// Conceal this many samples: a packet is missing.
    Conceal(u32),
}

/// A bounded buffer of one stream's packets, with its target in time, not in packets.
///
/// A packet that is missing when it is due is concealed once; if it still comes before its
/// successor is played, it is played late and the target grows, else it counts as lost.
pub struct JitterBuffer {
    settings: JitterSettings,
    target: Duration,
    slots: [Slot; CAPACITY],
    payloads: Box<[u8]>,
    filled: usize,
    position: Option<Position>,
    newest_index: Option<u64>,
    /// Concealments since the packet at `position` was first due.
    concealed_run: u32,
    slack: RecentMin,
    last_growth: Instant,
    counters: JitterCounters,
}

/// What became of a stream's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterCounters {
    /// Given out to be played.
    pub played: u64,
    /// Given out to be decoded only.
    pub skipped: u64,
    /// Passed over without having arrived.
    pub lost: u64,
    /// Concealments asked for.
    pub concealed: u64,
    /// Arrived after a concealment and played late, or too late to be played.
    pub late: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    filled: bool,
    index: u64,
    timestamp: RtpTimestamp,
    samples: u32,
    level: LevelDbov,
    received_at: Instant,
    length: usize,
}

/// Where playout stands: the packet that comes next.
#[derive(Clone, Copy)]
struct Position {
    index: u64,
    timestamp: RtpTimestamp,
    samples: u32,
}

impl JitterBuffer {
    /// Makes an empty buffer. Allocates once.
    pub fn new(settings: JitterSettings) -> Self {
        Self {
            settings,
            target: settings.target_min,
            slots: [EMPTY; CAPACITY],
            payloads: vec![0; CAPACITY * PAYLOAD_SIZE_MAX].into_boxed_slice(),
            filled: 0,
            position: None,
            newest_index: None,
            concealed_run: 0,
            slack: RecentMin::default(),
            last_growth: Instant::ZERO,
            counters: JitterCounters::default(),
        }
    }

    /// Forgets the stream, but keeps the memory; for the next tenant of a pooled buffer.
    pub fn reset(&mut self, settings: JitterSettings) {
        self.settings = settings;
        self.target = settings.target_min;
        self.slots = [EMPTY; CAPACITY];
        self.filled = 0;
        self.position = None;
        self.newest_index = None;
        self.concealed_run = 0;
        self.slack = RecentMin::default();
        self.counters = JitterCounters::default();
    }

    /// Takes a packet in, in any order.
    ///
    /// # Errors
    /// `Duplicate`, `Late` (its place was played), `Full`, or `Undecodable` if its payload is
    /// larger than any codec's.
    pub fn insert(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        if packet.payload.len() > PAYLOAD_SIZE_MAX || packet.samples == 0 {
            return Err(DropReason::Undecodable);
        }
        self.make_room(packet)?;
        let place = (packet.index % CAPACITY as u64) as usize;
        let slot = &mut self.slots[place];
        if slot.filled {
            let same = slot.index == packet.index;
            return Err(if same { DropReason::Duplicate } else { DropReason::Full });
        }
        *slot = Slot {
            filled: true,
            index: packet.index,
            timestamp: packet.timestamp,
            samples: packet.samples,
            level: packet.level,
            received_at: packet.received_at,
            length: packet.payload.len(),
        };
        let start = place * PAYLOAD_SIZE_MAX;
        self.payloads[start..start + packet.payload.len()].copy_from_slice(packet.payload);
        self.filled += 1;
        self.newest_index = self.newest_index.max(Some(packet.index));
        Ok(())
    }

    /// Gives out what is due at `now`, which is the tick's scheduled time.
    ///
    /// `may_skip` allows a quiet packet to be skipped if the delay is a whole packet too long.
    pub fn pull(&mut self, now: Instant, may_skip: bool) -> Pull<'_> {
        self.relax(now);
        let Some(head) = self.head() else { return self.pull_empty() };
        let Some(position) = self.position else { return self.start(now, head, may_skip) };
        let slot = self.slots[head];
        let missing = slot.index.saturating_sub(position.index);
        let ahead = slot.timestamp.0.wrapping_sub(position.timestamp.0).cast_signed();
        let expected = missing.saturating_mul(u64::from(position.samples));
        if i64::from(ahead) != i64::try_from(expected).unwrap_or(i64::MAX) {
            // The sender paused: what lies between is silence, not loss.
            return self.start(now, head, may_skip);
        }
        if missing <= u64::from(self.concealed_run) {
            self.account_for_gap(now, missing, &slot);
            return self.give(now, head, may_skip);
        }
        if missing > u64::from(CONCEALED_RUN_MAX) {
            self.counters.lost += missing;
            return self.start(now, head, may_skip);
        }
        self.conceal(position.samples)
    }

    /// Returns by how much every recent packet was early against the target.
    ///
    /// A tick may move earlier by this much without making any packet of this stream late.
    pub fn excess(&self) -> Duration {
        let slack = self.slack.min().unwrap_or(i64::MAX);
        let excess = slack.saturating_sub(self.target_nanos());
        Duration::from_nanos(u64::try_from(excess).unwrap_or(0).min(EXCESS_NANOS_MAX))
    }

    /// Tells that the tick moved earlier by `step`: later packets will have waited less.
    pub fn tick_moved_earlier(&mut self, step: Duration) {
        self.slack.shift(-(step.as_nanos() as i64));
    }

    /// Returns how long a packet now waits at least.
    pub fn target(&self) -> Duration {
        self.target
    }

    /// Returns the samples that are buffered and still to be played.
    pub fn buffered_samples(&self) -> u32 {
        self.slots.iter().filter(|slot| slot.filled).map(|slot| slot.samples).sum()
    }

    /// Returns true if no packet is buffered.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Returns what became of the stream's packets so far.
    pub fn counters(&self) -> JitterCounters {
        self.counters
    }

    /// Refuses a packet whose place was played; drops everything after a jump that leaves the ring.
    fn make_room(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        if let Some(position) = self.position
            && packet.index < position.index
        {
            self.counters.late += 1;
            self.last_growth = packet.received_at;
            return Err(DropReason::Late);
        }
        let newest = self.newest_index.unwrap_or(packet.index);
        if packet.index >= newest.saturating_add(CAPACITY as u64) {
            self.slots = [EMPTY; CAPACITY];
            self.filled = 0;
            self.position = None;
            self.newest_index = None;
            self.concealed_run = 0;
            return Ok(());
        }
        if packet.index.saturating_add(CAPACITY as u64) <= newest {
            return Err(DropReason::TooOld);
        }
        if self.filled == CAPACITY {
            return Err(DropReason::Full);
        }
        Ok(())
    }

    /// Begins a talk spurt at `head` once it has waited long enough.
    fn start(&mut self, now: Instant, head: usize, may_skip: bool) -> Pull<'_> {
        let slot = self.slots[head];
        if now.saturating_since(slot.received_at) < self.target {
            return Pull::Idle;
        }
        self.slack = RecentMin::default();
        self.concealed_run = 0;
        self.give(now, head, may_skip)
    }

    fn give(&mut self, now: Instant, head: usize, may_skip: bool) -> Pull<'_> {
        let slot = self.slots[head];
        self.slots[head].filled = false;
        self.filled -= 1;
        self.concealed_run = 0;
        self.position = Some(Position {
            index: slot.index + 1,
            timestamp: RtpTimestamp(slot.timestamp.0.wrapping_add(slot.samples)),
            samples: slot.samples,
        });
        self.slack.push(now.nanos_after(slot.received_at));
        let start = head * PAYLOAD_SIZE_MAX;
        let packet = BufferedPacket {
            index: slot.index,
            timestamp: slot.timestamp,
            samples: slot.samples,
            level: slot.level,
            received_at: slot.received_at,
            payload: &self.payloads[start..start + slot.length],
        };
        let duration = i64::from(slot.samples) * NANOS_PER_SAMPLE;
        let slack = self.slack.min().unwrap_or(0);
        let target = i64::try_from(self.target.as_nanos()).unwrap_or(i64::MAX);
        // LevelDbov counts downwards: a larger value is quieter.
        let quiet = slot.level.0 >= self.settings.quiet.0;
        if may_skip && quiet && self.filled > 0 && slack >= target.saturating_add(duration) {
            self.slack.shift(-duration);
            self.counters.skipped += 1;
            return Pull::Skip(packet);
        }
        self.counters.played += 1;
        Pull::Play(packet)
    }

    fn pull_empty(&mut self) -> Pull<'_> {
        match self.position {
            Some(position) if self.concealed_run < CONCEALED_RUN_MAX => {
                self.conceal(position.samples)
            }
            _ => Pull::Idle,
        }
    }

    fn conceal(&mut self, samples: u32) -> Pull<'_> {
        self.concealed_run += 1;
        self.counters.concealed += 1;
        Pull::Conceal(samples)
    }

    /// Settles what concealments stood for, now that the next packet is here: the `missing` ones
    /// before it are lost; concealments beyond those mean that it came late.
    fn account_for_gap(&mut self, now: Instant, missing: u64, slot: &Slot) {
        self.counters.lost += missing;
        if u64::from(self.concealed_run) <= missing {
            return;
        }
        self.counters.late += 1;
        let waits = u64::from(self.concealed_run) - missing;
        let frame = Duration::from_nanos(u64::from(slot.samples) * NANOS_PER_SAMPLE as u64);
        let due = now - frame * u32::try_from(waits).unwrap_or(1);
        let late_by = slot.received_at.saturating_since(due);
        self.target = (self.target + late_by.min(frame) + GROWTH_MARGIN)
            .min(self.settings.target_max);
        self.last_growth = now;
        self.slack = RecentMin::default();
    }

    /// Lets the target sink again, a millisecond for each quiet second.
    fn relax(&mut self, now: Instant) {
        if self.target > self.settings.target_min
            && now.saturating_since(self.last_growth) >= RELAX_INTERVAL
        {
            self.target = (self.target - RELAX_STEP).max(self.settings.target_min);
            self.last_growth = now;
        }
    }

    /// Returns the slot of the oldest packet.
    fn head(&self) -> Option<usize> {
        if self.filled == 0 {
            return None;
        }
        if let Some(position) = self.position {
            let place = (position.index % CAPACITY as u64) as usize;
            if self.slots[place].filled && self.slots[place].index == position.index {
                return Some(place);
            }
        }
        let filled = self.slots.iter().enumerate().filter(|(_, slot)| slot.filled);
        filled.min_by_key(|(_, slot)| slot.index).map(|(place, _)| place)
    }

    fn target_nanos(&self) -> i64 {
        i64::try_from(self.target.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// The minimum over the last one to two windows of values.
#[derive(Clone, Copy, Default)]
struct RecentMin {
    current: Option<i64>,
    previous: Option<i64>,
    count: u32,
}

impl RecentMin {
    fn push(&mut self, value: i64) {
        self.current = Some(self.current.map_or(value, |current| current.min(value)));
        self.count += 1;
        if self.count == SLACK_WINDOW {
            self.previous = self.current.take();
            self.count = 0;
        }
    }

    fn shift(&mut self, by: i64) {
        self.current = self.current.map(|value| value + by);
        self.previous = self.previous.map(|value| value + by);
    }

    fn min(&self) -> Option<i64> {
        match (self.current, self.previous) {
            (Some(current), Some(previous)) => Some(current.min(previous)),
            (one, other) => one.or(other),
        }
    }
}

const EMPTY: Slot = Slot {
    filled: false,
    index: 0,
    timestamp: RtpTimestamp(0),
    samples: 0,
    level: LevelDbov(127),
    received_at: Instant::ZERO,
    length: 0,
};

/// Packets that a buffer holds: 640 ms of 20 ms packets, more than `target_max` is ever set to.
const CAPACITY: usize = 32;

/// Concealments in a row before the stream counts as paused: 100 ms, by when Opus has faded out.
const CONCEALED_RUN_MAX: u32 = 5;

/// Packets over which the smallest slack is taken: half a second of 20 ms packets.
const SLACK_WINDOW: u32 = 25;

/// What a late packet adds to the target beyond its lateness.
const GROWTH_MARGIN: Duration = Duration::from_millis(2);

/// How long the target rests before it sinks by `RELAX_STEP`.
const RELAX_INTERVAL: Duration = Duration::from_secs(1);

/// How much the target sinks at once.
const RELAX_STEP: Duration = Duration::from_millis(1);

/// One sample at 48 kHz, in ns (rounded down: 20.8333 µs).
const NANOS_PER_SAMPLE: i64 = 1_000_000_000 / crate::codec::SAMPLE_RATE_HZ as i64;

/// More excess than this is of no interest to a tick of 20 ms.
const EXCESS_NANOS_MAX: u64 = 1_000_000_000;
