//! Decides how much effort a shard's thread can afford.
//!
//! Pure: told the load a few times a second, answers with a rung. Climbs soon, since what is late
//! stays late; descends slowly, one rung at a time, and only if the load that it predicts for the
//! lower rung leaves room. Knows no conference and no packet.

use std::time::Duration;

use sabha_media::time::Instant;
use sabha_mixer::Effort;

use super::reading::Reading;
use super::rungs::{RungSettings, Rungs};

/// How a shard's load is kept in bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LadderSettings {
    /// What may be given up.
    pub rungs: RungSettings,
    /// The share of its time that the thread may be busy; above it, nobody else is let in. With
    /// 1.0 everybody is, whatever the load.
    pub load_max: f64,
}

/// One shard's ladder.
#[derive(Clone, Debug)]
pub struct Ladder {
    rungs: Rungs,
    load_max: f64,
    rung: usize,
    load: Smoothed,
    /// The same of the readings since the rung changed.
    since_move: Smoothed,
    moved: Option<Move>,
    /// Readings with late ticks, less those without, at least 0.
    late: u8,
    /// Readings in succession that were far too busy.
    swamped: u8,
    calm_since: Option<Instant>,
    /// The highest rung down to which a step did not last, and how long to wait before the next.
    failed: Option<(usize, Duration)>,
    is_full: bool,
}

#[derive(Clone, Copy, Debug)]
struct Move {
    at: Instant,
    is_descent: bool,
    /// How long it takes until the load shows the whole effect.
    settles_in: Duration,
}

impl Ladder {
    /// Begins at the lowest rung: all effort.
    pub fn new(settings: &LadderSettings) -> Self {
        Self {
            rungs: Rungs::new(&settings.rungs),
            load_max: settings.load_max,
            rung: 0,
            load: Smoothed::default(),
            since_move: Smoothed::default(),
            moved: None,
            late: 0,
            swamped: 0,
            calm_since: None,
            failed: None,
            is_full: false,
        }
    }

    /// Takes a reading, and moves if need be.
    pub fn handle_reading(&mut self, now: Instant, reading: &Reading) {
        self.load.add(reading.busy);
        self.since_move.add(reading.busy);
        let is_late = reading.late_max > LATE_MAX;
        let late = if is_late { self.late + 1 } else { self.late.saturating_sub(1) };
        self.late = late.min(LATE_FULL);
        self.swamped = if reading.busy > SWAMPED { self.swamped.saturating_add(1) } else { 0 };
        let lasts = self.is_descended() && !self.is_within(now, DESCENT_TRIAL);
        if lasts && self.failed.is_some_and(|(failed, _)| self.rung <= failed) {
            self.failed = None;
        }
        if self.is_pressed() {
            self.calm_since = None;
            self.climb(now, reading);
        } else {
            self.descend(now, reading);
        }
        self.is_full = self.is_full_now();
    }

    /// Returns what mixes may spend now.
    pub fn effort(&self) -> Effort {
        self.rungs.effort(self.rung)
    }

    /// Returns how far it went: 0 is all effort, and the last step is to let nobody else in.
    pub fn step(&self) -> u8 {
        let is_end = self.is_full && self.rung == self.rungs.last();
        (self.rung + usize::from(is_end)) as u8
    }

    /// Returns the last step.
    pub fn step_max(&self) -> u8 {
        (self.rungs.last() + 1) as u8
    }

    /// Returns the smoothed share of the time that the thread is busy.
    pub fn load(&self) -> f64 {
        self.load.value()
    }

    /// Returns whether newcomers must be refused.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Returns whether the load shows the whole effect of the last move.
    pub fn is_settled(&self, now: Instant) -> bool {
        self.moved.is_none_or(|moved| now.saturating_since(moved.at) >= moved.settles_in)
    }

    /// Returns whether the load is too high though nothing more can be given up.
    pub fn is_at_end(&self) -> bool {
        self.rung == self.rungs.last() && self.is_pressed()
    }

    fn is_pressed(&self) -> bool {
        let is_busy = self.since_move.value() > CLIMB_SHARE * self.load_max;
        // Ticks that are late with little to do were made late by others; less work would not help.
        let is_late = self.late >= LATE_PRESSING && self.load.value() > IDLE_MAX;
        is_busy || is_late || self.swamped >= SWAMPED_PRESSING
    }

    fn climb(&mut self, now: Instant, reading: &Reading) {
        let settles_in = self.moved.map_or(PAUSE, |moved| moved.settles_in);
        let pause = match self.since_move.value() {
            _ if self.swamped >= SWAMPED_PRESSING => PAUSE,
            load if load > self.load_max => settles_in.min(PAUSE_OVER),
            _ => settles_in,
        };
        if self.is_within(now, pause) || self.rung == self.rungs.last() {
            return;
        }
        if self.is_descended() && self.is_within(now, DESCENT_TRIAL) {
            // It was well above.
            self.failed = Some((self.rung, (self.calm_needed(self.rung) * 2).min(CALM_MAX)));
            return self.move_to(now, self.rung + 1);
        }
        let farthest = (self.rung + CLIMB_MAX).min(self.rungs.last());
        let aim = CLIMB_SHARE * self.load_max * AIM;
        let goes_below = |rung: &usize| self.predicted(*rung, reading, ENCODE_PART_MIN) < aim;
        let rung = (self.rung + 1..farthest).find(goes_below).unwrap_or(farthest);
        self.move_to(now, rung);
    }

