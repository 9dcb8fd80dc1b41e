//! A histogram that forgets: what was added counts the less, the more came since.

/// Weights by value, from 0 to `BINS` - 1; what is more counts as that.
#[derive(Clone)]
pub(super) struct Histogram {
    weights: [f32; BINS],
    total: f64,
    /// What 1 weighs now; grows, so that what is older weighs less in comparison.
    unit: f64,
    /// Of all weight, this share is high.
    share: f64,
    high: usize,
    /// What all values above `high` weigh.
    above: f64,
}

impl Histogram {
    /// Makes an empty one that knows the highest value that more than `share` of all is not below.
    pub(super) fn new(share: f64) -> Self {
        Self { weights: [0.0; BINS], total: 0.0, unit: 1.0, share, high: 0, above: 0.0 }
    }

    /// Adds a value of this weight, from 0 to 1.
    pub(super) fn add(&mut self, value: usize, weight: f64) {
        self.unit += self.unit * weight * (1.0 / MEMORY);
        if self.unit > UNIT_MAX {
            self.normalise();
        }
        let (value, weight) = (value.min(BINS - 1), (self.unit * weight) as f32);
        self.weights[value] += weight;
        self.total += f64::from(weight);
        if value > self.high {
            self.above += f64::from(weight);
        }
        self.find_high();
    }

    /// Returns the highest value that more than the share of all is not below.
    pub(super) fn high(&self) -> usize {
        self.high
    }

    /// Moves `high` to where it belongs: one value changed, so that is near.
    fn find_high(&mut self) {
        let left = self.total * self.share;
        while self.above > left && self.high < BINS - 1 {
            self.high += 1;
            self.above -= f64::from(self.weights[self.high]);
        }
        while self.high > 0 && self.above + f64::from(self.weights[self.high]) <= left {
            self.above += f64::from(self.weights[self.high]);
            self.high -= 1;
        }
    }

    /// Returns how many values of weight 1, as new as the newest, all together weigh.
    pub(super) fn total(&self) -> f64 {
        self.total / self.unit
    }

    /// Makes the newest value weigh 1 again.
    fn normalise(&mut self) {
        let scale = (1.0 / self.unit) as f32;
        self.weights.iter_mut().for_each(|weight| *weight *= scale);
        let sum = |weights: &[f32]| weights.iter().map(|weight| f64::from(*weight)).sum();
        self.total = sum(&self.weights);
        self.above = sum(&self.weights[self.high + 1..]);
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

    /// Looks at all values.
    fn high_of(histogram: &Histogram) -> usize {
        let mut left = histogram.total * histogram.share;
        let is_reached = |weight: &f32| {
            left -= f64::from(*weight);
            left < 0.0
        };
        let from_above = histogram.weights.iter().rev().position(is_reached);
        from_above.map_or(0, |place| BINS - 1 - place)
    }

    #[test]
    fn rare_values_are_left_out() {
        let high = |share| {
            let mut histogram = Histogram::new(share);
            assert_eq!(histogram.high(), 0, "nothing yet");
            for value in 0..1_000 {
                histogram.add(if value % 200 == 0 { 90_000 } else { value % 10 }, 1.0);
            }
            histogram.high()
        };
        assert_eq!([0.01, 0.001, 1.0].map(high), [9, BINS - 1, 0]);
    }

    #[test]
    fn high_is_what_a_look_at_all_values_finds() {
        for share in [0.0, 0.0075, 0.3] {
            let mut histogram = Histogram::new(share);
            let mut random = 1_u64;
            for count in 0..20_000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (low, high) = ((random >> 40) as usize, (random >> 52) as usize);
                // Now and then all becomes different.
                let value = if count / 3_000 % 2 == 0 { low % 40 } else { low % 300 };
                histogram.add(value, [1.0, 0.01, 0.5][high % 3]);
                // One of equal weights may be on either side, by rounding.
                let found = high_of(&histogram);
                assert!(histogram.high() == found, "{count}: {} {found}", histogram.high());
            }
        }
    }

    #[test]
    fn what_is_no_longer_true_is_forgotten() {
        let mut histogram = Histogram::new(0.01);
        (0..5_000).for_each(|_| histogram.add(80, 1.0));
        let mut added = 0;
        while histogram.high() == 80 {
            histogram.add(5, 1.0);
            added += 1;
        }
        let memories = f64::from(added) / MEMORY;
        assert!((4.5..4.7).contains(&memories), "ln(100) of them: {memories}");
    }

    #[test]
    fn weights_stay_exact_for_days() {
        let high = |share| {
            let mut histogram = Histogram::new(share);
            for value in 0..200_000 {
                histogram.add(value % 2 * 20, 1.0);
            }
            histogram.high()
        };
        assert_eq!([0.4, 0.6].map(high), [20, 0]);
    }
}
