//! Holds a stream's packets until their playout time and gives them out in order.
//!
//! Owns the decision when a packet is due, what counts as lost, and when the delay may shrink. It
//! never decodes: whoever pulls does. Memory is one block, taken when the buffer is made.

mod counters;
mod delays;
mod histogram;
mod passed;
mod patience;
mod recent;
mod ring;
mod schedule;

use std::time::Duration;

pub use delays::Delays;

use crate::codec::{FRAME_SAMPLES, PACKET_SAMPLES_MAX, PAYLOAD_SIZE_MAX, SAMPLE_RATE_HZ};
use crate::drop_reason::DropReason;
use crate::extension::LevelDbov;
use crate::rtp::RtpTimestamp;
use crate::time::Instant;
pub use counters::JitterCounters;
use passed::Passed;
use ring::{CAPACITY, Place, Ring};
use schedule::Schedule;

/// Bounds and start of a buffer's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterSettings {
    /// How long a packet waits at least, to begin with.
    pub target_min: Duration,
    /// The target never grows beyond this, and a delay a whole packet beyond it is shortened
    /// even in loud sound.
    pub target_max: Duration,
    /// A packet at or below this level may be skipped to shorten the delay.
    pub quiet: LevelDbov,
    /// How much more is waited for, in percent, than nearly all packets need, as far as
    /// that is more than 10 ms.
    pub margin_percent: u8,
    /// Whether playout may make sound longer and shorter to change the delay.
    pub stretch: bool,
}

impl JitterSettings {
    fn margin(&self) -> f64 {
        f64::from(self.margin_percent) / 100.0
    }
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
    /// Decode this packet, do not play it, and pull again: it shortens the delay.
    Skip(BufferedPacket<'a>),
    /// Conceal this many samples, one frame at most: a packet is missing.
    Conceal(u32),
}

/// A bounded buffer of one stream's packets, with its target in time, not in packets.
///
/// Between packets that follow each other by sequence number, a jump of the timestamp is the
/// sender's pause: a new spurt begins, which waits for the target. Where sequence numbers are
/// missing, the timestamps say how much is concealed; a hole too long for that is a new spurt too.
/// A packet that comes after it was due is given up if that is rare and its follower is in time;
/// else it is played late, as long as no later one was played, and the delay is so much longer from
/// then on. The target follows the packets' delays: it is what nearly all need.
pub struct JitterBuffer {
    settings: JitterSettings,
    delays: Box<Delays>,
    ring: Ring,
    position: Option<Position>,
    newest_index: Option<u64>,
    /// Samples concealed since the packet at `position` was due.
    concealed: u32,
    schedule: Schedule,
    /// Quiet packets played in a row.
    quiet_run: u32,
    /// Late packets, less one for each `LATE_WINDOW` played.
    late_recently: u32,
    played_since_late: u32,
    /// What is given up after a stall, until a packet from behind it is played.
    passed: Option<Passed>,
    counters: JitterCounters,
}

/// Where playout stands: the packet that comes next.
#[derive(Clone, Copy)]
struct Position {
    index: u64,
    timestamp: RtpTimestamp,
    /// When it was found missing; before that, when the packet before it was given out.
    due: Instant,
    /// How many samples the packet before it stood for.
    samples: u32,
    /// Which of the packets before it were given out: bit n for the one n + 1 before.
    given: u64,
}

impl JitterBuffer {
    /// Makes an empty buffer. Allocates now and never again.
    pub fn new(settings: JitterSettings) -> Self {
        Self {
            settings,
            delays: Box::new(Delays::new(settings)),
            ring: Ring::new(),
            position: None,
            newest_index: None,
            concealed: 0,
            schedule: Schedule::default(),
            quiet_run: 0,
            late_recently: 0,
            played_since_late: 0,
            passed: None,
            counters: JitterCounters::default(),
        }
    }

    /// Forgets the stream, but keeps the memory; for the next tenant of a pooled buffer.
    pub fn reset(&mut self, settings: JitterSettings) {
        self.settings = settings;
        *self.delays = Delays::new(settings);
        self.ring.clear();
        self.position = None;
        self.newest_index = None;
        self.concealed = 0;
        self.schedule = Schedule::default();
        self.quiet_run = 0;
        self.late_recently = 0;
        self.played_since_late = 0;
        self.passed = None;
        self.counters = JitterCounters::default();
    }

