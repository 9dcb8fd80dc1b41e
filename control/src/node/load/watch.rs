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
        if self.ladder.effort() != self.figures.effort {
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
