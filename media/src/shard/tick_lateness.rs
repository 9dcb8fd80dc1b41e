//! How late conferences' deadlines were met.

use std::time::Duration;

/// How late engines' timeouts were called: the time of the call less the deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TickLateness {
    /// The latest call.
    pub max: Duration,
    /// All lateness together.
    pub sum: Duration,
    /// Calls by lateness: `counts[0]` below 1 µs, `counts[k]` from 2^(k-1) to below 2^k µs, the
    /// last also everything above.
    pub counts: [u64; TICK_LATENESS_BUCKETS],
}

impl TickLateness {
    /// Notes one call.
    pub fn record(&mut self, late: Duration) {
        self.max = self.max.max(late);
        self.sum += late;
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let bits = (u64::BITS - micros.leading_zeros()) as usize;
        self.counts[bits.min(TICK_LATENESS_BUCKETS - 1)] += 1;
    }

    /// Adds another shard's calls to these.
    pub fn add(&mut self, other: &Self) {
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        for (count, other) in self.counts.iter_mut().zip(other.counts) {
            *count += other;
        }
    }

    /// Returns the number of calls.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Buckets of the histogram, as many as of the drivers' own: the last begins at 2^22 µs, 4 s.
pub const TICK_LATENESS_BUCKETS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_power_of_two() {
        let mut lateness = TickLateness::default();
        for micros in [0, 1, 2, 3, 4, 1_000, 60_000_000] {
            lateness.record(Duration::from_micros(micros));
        }
        assert_eq!(lateness.counts[..4], [1, 1, 2, 1]);
        assert_eq!((lateness.counts[10], lateness.counts[TICK_LATENESS_BUCKETS - 1]), (1, 1));
        assert_eq!((lateness.max, lateness.total()), (Duration::from_secs(60), 7));
        assert_eq!(lateness.sum, Duration::from_micros(60_001_010));
        let mut both = lateness.clone();
        both.add(&lateness);
        assert_eq!((both.total(), both.max), (14, lateness.max));
    }
}
