//! Durations counted by size, cheap enough for every packet and fine enough for percentiles.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Counts of durations from 1 µs to 16 s, in steps of at most 1/16 of the value.
///
/// Allocates once, when made; `record` is a shift and an addition. In JSON a list of
/// `[from_ms, to_ms, count]`, empty steps left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(f64, f64, u64)>", into = "Vec<(f64, f64, u64)>")]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    /// Counts one duration; above 16 s it counts as 16 s.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.counts[place(micros)] += 1;
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// Returns how many durations were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the duration in ms that `share` (0 to 1) of those counted do not pass, at most 1/16
    /// too high; nothing if none were counted.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let wanted = share * self.total() as f64;
        let mut seen = 0;
        self.steps().find_map(|(_, to_ms, count)| {
            seen += count;
            (seen as f64 >= wanted).then_some(to_ms)
        })
    }

    /// Returns the steps that hold something: from and to in ms, and the count.
    pub fn steps(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(at, count)| (from_ms(at), from_ms(at + 1), *count))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS] }
    }
}

impl From<Vec<(f64, f64, u64)>> for Histogram {
    fn from(steps: Vec<(f64, f64, u64)>) -> Self {
        let mut histogram = Self::default();
        for (from_ms, _, count) in steps {
            // `as` saturates: what no histogram of ours wrote lands in the first or last step.
            histogram.counts[place((from_ms * 1_000.0).round() as u64)] += count;
        }
        histogram
    }
}

impl From<Histogram> for Vec<(f64, f64, u64)> {
    fn from(histogram: Histogram) -> Self {
        histogram.steps().collect()
    }
}

/// The step that a number of microseconds falls into: exact below 16, then 16 for each doubling.
fn place(micros: u64) -> usize {
    let doublings = (u64::BITS - micros.leading_zeros()).saturating_sub(SUB_BITS + 1);
    let place = u64::from(doublings) * SUB_STEPS + (micros >> doublings);
    usize::try_from(place).unwrap_or(STEPS).min(STEPS - 1)
}

/// The smallest duration that falls into a step, in ms.
fn from_ms(step: usize) -> f64 {
    let (doublings, sub) = ((step as u64 / SUB_STEPS).saturating_sub(1), step as u64);
    let micros = (sub - doublings * SUB_STEPS) << doublings;
    micros as f64 / 1_000.0
}

/// Steps for each doubling, as a power of two: 16, so that a percentile is within 6 %.
const SUB_BITS: u32 = 4;
const SUB_STEPS: u64 = 1 << SUB_BITS;

/// Up to 2^24 µs, about 16 s: longer than any packet that is still of use.
const STEPS: usize = 21 * SUB_STEPS as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_step() {
        for micros in (0..2_000).chain([4_095, 4_096, 20_000, 60_001, 999_999, 15_999_999]) {
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            let (from_ms, to_ms, count) = histogram.steps().next().unwrap();
            let ms = micros as f64 / 1_000.0;
            assert!(from_ms <= ms && ms < to_ms && count == 1, "{micros}: {from_ms} to {to_ms}");
            assert!(to_ms - from_ms <= (ms / 16.0).max(0.001) + 1e-9, "{micros}: too wide");
        }
    }

    #[test]
    fn durations_past_the_end_are_counted_at_the_end() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert_eq!((histogram.total(), histogram.steps().count()), (1, 1));
    }

    #[test]
    fn quantiles_are_close_and_merging_adds() {
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        assert_eq!(low.quantile_ms(0.5), None);
        (0..99).for_each(|_| low.record(Duration::from_millis(10)));
        high.record(Duration::from_millis(200));
        low.merge(&high);
        let near = |share, ms: f64| (low.quantile_ms(share).unwrap() / ms - 1.0).abs() < 0.07;
        assert!(near(0.5, 10.0) && near(0.99, 10.0) && near(1.0, 200.0));
    }

    #[test]
    fn json_keeps_every_count() {
        let mut histogram = Histogram::default();
        (0..3_000).for_each(|at| histogram.record(Duration::from_micros(at * 37)));
        let json = serde_json::to_string(&histogram).unwrap();
        assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), histogram);
    }
}