    /// Takes a packet in, in any order.
    ///
    /// A packet that is `CAPACITY` or more ahead of the newest empties the buffer first: the
    /// stream has broken off, and what still waits will count as lost.
    ///
    /// # Errors
    /// `Duplicate` (it waits or was played), `Late` (a later one was played), `TooOld`, `Full`, or
    /// `Undecodable` if it is larger or longer than any codec's packet, or of no length.
    pub fn insert(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        let is_codecs = packet.payload.len() <= PAYLOAD_SIZE_MAX
            && (1..=PACKET_SAMPLES_MAX as u32).contains(&packet.samples);
        if !is_codecs {
            return Err(DropReason::Undecodable);
        }
        let outcome = self.place(packet);
        if matches!(outcome, Ok(()) | Err(DropReason::Late)) {
            self.delays.push(packet);
        }
        outcome
    }

    /// Takes in a packet whose delay is known: it was kept back.
    ///
    /// # Errors
    /// As `insert`.
    pub fn insert_kept(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        self.place(packet)
    }

    /// Takes in a copy of a packet that came in a later one (RFC 2198), right after that one.
    ///
    /// Where copies are not waited for as such, the packet came with its copy if that was first: of
    /// packets that overtake each other few then come late.
    ///
    /// # Errors
    /// As `insert`.
    pub fn insert_copy(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        self.place(packet)?;
        if !self.delays.has_redundancy() {
            self.delays.push_copy(packet);
        }
        Ok(())
    }

    fn place(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        self.refuse_past(packet)?;
        let newest = self.newest_index.unwrap_or(packet.index);
        if packet.index.abs_diff(newest) >= CAPACITY as u64 {
            if packet.index < newest {
                return Err(DropReason::TooOld);
            }
            self.ring.clear();
        }
        self.ring.insert(packet)?;
        self.newest_index = Some(newest.max(packet.index));
        Ok(())
    }

    /// Exchanges what is known of the stream's delays: it outlives a pooled buffer's tenancy.
    pub fn swap_delays(&mut self, delays: &mut Box<Delays>) {
        std::mem::swap(&mut self.delays, delays);
    }

    /// Takes in when a packet came that carries no sound.
    pub fn handle_probe(&mut self, probe: &BufferedPacket<'_>) {
        self.delays.push(probe);
    }

    /// Returns what is known of the stream's delays.
    pub fn delays(&self) -> &Delays {
        &self.delays
    }

    /// Gives out what is due at `now`, which is the tick's scheduled time.
    ///
    /// `may_skip` allows a packet to be skipped to shorten the delay: quiet ones before a spurt's
    /// first sound and in pauses, any if the delay is beyond what the target may ever be. Without
    /// it, quiet packets before the first sound are dropped. `wanted` samples are needed now: so
    /// much is concealed if it is not known whether a packet is lost.
    pub fn pull(&mut self, now: Instant, may_skip: bool, wanted: u32) -> Pull<'_> {
        match self.next_in_order() {
            Some(place) => self.give(now, place, false),
            None => self.decide(now, may_skip, wanted),
        }
    }