    fn descend(&mut self, now: Instant, reading: &Reading) {
        if self.rung == 0 {
            return;
        }
        let is_calm = self.predicted(self.rung - 1, reading, 1.0) < DESCEND_SHARE * self.load_max;
        if !is_calm || self.late > 0 {
            self.calm_since = None;
            return;
        }
        let since = *self.calm_since.get_or_insert(now);
        if now.saturating_since(since) >= self.calm_needed(self.rung - 1) {
            self.move_to(now, self.rung - 1);
        }
    }

    /// Returns how long the load must be low before a step down to this rung.
    fn calm_needed(&self, rung: usize) -> Duration {
        match self.failed {
            Some((failed, wait)) if rung <= failed => wait,
            _ => CALM_MIN,
        }
    }

    fn move_to(&mut self, now: Instant, rung: usize) {
        let is_packing = self.rungs.effort(rung).packet != self.effort().packet;
        let settles_in = if is_packing { SETTLE_PACKETS } else { SETTLE };
        self.moved = Some(Move { at: now, is_descent: rung < self.rung, settles_in });
        self.rung = rung;
        self.since_move = Smoothed::default();
        self.calm_since = None;
        self.swamped = 0;
    }

    /// Returns the load to be expected on another rung; `encode_part` is the share of the time
    /// for anything but sending that encodes take.
    fn predicted(&self, rung: usize, reading: &Reading, encode_part: f64) -> f64 {
        let load = self.since_move.value();
        let sending = reading.sending.min(load);
        let encoding = (load - sending) * encode_part;
        load + sending * (self.rungs.packet_ratio(self.rung, rung) - 1.0)
            + encoding * (self.rungs.encode_ratio(self.rung, rung) - 1.0)
    }

    fn is_full_now(&self) -> bool {
        if self.load_max >= 1.0 {
            return false;
        }
        let limit = if self.is_full { self.load_max * READMIT_SHARE } else { self.load_max };
        let is_late = self.late >= LATE_FULL && self.load.value() > IDLE_MAX;
        self.load.value() > limit || (is_late && self.rung == self.rungs.last())
    }

    /// Returns whether the last move was one down.
    fn is_descended(&self) -> bool {
        self.moved.is_some_and(|moved| moved.is_descent)
    }

    fn is_within(&self, now: Instant, time: Duration) -> bool {
        self.moved.is_some_and(|moved| now.saturating_since(moved.at) < time)
    }
}

/// A mean that forgets: it rises faster than it falls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Smoothed(Option<f64>);

impl Smoothed {
    pub(super) fn add(&mut self, value: f64) {
        let value = value.clamp(0.0, 1.0);
        let before = self.0.unwrap_or(value);
        let weight = if value > before { RISE } else { FALL };
        self.0 = Some(before + weight * (value - before));
    }

    pub(super) fn value(&self) -> f64 {
        self.0.unwrap_or(0.0)
    }
}

/// Weights of a new reading, four of which come in a second: chosen so that a rise counts in full
/// after about a second, and a single busy quarter of a second moves nothing far.
const RISE: f64 = 0.5;
const FALL: f64 = 0.3;

/// The share of the limit at which the node begins to give up effort. Chosen so that there is time
/// for the first rungs to take effect before newcomers are refused: 70 % busy with the default
/// limit of 85 %.
const CLIMB_SHARE: f64 = 0.82;

/// How far below the climbing share a climb aims, so that it need not go on at once.
const AIM: f64 = 0.9;

/// The share of the limit that the load predicted for the rung below must not reach. Less than
/// `CLIMB_SHARE`, so that a steady load moves one way only: 60 % busy with the default limit.
const DESCEND_SHARE: f64 = 0.7;

/// The share of the limit below which a full shard takes newcomers again. Chosen so that the load's
/// noise, some 3 %, does not let them in one by one for ever.
const READMIT_SHARE: f64 = 0.94;

/// The share of the time for anything but sending that encodes take at least, to predict what a
/// climb saves. Source: a tick with three talkers takes 0.6 ms; its four encodes at complexity 5
/// take 0.46 ms of them, at complexity 0 a third of that.
const ENCODE_PART_MIN: f64 = 0.5;

/// Most rungs taken at once. Chosen so that the way up takes three moves at most.
const CLIMB_MAX: usize = 4;

/// A tick later than this is late: half its interval, as sound that was due then may be missed.
const LATE_MAX: Duration = Duration::from_millis(10);

/// Late readings that count as pressure: one may be a hiccup of the machine.
const LATE_PRESSING: u8 = 2;

/// Late readings in succession, two seconds of them, after which nobody else is let in though the
/// thread seems to have time: then it is another limit, unknown here, that is reached.
const LATE_FULL: u8 = 8;

/// A thread that is busy less than this is idle, whatever else is amiss.
const IDLE_MAX: f64 = 0.3;

/// A reading above this leaves no time to wait for the effect of the last move.
const SWAMPED: f64 = 0.95;
const SWAMPED_PRESSING: u8 = 2;

/// The shortest time between two moves up, two readings.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest time between two moves up while the load is over its limit and newcomers wait.
const PAUSE_OVER: Duration = Duration::from_secs(2);

/// How long a change of complexity takes to show in the load: it applies with the next tick, so
/// four readings.
const SETTLE: Duration = Duration::from_secs(1);

/// The same for the packets' length: listeners change over within 5 s.
const SETTLE_PACKETS: Duration = Duration::from_secs(6);

/// How long the load must be low before a step down: chosen longer than a pause in speech.
const CALM_MIN: Duration = Duration::from_secs(4);

/// The same after steps down that did not last, each of which doubles it. Chosen: once in four
/// minutes a limit that shows only when it is hit may be hit.
const CALM_MAX: Duration = Duration::from_secs(256);

/// A step down that lasted so long was right. Chosen longer than packets take to settle.
const DESCENT_TRIAL: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
