//! How long packets waited to be played.

use std::time::Duration;

/// Waiting times of packets, in bins of 1 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferDelays {
    counts: [u32; BINS],
    total: u64,
}

impl BufferDelays {
    /// Counts one packet's time; longer ones count as `BUFFER_DELAY_MAX`.
    pub fn record(&mut self, delay: Duration) {
        let bin = usize::try_from(delay.as_millis()).unwrap_or(BINS).min(BINS - 1);
        self.counts[bin] = self.counts[bin].saturating_add(1);
        self.total += 1;
    }

    /// Returns the time that this share of packets, 0 to 1, did not exceed, rounded down to 1 ms.
    ///
    /// `None` if none was counted. Source: nearest rank.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut counted = 0;
        let bin = self.counts.iter().position(|count| {
            counted += u64::from(*count);
            counted >= rank
        });
        bin.map(|bin| Duration::from_millis(bin as u64))
    }

    /// Returns how many packets were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*other);
        }
        self.total += other.total;
    }

    /// Returns what was counted after `earlier`, an older state of the same.
    pub fn since(&self, earlier: &Self) -> Self {
        let count = |bin: usize| self.counts[bin].saturating_sub(earlier.counts[bin]);
        let counts = std::array::from_fn(count);
        Self { counts, total: self.total.saturating_sub(earlier.total) }
    }
}

impl Default for BufferDelays {
    fn default() -> Self {
        Self { counts: [0; BINS], total: 0 }
    }
}

/// The longest time that is told apart. Chosen: beyond the longest playout delay, 400 ms.
pub const BUFFER_DELAY_MAX: Duration = Duration::from_millis(500);

const BINS: usize = BUFFER_DELAY_MAX.as_millis() as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn delays(recorded: impl IntoIterator<Item = u64>) -> BufferDelays {
        let mut delays = BufferDelays::default();
        recorded.into_iter().for_each(|one| delays.record(ms(one)));
        delays
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let delays = delays((1..=100).rev());
        for (share, percentile) in [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)] {
            assert_eq!(delays.percentile(share), Some(ms(percentile)), "{share}");
        }
    }

    #[test]
    fn nothing_has_no_percentile_and_long_times_count_as_the_longest() {
        assert_eq!(BufferDelays::default().percentile(0.5), None);
        let delays = delays([500, 501, 60_000]);
        assert_eq!(delays.percentile(0.0), Some(BUFFER_DELAY_MAX));
        assert_eq!(delays.total(), 3);
    }

    #[test]
    fn interval_holds_what_came_in_it() {
        let earlier = delays([10; 100]);
        let later = delays([[10; 100], [90; 100]].concat());
        assert_eq!(later.percentile(0.5), Some(ms(10)));
        let since = later.since(&earlier);
        assert_eq!((since.percentile(0.5), since.total()), (Some(ms(90)), 100));
    }
}