    #[inline(never)]
    fn decide(&mut self, now: Instant, may_skip: bool, wanted: u32) -> Pull<'_> {
        loop {
            let expected = self.position.map(|position| position.index);
            let Some((place, packet)) = self.ring.oldest(expected) else {
                if let Some(passed) = self.passed {
                    self.set_passed(passed.extended());
                    return Pull::Idle;
                }
                return self.conceal(now, CONCEALED_MAX, wanted);
            };
            if self.passed.is_some_and(|passed| passed.contains(&packet)) {
                self.ring.take(place);
                continue;
            }
            let hole = self.hole_before(&packet);
            let is_at_its_time = match hole {
                Some(hole) if self.concealed < hole => {
                    return self.conceal(now, hole, FRAME_SAMPLES as u32);
                }
                // Once there is nothing left to conceal, a packet finds silence and may wait.
                Some(hole) => self.concealed == hole || self.concealed < CONCEALED_MAX,
                None => false,
            };
            if !is_at_its_time && !self.has_waited(now, &packet) {
                return Pull::Idle;
            }
            let is_given_up = may_skip && self.is_given_up(&packet, hole);
            self.settle(&packet, hole, is_given_up);
            let is_dispensable = !is_given_up && self.is_dispensable(now, &packet);
            if is_dispensable && !may_skip && self.schedule.is_new() {
                // The decoder does without a quiet packet before the first sound.
                self.give(now, place, true);
                continue;
            }
            let skips = may_skip && is_dispensable;
            if skips {
                self.schedule.skipped(packet.samples);
            }
            return self.give(now, place, skips || is_given_up);
        }
    }

    /// Finds the packet that is due if nothing was concealed or given up before it, and none behind
    /// it could be played instead: then there is nothing to decide.
    fn next_in_order(&self) -> Option<Place> {
        let position = self.position?;
        let place = self.ring.find(position.index, position.timestamp)?;
        let is_plain = self.concealed == 0 && self.passed.is_none();
        (is_plain && self.ring.follower(position.index).is_none()).then_some(place)
    }

    /// Returns the packet that follows directly on what was last asked to be concealed, if it is
    /// here: redundancy in it may stand for what is missing.
    pub fn follower(&self) -> Option<BufferedPacket<'_>> {
        let position = self.position.filter(|_| self.concealed > 0)?;
        let (place, packet) = self.ring.oldest(Some(position.index))?;
        let follows = packet.timestamp == position.timestamp.wrapping_add(self.concealed);
        (follows && packet.index > position.index).then(|| self.ring.peek(place))
    }

    /// Returns by how much every recent packet was early, and playout is later than it need be.
    ///
    /// A tick may move earlier by this much without making any packet of this stream late. A
    /// stream of which nothing was played yet allows a second.
    pub fn excess(&self) -> Duration {
        self.schedule.excess(&self.settings, &self.delays)
    }

    /// Returns whether enough was played to know how early packets are.
    pub fn is_settled(&self) -> bool {
        self.schedule.is_settled()
    }

    /// Returns by how much playout is earlier than suits nearly all packets.
    pub fn shortage(&self) -> Duration {
        self.schedule.shortage(&self.delays)
    }

    /// Tells that the tick moved earlier by `step`: later packets will have waited less.
    pub fn tick_moved_earlier(&mut self, step: Duration) {
        self.schedule.shift(-nanos(step));
    }

    /// Tells that the tick moved later by `step`: later packets will have waited more.
    pub fn tick_moved_later(&mut self, step: Duration) {
        self.schedule.shift(nanos(step));
    }

    /// Asks that the delay is not shortened before `until`, except beyond the largest target.
    pub fn keep_delay(&mut self, until: Instant) {
        self.schedule.keep(until);
    }

    /// Tells how much later than a packet its copies may come: so much longer packets wait.
    pub fn set_redundancy(&mut self, redundancy: Duration) {
        self.delays.set_redundancy(redundancy);
    }

    /// Returns by how many samples playout is best made longer, or shorter if negative.
    ///
    /// Packets are pulled for blocks of `block` samples, before which `queued` decoded samples
    /// were left: a packet is due a block earlier or later, not less, so what is left over stands
    /// for a delay that serves nobody. A surplus is left to the next pause at first, and what is
    /// short to a moment where the sound `is_quiet`: meanwhile it grows where a packet is missing.
    pub fn wanted_stretch(&mut self, now: Instant, block: u32, queued: u32, is_quiet: bool) -> i32 {
        if !self.settings.stretch {
            return 0;
        }
        let known = (&self.settings, &*self.delays);
        self.schedule.wanted_stretch(known, now, (block, queued), is_quiet)
    }

    /// Gives up the next `samples` of the stream, of which nobody asked for in time, and whatever
    /// comes of them yet: what follows is played with the delay of before.
    pub fn pass_over(&mut self, samples: u32) {
        let concealed = self.concealed;
        let next = self.position.map(|position| position.timestamp.wrapping_add(concealed));
        let start = next.or_else(|| self.ring.oldest(None).map(|(_, packet)| packet.timestamp));
        self.set_passed(start.map(|start| Passed::new(start, samples)));
    }

    /// Returns how long a packet waits at least, by what is known of those before it.
    pub fn wait(&self, packet: &BufferedPacket<'_>) -> Duration {
        Duration::from_nanos(self.delays.wait(packet).max(0).unsigned_abs())
    }

    /// Returns how long the earliest packets wait: any later one waits less.
    pub fn target(&self) -> Duration {
        self.delays.target()
    }

    /// Returns the samples that are buffered and still to be played.
    pub fn buffered_samples(&self) -> u32 {
        self.ring.samples()
    }

    /// Returns true if no packet is buffered.
    pub fn is_empty(&self) -> bool {
        self.ring.len() == 0
    }

    /// Returns what became of the stream's packets so far.
    pub fn counters(&self) -> JitterCounters {
        self.counters
    }

    /// Refuses a packet from before the next.
    fn refuse_past(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        let Some(position) = self.position else { return Ok(()) };
        let Some(age) = position.index.checked_sub(packet.index).filter(|age| *age > 0) else {
            return Ok(());
        };
        if age > u64::from(u64::BITS) {
            return Err(DropReason::TooOld);
        }
        if position.given >> (age - 1) & 1 == 1 {
            return Err(DropReason::Duplicate);
        }
        self.counters.late += 1;
        Err(DropReason::Late)
    }

    /// Goes on behind what is given up, or, if that is not to be expected, pauses.
    fn set_passed(&mut self, passed: Option<Passed>) {
        self.passed = passed;
        self.concealed = if passed.is_some() { 0 } else { CONCEALED_MAX };
        if let (Some(position), Some(passed)) = (&mut self.position, passed) {
            position.timestamp = passed.end();
        }
    }

    /// Returns how many samples are missing before `packet`; `None` if it begins a new spurt.
    fn hole_before(&self, packet: &BufferedPacket<'_>) -> Option<u32> {
        let position = self.position?;
        let hole = u32::try_from(packet.timestamp.distance_from(position.timestamp)).ok()?;
        let is_hole = match packet.index == position.index {
            true => hole == 0,
            false if self.passed.is_some() && hole == 0 => true,
            false => (1..=CONCEALED_MAX).contains(&hole) && hole.is_multiple_of(CONCEALED_STEP),
        };
        is_hole.then_some(hole)
    }

    /// Asks for `wanted` samples more, a frame at most, until `concealed_max` stand for what is
    /// missing.
    fn conceal(&mut self, now: Instant, concealed_max: u32, wanted: u32) -> Pull<'_> {
        let left = concealed_max.saturating_sub(self.concealed);
        let Some(position) = self.position.as_mut().filter(|_| left > 0) else {
            return Pull::Idle;
        };
        if self.concealed == 0 {
            position.due = now;
        }
        let wanted = wanted.next_multiple_of(CONCEALED_STEP).min(FRAME_SAMPLES as u32);
        let samples = position.samples.min(wanted).min(left);
        self.concealed += samples;
        self.counters.concealed += 1;
        Pull::Conceal(samples)
    }

    /// Settles what concealments stood for, now that `packet` is given out.
    fn settle(&mut self, packet: &BufferedPacket<'_>, hole: Option<u32>, is_given_up: bool) {
        if let Some(position) = self.position {
            self.counters.lost += packet.index - position.index;
            if let Some(hole) = hole
                && self.concealed > hole
            {
                // Where packets become longer, the first one comes later by what it holds more:
                // that is its sender's doing, and no reason to wait longer for those behind it.
                let longer = packet.samples.saturating_sub(position.samples);
                let due = behind(position.due, hole + longer);
                if longer == 0 || packet.received_at > due {
                    self.counters.late += 1;
                    self.late_recently += 1;
                }
            }
        }
        if hole != Some(self.concealed) && !is_given_up {
            self.schedule.begin();
        }
        self.concealed = 0;
    }

    fn give(&mut self, now: Instant, place: Place, skips: bool) -> Pull<'_> {
        self.passed = None;
        let packet = self.ring.take(place);
        self.schedule.gave(now, packet.timestamp);
        let given = self.position.map_or(0, |position| {
            let passed = u32::try_from(packet.index - position.index).unwrap_or(u32::MAX);
            (position.given << 1).checked_shl(passed).unwrap_or(0)
        });
        self.position = Some(Position {
            index: packet.index.saturating_add(1),
            timestamp: packet.timestamp.wrapping_add(packet.samples),
            due: now,
            samples: packet.samples,
            given: given | 1,
        });
        if skips {
            self.counters.skipped += 1;
            return Pull::Skip(packet);
        }
        self.schedule.played(now.nanos_after(packet.received_at));
        let is_quiet = is_quiet(&self.settings, &packet);
        self.quiet_run = if is_quiet { self.quiet_run + 1 } else { 0 };
        self.played_since_late += 1;
        if self.played_since_late == LATE_WINDOW {
            self.played_since_late = 0;
            self.late_recently = self.late_recently.saturating_sub(1);
        }
        self.counters.played += 1;
        Pull::Play(packet)
    }

    fn has_waited(&self, now: Instant, packet: &BufferedPacket<'_>) -> bool {
        now.nanos_after(packet.received_at).max(0) >= self.delays.wait(packet)
    }

    /// Tells whether a packet that was concealed is better given up: its follower is here in time,
    /// and such packets are rare. Playing it would lengthen the delay of all that follow; where
    /// copies are to be waited for, that is as it should be.
    fn is_given_up(&self, packet: &BufferedPacket<'_>, hole: Option<u32>) -> bool {
        hole.is_some_and(|hole| self.concealed == hole + packet.samples)
            && self.late_recently < LATE_MAX
            && !self.delays.has_redundancy()
            && self.ring.follower(packet.index).is_some()
    }

    /// Tells whether the delay is better for playing the packet after this one instead.
    ///
    /// Before a spurt's first sound that is so if this one is quiet and the next has waited for
    /// the target; later, if playout is a whole packet later than it need be in the midst of a
    /// pause, or than the target may ever be.
    fn is_dispensable(&self, now: Instant, packet: &BufferedPacket<'_>) -> bool {
        let Some(next) = self.ring.follower(packet.index) else { return false };
        if self.schedule.is_new() {
            return is_quiet(&self.settings, packet) && self.has_waited(now, &next);
        }
        let in_pause = is_quiet(&self.settings, packet) && self.quiet_run >= PAUSE_PACKETS_MIN;
        let known = (&self.settings, &*self.delays);
        self.schedule.is_packet_late(known, now, packet, in_pause)
    }
}

