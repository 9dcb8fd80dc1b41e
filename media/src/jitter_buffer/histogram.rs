//! A histogram that forgets: what was added counts the less, the more came since.

/// Weights by value, from 0 to `BINS` - 1; what is more counts as that.
#[derive(Clone)]
pub(super) struct Histogram {
    weights: [f32; BINS],
    total: f64,
    /// What 1 weighs now; grows, so that what is older weighs less in comparison.
    unit: f64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { weights: [0.0; BINS], total: 0.0, unit: 1.0 }
    }

    /// Adds a value of this weight, from 0 to 1.
    pub(super) fn add(&mut self, value: usize, weight: f64) {
        self.unit *= 1.0 + weight / MEMORY;
        if self.unit > UNIT_MAX {
            self.normalise();
        }
        let weight = self.unit * weight;
        self.weights[value.min(BINS - 1)] += weight as f32;
        self.total += weight;
    }

    /// Returns the highest value that more than this share of all is not below.
    pub(super) fn high(&self, share: f64) -> usize {
        let mut left = (self.total * share) as f32;
        let is_reached = |weight: &f32| {
            left -= weight;
            left < 0.0
        };
        BINS - 1 - self.weights.iter().rev().position(is_reached).unwrap_or(BINS - 1)
    }

    /// Returns how many values of weight 1, as new as the newest, all together weigh.
    pub(super) fn total(&self) -> f64 {
        self.total / self.unit
    }

    /// Makes the newest value weigh 1 again.
    fn normalise(&mut self) {
        let scale = (1.0 / self.unit) as f32;
        self.weights.iter_mut().for_each(|weight| *weight *= scale);
        self.total = self.weights.iter().map(|weight| f64::from(*weight)).sum();
        self.unit = 1.0;
    }
}

/// Values that are told apart.
pub(super) const BINS: usize = 512;

/// After so much weight a value counts for a third (1/e).
const MEMORY: f64 = 250.0;

/// Keeps sums well inside what 32 bits tell apart.
const UNIT_MAX: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_values_are_left_out() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.high(0.01), 0, "nothing yet");
        for value in 0..1_000 {
            histogram.add(if value % 200 == 0 { 90_000 } else { value % 10 }, 1.0);
        }
        assert_eq!((histogram.high(0.01), histogram.high(0.001)), (9, BINS - 1));
        assert_eq!(histogram.high(1.0), 0);
    }

    #[test]
    fn what_is_no_longer_true_is_forgotten() {
        let mut histogram = Histogram::new();
        (0..5_000).for_each(|_| histogram.add(80, 1.0));
        let mut added = 0;
        while histogram.high(0.01) == 80 {
            histogram.add(5, 1.0);
            added += 1;
        }
        let memories = f64::from(added) / MEMORY;
        assert!((4.5..4.7).contains(&memories), "ln(100) of them: {memories}");
    }

    #[test]
    fn weights_stay_exact_for_days() {
        let mut histogram = Histogram::new();
        for value in 0..200_000 {
            histogram.add(value % 2 * 20, 1.0);
        }
        assert_eq!((histogram.high(0.4), histogram.high(0.6)), (20, 0));
    }
}
