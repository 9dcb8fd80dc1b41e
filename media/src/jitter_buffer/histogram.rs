//! A histogram that forgets: what was added counts the less, the more came since.

/// Weights by bin, for `BINS` bins in a row out of all.
#[derive(Clone)]
pub(super) struct Histogram {
    /// That of bin `b` is at `b` modulo `BINS`.
    weights: [f32; BINS],
    /// The lowest bin that has a place.
    lowest: i64,
    total: f64,
    /// What 1 weighs now; grows, so that what is older weighs less in comparison.
    unit: f64,
    /// Values in a row that lay above all places.
    above: u32,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { weights: [0.0; BINS], lowest: 0, total: 0.0, unit: 1.0, above: 0 }
    }

    /// Adds a value of this weight, from 0 to 1. Places follow the lowest values at once; a value
    /// above all places counts as the highest, until there were many in a row.
    pub(super) fn add(&mut self, bin: i64, weight: f64) {
        self.above = if bin >= self.end() { self.above + 1 } else { 0 };
        if self.total == 0.0 || self.above > ABOVE_MAX {
            *self = Self { lowest: bin.saturating_sub(ROOM_BELOW), ..Self::new() };
        } else if bin < self.lowest {
            self.move_down(bin.saturating_sub(ROOM_BELOW));
        }
        self.unit *= 1.0 + weight / MEMORY;
        if self.unit > UNIT_MAX {
            self.normalise();
        }
        let weight = self.unit * weight;
        self.weights[place(bin.min(self.end() - 1))] += weight as f32;
        self.total += weight;
    }

    /// Returns the highest bin that more than this share of all lies in or above.
    pub(super) fn high(&self, share: f64) -> i64 {
        self.first_with((self.lowest..self.end()).rev(), share)
    }

    /// Returns the lowest bin that more than this share of all lies in or below.
    pub(super) fn low(&self, share: f64) -> i64 {
        self.first_with(self.lowest..self.end(), share)
    }

    fn end(&self) -> i64 {
        self.lowest.saturating_add(BINS as i64)
    }

    fn move_down(&mut self, lowest: i64) {
        if self.lowest.saturating_sub(lowest) >= BINS as i64 {
            *self = Self { lowest, ..Self::new() };
            return;
        }
        for bin in lowest..self.lowest {
            self.weights[place(bin)] = 0.0;
        }
        self.lowest = lowest;
        self.normalise();
    }

    /// Makes the newest value weigh 1 again.
    fn normalise(&mut self) {
        let scale = (1.0 / self.unit) as f32;
        self.weights.iter_mut().for_each(|weight| *weight *= scale);
        self.total = self.weights.iter().map(|weight| f64::from(*weight)).sum();
        self.unit = 1.0;
    }

    fn first_with(&self, bins: impl Iterator<Item = i64>, share: f64) -> i64 {
        let mut left = (self.total * share) as f32;
        let mut last = self.lowest;
        for bin in bins {
            last = bin;
            left -= self.weights[place(bin)];
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

fn place(bin: i64) -> usize {
    bin.rem_euclid(BINS as i64) as usize
}

/// Bins that have a place.
pub(super) const BINS: usize = 512;

/// Places that are left free below the lowest value.
const ROOM_BELOW: i64 = 64;

/// After so much weight a value counts for a third (1/e).
const MEMORY: f64 = 250.0;

/// Keeps sums well inside what 32 bits tell apart.
const UNIT_MAX: f64 = 1e6;

/// So many values above all places, and it is the others that are no longer true.
const ABOVE_MAX: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_values_are_left_out_on_either_side() {
        let mut histogram = Histogram::new();
        for value in 0..1_000_i64 {
            histogram.add(if value % 200 == 0 { 90 } else { value % 10 }, 1.0);
        }
        assert_eq!((histogram.low(0.01), histogram.high(0.01)), (0, 9));
        assert_eq!(histogram.high(0.001), 90);
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
    fn places_follow_the_values_wherever_they_go() {
        let mut histogram = Histogram::new();
        histogram.add(1_000, 1.0);
        (0..9).for_each(|_| histogram.add(900, 1.0));
        assert_eq!((histogram.low(0.01), histogram.high(0.01)), (900, 1_000));
        histogram.add(-5_000, 1.0);
        assert_eq!((histogram.low(0.01), histogram.high(0.01)), (-5_000, -5_000));
        (0..=ABOVE_MAX).for_each(|_| histogram.add(5_000, 1.0));
        assert_eq!((histogram.low(0.01), histogram.high(0.01)), (5_000, 5_000));
        histogram.add(i64::MIN, 1.0);
        histogram.add(i64::MAX, 0.0);
    }

    #[test]
    fn weights_stay_exact_for_days() {
        let mut histogram = Histogram::new();
        for value in 0..200_000_i64 {
            histogram.add(value % 2 * 20, 1.0);
        }
        assert_eq!((histogram.low(0.4), histogram.high(0.4)), (0, 20));
        assert_eq!((histogram.low(0.6), histogram.high(0.6)), (20, 0));
    }
}
