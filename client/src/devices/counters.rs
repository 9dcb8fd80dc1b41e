//! What went wrong between a device and the media thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that both threads share.
#[derive(Debug, Default)]
pub struct DeviceCounters {
    pub(super) underruns: AtomicU64,
    pub(super) overruns: AtomicU64,
    pub(super) errors: AtomicU64,
}

/// Their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceFigures {
    /// How often there was nothing where sound was wanted, and silence was put there.
    pub underruns: u64,
    /// How often there was no room for sound, and some was dropped.
    pub overruns: u64,
    /// What the device itself reported.
    pub errors: u64,
}

impl DeviceCounters {
    /// Reads them.
    pub fn figures(&self) -> DeviceFigures {
        DeviceFigures {
            underruns: self.underruns.load(Relaxed),
            overruns: self.overruns.load(Relaxed),
            errors: self.errors.load(Relaxed),
        }
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}
