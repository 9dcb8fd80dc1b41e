//! The highest load of late, by which newcomers are let in.
//!
//! The same work takes a third more time from one ten seconds to the next where others share the
//! machine, and whoever was let in while it was quick stays. Pure.

use std::collections::VecDeque;

/// A shard's load in its last readings.
#[derive(Clone, Debug, Default)]
pub(super) struct Peak(VecDeque<(f64, usize)>);

impl Peak {
    /// Takes in the smoothed load of one reading, and of how many legs it is.
    pub(super) fn add(&mut self, load: f64, legs: usize) {
        if self.0.len() == READINGS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((load, legs));
    }

    /// Forgets all: the same legs are served with another effort now.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the highest load that so many legs would have been, 0 to 1. Those who left are taken
    /// to have cost as much as the others.
    pub(super) fn load(&self, legs: usize) -> f64 {
        let loads = self.0.iter().map(|&(load, then)| match then > legs {
            true => load * legs as f64 / then as f64,
            false => load,
        });
        loads.fold(0.0, f64::max)
    }
}

/// Readings that count: half a minute of them. Chosen: longer than a machine's slow spells are
/// apart, and not longer than who was refused waits before they try again.
const READINGS_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highest_load_counts_until_it_is_long_past() {
        let mut peak = Peak::default();
        assert!(peak.load(1).abs() < 1e-9);
        peak.add(0.8, 100);
        for _ in 1..READINGS_MAX {
            peak.add(0.6, 100);
            assert!((peak.load(100) - 0.8).abs() < 1e-9);
        }
        peak.add(0.6, 100);
        assert!((peak.load(100) - 0.6).abs() < 1e-9);
        peak.clear();
        assert!(peak.load(100).abs() < 1e-9);
    }

    #[test]
    fn who_leaves_takes_a_share_of_the_load_along_and_who_comes_adds_none_here() {
        let mut peak = Peak::default();
        peak.add(0.8, 100);
        assert!((peak.load(50) - 0.4).abs() < 1e-9);
        assert!((peak.load(200) - 0.8).abs() < 1e-9);
        assert!(peak.load(0).abs() < 1e-9);
    }
}
