//! What the members of one driver's thread share: ledgers of their conferences, and sums.
//!
//! Locked for each packet by the thread's own endpoints, so nobody waits; others look in once a
//! second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sabha_media::time::Instant;
use serde::{Deserialize, Serialize};

use super::forwarded::FIRST_FRAMES;
use super::ledger::{Ledger, LedgerCounts};
use crate::report::Histogram;

/// The shared part of one driver's members. Clones share it.
#[derive(Clone)]
pub struct Hall(Arc<Mutex<HallState>>);

/// What is inside.
#[derive(Default)]
pub struct HallState {
    ledgers: Vec<Ledger>,
    /// How late packets of the steady part were.
    pub lateness: Histogram,
    /// RTP packets received, ever.
    pub packets_in: u64,
    /// Of those, later than `LATE`, ever.
    pub late60: u64,
    /// Frames whose place on the timeline was not known.
    pub unplaced: u64,
    /// What only a bridge has.
    pub forwarded: ForwardedSums,
}

/// What members of bridged conferences received in the steady part, all together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForwardedSums {
    /// Time from sending to receiving in the first third.
    pub early: Histogram,
    /// The same in the last third.
    pub late: Histogram,
    /// Beginnings of talk by the number of their first frames that one member missed.
    pub onsets: [u64; FIRST_FRAMES as usize + 1],
}

impl ForwardedSums {
    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.early.merge(&other.early);
        self.late.merge(&other.late);
        for (count, more) in self.onsets.iter_mut().zip(other.onsets) {
            *count += more;
        }
    }
}

/// Which part of the run it is, by time. Clones share it.
#[derive(Clone)]
pub struct SteadyPart(Arc<Bounds>);

struct Bounds {
    from_nanos: AtomicU64,
    to_nanos: AtomicU64,
}

impl Hall {
    /// Makes a hall for so many conferences.
    pub fn new(conferences: usize) -> Self {
        let ledgers = (0..conferences).map(|_| Ledger::new()).collect();
        Self(Arc::new(Mutex::new(HallState { ledgers, ..HallState::default() })))
    }

    /// Locks it.
    pub fn lock(&self) -> MutexGuard<'_, HallState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HallState {
    /// Returns the ledger of a conference.
    ///
    /// # Panics
    /// If there is no such conference.
    pub fn ledger(&mut self, conference: usize) -> &mut Ledger {
        &mut self.ledgers[conference]
    }

    /// Returns the counts of all ledgers.
    pub fn compared(&self) -> LedgerCounts {
        let mut sum = LedgerCounts { unmatched: self.unplaced, ..LedgerCounts::default() };
        for counts in self.ledgers.iter().map(Ledger::counts) {
            sum.compared += counts.compared;
            sum.mismatches += counts.mismatches;
            sum.unmatched += counts.unmatched;
        }
        sum
    }
}

impl SteadyPart {
    /// Makes one that has not begun.
    pub fn new() -> Self {
        let (from_nanos, to_nanos) = (AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX));
        Self(Arc::new(Bounds { from_nanos, to_nanos }))
    }

    /// Sets when it begins and ends.
    pub fn set(&self, from: Instant, to: Instant) {
        self.0.to_nanos.store(to.as_nanos(), Ordering::Relaxed);
        self.0.from_nanos.store(from.as_nanos(), Ordering::Relaxed);
    }

    /// Says whether `at` lies in it.
    pub fn contains(&self, at: Instant) -> bool {
        let at = at.as_nanos();
        at >= self.0.from_nanos.load(Ordering::Relaxed)
            && at < self.0.to_nanos.load(Ordering::Relaxed)
    }

    /// Returns which third of it `at` lies in; 1 for the middle, and for what is not in it.
    pub fn third(&self, at: Instant) -> u64 {
        let length = self.to().saturating_since(self.from()).as_nanos().max(1);
        match at.saturating_since(self.from()).as_nanos() * 3 / length {
            third @ (0 | 2) if self.contains(at) => third as u64,
            _ => 1,
        }
    }

    /// Returns when it begins; later than any time if that is not known.
    pub fn from(&self) -> Instant {
        Instant::from_nanos(self.0.from_nanos.load(Ordering::Relaxed))
    }

    /// Returns when it ends; later than any time if that is not known.
    pub fn to(&self) -> Instant {
        Instant::from_nanos(self.0.to_nanos.load(Ordering::Relaxed))
    }
}

/// Later than this after its due time a packet is late.
pub const LATE: Duration = Duration::from_millis(60);
