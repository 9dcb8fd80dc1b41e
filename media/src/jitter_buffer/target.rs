//! How long a spurt's first packet waits, as late packets teach it.

use std::time::Duration;

use super::JitterSettings;
use crate::time::Instant;

/// A wait that grows at once when packets come late, and sinks slowly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    settings: JitterSettings,
    wait: Duration,
    /// The wait that the present playout delay was chosen by: lateness adds to this, so that many
    /// late packets of one cause make the target grow once.
    base: Duration,
    /// Since when no packet was late, or when the target last sank.
    rested_at: Instant,
}

impl Target {
    pub(super) fn new(settings: JitterSettings) -> Self {
        let wait = settings.target_min;
        Self { settings, wait, base: wait, rested_at: Instant::ZERO }
    }

    /// Tells that the playout delay was chosen anew.
    pub(super) fn begin(&mut self) {
        self.base = self.wait;
    }

    /// Grows by what a packet was late, but no more than `step_max` and a margin.
    pub(super) fn grow(&mut self, now: Instant, late_by: Duration, step_max: Duration) {
        let needed = self.base + late_by.min(step_max) + GROWTH_MARGIN;
        self.wait = self.wait.max(needed.min(self.max()));
        self.rested_at = self.rested_at.max(now);
    }

    /// Sinks by a millisecond for each second without a late packet.
    pub(super) fn relax(&mut self, now: Instant) {
        if self.wait <= self.settings.target_min {
            return;
        }
        let rests = now.saturating_since(self.rested_at).as_secs();
        let steps = u32::try_from(rests).unwrap_or(u32::MAX);
        self.rested_at += Duration::from_secs(rests);
        let wait = self.wait.saturating_sub(RELAX_STEP.saturating_mul(steps));
        self.wait = wait.max(self.settings.target_min);
    }

    /// Returns how long a packet waits at least.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// Returns beyond which the target never grows.
    pub(super) fn max(&self) -> Duration {
        self.settings.target_max.max(self.settings.target_min)
    }
}

/// What a late packet adds to the target beyond its lateness.
const GROWTH_MARGIN: Duration = Duration::from_millis(2);

/// How much the target sinks for each second in which no packet was late.
const RELAX_STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::LevelDbov;

    const MS: Duration = Duration::from_millis(1);

    fn target(min_ms: u32, max_ms: u32) -> Target {
        let (target_min, target_max) = (MS * min_ms, MS * max_ms);
        Target::new(JitterSettings { target_min, target_max, quiet: LevelDbov(65) })
    }

    #[test]
    fn packets_late_for_one_cause_grow_the_target_once() {
        let mut target = target(4, 200);
        for late in [3, 9, 5] {
            target.grow(Instant::from_millis(10), MS * late, MS * 20);
        }
        assert_eq!(target.wait(), MS * 15);
        target.begin();
        target.grow(Instant::from_millis(20), MS * 90, MS * 20);
        assert_eq!(target.wait(), MS * 37, "one packet adds its own duration at most");
    }

    #[test]
    fn target_sinks_a_millisecond_a_second_however_rarely_it_is_asked() {
        let mut target = target(4, 10);
        target.grow(Instant::from_millis(500), MS * 20, MS * 20);
        assert_eq!(target.wait(), MS * 10);
        target.relax(Instant::from_millis(1_499));
        assert_eq!(target.wait(), MS * 10);
        target.relax(Instant::from_millis(1_500));
        assert_eq!(target.wait(), MS * 9);
        target.relax(Instant::from_millis(4_700));
        assert_eq!(target.wait(), MS * 6);
        target.relax(Instant::from_millis(5_500));
        assert_eq!(target.wait(), MS * 5);
        target.relax(Instant::from_millis(900_000));
        assert_eq!(target.wait(), MS * 4);
    }

    #[test]
    fn target_below_one_step_sinks_to_nothing() {
        let mut target = target(0, 200);
        target.grow(Instant::ZERO, Duration::from_micros(500), MS * 20);
        target.relax(Instant::from_millis(10_000));
        assert_eq!(target.wait(), Duration::ZERO);
    }
}
