//! What a shard's thread and the node's tasks tell each other about load, without locks.
//!
//! The thread writes its figures a few times a second; tasks read them at any time. Each value
//! stands alone: readers may see some of one reading and some of the next.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use sabha_media::shard::{BitrateOrder, UplinkOrder};
use sabha_mixer::Effort;

/// One shard's load at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadFigures {
    /// The smoothed share of its time that the thread is busy, 0 to 1.
    pub busy_share: f64,
    /// The highest of late, as much of it as is due to legs that are still there.
    pub peak_share: f64,
    /// The smoothed share that it uses itself, of a core or of the process' quota, whatever is more:
    /// less than `busy_share` while it waits for a core that others use.
    pub used_share: f64,
    /// How far the node has gone in giving up effort; 0 is all effort.
    pub step: u8,
    /// The highest step, at which newcomers are refused.
    pub step_max: u8,
    /// Whether newcomers are refused.
    pub is_full: bool,
    /// What mixes may spend.
    pub effort: Effort,
    /// What members are told to send.
    pub uplink: UplinkOrder,
    /// The most that they are told to send with.
    pub bitrate: BitrateOrder,
    /// How long bridges gather packets to one member.
    pub gather: Duration,
    /// CPU time of the thread so far.
    pub cpu: Duration,
}

/// Where a shard's thread and the node's tasks tell each other about load.
#[derive(Debug, Default)]
pub(crate) struct LoadBoard {
    /// Shares in millionths.
    busy: AtomicU32,
    peak: AtomicU32,
    used: AtomicU32,
    quota: AtomicU32,
    is_full: AtomicBool,
    /// Whether there is no effort left to give up.
    is_at_end: AtomicBool,
    step: AtomicU8,
    legs: AtomicU32,
    cpu_nanos: AtomicU64,
    /// Newcomers let in since the beginning, and how many of them the load shows by now.
    admitted: AtomicU64,
    settled: AtomicU64,
}

impl LoadBoard {
    /// Writes the thread's figures, and that `settled` newcomers are part of the load by now.
    pub(crate) fn publish(&self, figures: &LoadFigures, legs: usize, settled: u64) {
        self.busy.store(millionths(figures.busy_share), Ordering::Relaxed);
        self.peak.store(millionths(figures.peak_share), Ordering::Relaxed);
        self.used.store(millionths(figures.used_share), Ordering::Relaxed);
        self.is_full.store(figures.is_full, Ordering::Relaxed);
        let is_at_end = figures.step + 1 >= figures.step_max;
        self.is_at_end.store(is_at_end, Ordering::Relaxed);
        self.step.store(figures.step, Ordering::Relaxed);
        self.legs.store(u32::try_from(legs).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.cpu_nanos.store(figures.cpu.as_nanos() as u64, Ordering::Relaxed);
        self.settled.store(settled, Ordering::Relaxed);
    }

    /// Counts a newcomer who is let in.
    pub(crate) fn admit(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the thread what share of the process' CPU quota all media threads use.
    pub(crate) fn set_quota_share(&self, share: f64) {
        self.quota.store(millionths(share), Ordering::Relaxed);
    }

    pub(crate) fn quota_share(&self) -> f64 {
        f64::from(self.quota.load(Ordering::Relaxed)) / MILLION
    }

    pub(crate) fn busy_share(&self) -> f64 {
        f64::from(self.busy.load(Ordering::Relaxed)) / MILLION
    }

    pub(crate) fn peak_share(&self) -> f64 {
        f64::from(self.peak.load(Ordering::Relaxed)) / MILLION
    }

    pub(crate) fn used_share(&self) -> f64 {
        f64::from(self.used.load(Ordering::Relaxed)) / MILLION
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.is_at_end.load(Ordering::Relaxed)
    }

    pub(crate) fn step(&self) -> u8 {
        self.step.load(Ordering::Relaxed)
    }

    pub(crate) fn legs(&self) -> u32 {
        self.legs.load(Ordering::Relaxed)
    }

    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed))
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Returns how many newcomers were let in whom the load does not show yet.
    pub(crate) fn unsettled(&self) -> u64 {
        self.admitted().saturating_sub(self.settled.load(Ordering::Relaxed))
    }
}

fn millionths(share: f64) -> u32 {
    (share.max(0.0) * MILLION) as u32
}

const MILLION: f64 = 1_000_000.0;
