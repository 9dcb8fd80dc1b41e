//! A shard's own watch over its load: what the thread itself does four times a second.

use std::sync::Arc;

use sabha_media::time::Instant;
use sabha_mixer::Effort;
use sabha_transport::Load;

use super::board::{LoadBoard, LoadFigures};
use super::ladder::Smoothed;
use super::peak::Peak;
use super::quota::thread_cpu;
use super::{BitrateLimit, Gathering, Ladder, LadderSettings, Reading, Uplink, UplinkReading};

/// Keeps one shard within its limits.
pub(crate) struct LoadWatch {
    ladder: Ladder,
    uplink: Uplink,
    gathering: Gathering,
    bitrate: BitrateLimit,
    board: Arc<LoadBoard>,
    load_max: f64,
    figures: LoadFigures,
    peak: Peak,
    /// What the thread uses itself.
    used: Smoothed,
    /// Newcomers let in by the time of each of the last readings.
    admitted: [u64; SETTLING_READINGS],
}

impl LoadWatch {
    /// Begins without load; writes to `board`.
    pub(crate) fn new(settings: &LadderSettings, board: Arc<LoadBoard>) -> Self {
        let ladder = Ladder::new(settings);
        let figures = LoadFigures {
            step_max: ladder.step_max(),
            effort: ladder.effort(),
            ..LoadFigures::default()
        };
        Self {
            ladder,
            uplink: Uplink::new(),
            gathering: Gathering::default(),
            bitrate: BitrateLimit::default(),
            board,
            load_max: settings.load_max,
            figures,
            peak: Peak::default(),
            used: Smoothed::default(),
            admitted: [0; SETTLING_READINGS],
        }
    }

    /// Takes a reading; returns the figures, with what mixes may spend and what members are to send
    /// from now on.
    pub(crate) fn handle_load(&mut self, now: Instant, load: &Load, legs: usize) -> LoadFigures {
        let reading = Reading::new(load, self.board.quota_share());
        self.ladder.handle_reading(now, &reading);
        if !self.ladder.is_settled(now) {
            self.peak.clear();
        }
        self.peak.add(self.ladder.load(), legs);
        let is_at_end = self.ladder.is_at_end();
        let has_room = self.ladder.load() < ROOM_SHARE * self.load_max;
        let receiving = reading.receiving;
        let cpu = thread_cpu();
        let used = cpu.saturating_sub(self.figures.cpu).as_secs_f64();
        let share = used / load.interval.as_secs_f64().max(f64::MIN_POSITIVE);
        self.used.add(share.max(self.board.quota_share()));
        let reading = UplinkReading { legs, is_at_end, receiving, has_room };
        self.figures = LoadFigures {
            busy_share: self.ladder.load(),
            peak_share: self.peak.load(legs),
            used_share: self.used.value(),
            step: self.ladder.step(),
            step_max: self.ladder.step_max(),
            is_full: self.ladder.is_full(),
            effort: self.ladder.effort(),
            uplink: self.uplink.handle_reading(now, &reading),
            bitrate: self.bitrate.handle_reading(now, is_at_end, has_room),
            gather: self.gathering.handle_load(self.ladder.load()),
            cpu,
        };
        self.admitted.rotate_right(1);
        let settled = std::mem::replace(&mut self.admitted[0], self.board.admitted());
        self.board.publish(&self.figures, legs, settled);
        self.figures
    }

    /// Returns what mixes may spend.
    pub(crate) fn effort(&self) -> Effort {
        self.ladder.effort()
    }

    /// Returns the figures of the last reading.
    pub(crate) fn figures(&self) -> LoadFigures {
        self.figures
    }
}

/// Readings after which the load shows a newcomer: joining, first packets, smoothing. Chosen: a
/// second.
const SETTLING_READINGS: usize = 4;

/// The share of the limit below which members may send more again.
const ROOM_SHARE: f64 = 0.7;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sabha_mixer::{ListenerPacket, ListenerPacketSetting};

    use super::super::RungSettings;
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(250);

    struct Rig {
        watch: LoadWatch,
        now: Instant,
    }

    impl Rig {
        fn new(complexity_min: u8, packet: ListenerPacketSetting) -> Self {
            let rungs = RungSettings { complexity_max: 9, complexity_min, packet };
            let settings = LadderSettings { rungs, load_max: 0.85 };
            let watch = LoadWatch::new(&settings, Arc::default());
            Self { watch, now: Instant::from_millis(1_000) }
        }

        /// Takes readings of so many seconds with the thread so busy.
        fn is_busy(&mut self, share: f64, seconds: u32) -> LoadFigures {
            let busy = INTERVAL.mul_f64(share);
            let load = Load { interval: INTERVAL, busy, ..Load::default() };
            for _ in 0..4 * seconds {
                self.now += INTERVAL;
                self.watch.handle_load(self.now, &load, 100);
            }
            self.watch.figures()
        }
    }

    #[test]
    fn busy_spell_is_remembered_where_nothing_was_given_up_since() {
        let mut rig = Rig::new(9, ListenerPacketSetting::Fixed(ListenerPacket::Ms20));
        rig.is_busy(0.9, 2);
        let after = rig.is_busy(0.3, 10);
        assert!(after.busy_share < 0.4 && after.peak_share > 0.85, "{after:?}");
        let later = rig.is_busy(0.3, 25);
        assert!(later.peak_share < 0.4, "{later:?}");
    }

    #[test]
    fn busy_spell_before_effort_was_given_up_is_not_held_against_newcomers() {
        let mut rig = Rig::new(0, ListenerPacketSetting::Auto);
        let before = rig.is_busy(0.9, 2);
        assert!(before.step > 0 && before.peak_share > 0.85, "{before:?}");
        let after = rig.is_busy(0.3, 8);
        assert!(after.peak_share < 0.4, "{after:?}");
    }
}