fn is_quiet(settings: &JitterSettings, packet: &BufferedPacket<'_>) -> bool {
    // LevelDbov counts downwards: a larger value is quieter.
    packet.level.0 >= settings.quiet.0
}

/// Returns a duration in ns, as far as 64 bits reach: 292 years.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Returns how many ns so many samples last.
fn samples_nanos(samples: u32) -> i64 {
    const { assert!(SAMPLE_RATE_HZ == 48_000) };
    (u64::from(samples) * 62_500 / 3).cast_signed()
}

/// Returns when `samples` from `at` on are over.
fn behind(at: Instant, samples: u32) -> Instant {
    Instant::from_nanos(at.as_nanos().saturating_add(samples_nanos(samples).unsigned_abs()))
}

/// Samples that are concealed in a row at most, then the stream counts as paused: 120 ms, as long
/// as the longest packet; by then Opus has faded out.
const CONCEALED_MAX: u32 = PACKET_SAMPLES_MAX as u32;

/// What codecs can conceal is a multiple of this: 2.5 ms, Opus' shortest frame (RFC 6716).
const CONCEALED_STEP: u32 = 120;

/// Quiet packets in a row that make a pause: a stop consonant is over by then.
const PAUSE_PACKETS_MIN: u32 = 2;

/// Late packets that are given up before others are played late instead: the delay is too short.
const LATE_MAX: u32 = 3;

/// Packets that make up for a late one: half a second of 20 ms packets.
const LATE_WINDOW: u32 = 25;
