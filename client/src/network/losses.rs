//! Which packets are lost: independently, or in runs.

use crate::random::Random;

/// Chooses the packets that one direction of a network loses.
///
/// Source: E. N. Gilbert, "Capacity of a burst-noise channel", 1960: a good state that loses
/// nothing and a bad one that loses all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Losses {
    share: f64,
    burst: f64,
    is_bad: bool,
}

impl Losses {
    /// Loses this share, 0 to 1, in runs of this mean length; up to 1 is independent losses.
    pub fn new(share: f64, burst: f64) -> Self {
        Self { share, burst, is_bad: false }
    }

    /// Changes share and burst; a run that has begun ends by the new ones.
    pub fn set(&mut self, share: f64, burst: f64) {
        *self = Self { share, burst, ..*self };
    }

    /// Tells whether the next packet is lost. Draws nothing where nothing or all is lost.
    pub fn is_lost(&mut self, random: &mut Random) -> bool {
        if self.share <= 0.0 || self.share >= 1.0 {
            return self.share >= 1.0;
        }
        if self.burst <= 1.0 {
            return random.unit() < self.share;
        }
        let ends = 1.0 / self.burst;
        let begins = ends * self.share / (1.0 - self.share);
        self.is_bad = random.unit() < if self.is_bad { 1.0 - ends } else { begins };
        self.is_bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the share lost and the mean run.
    fn measure(share: f64, burst: f64) -> (f64, f64) {
        let (mut losses, mut random) = (Losses::new(share, burst), Random::new(3, 0));
        let lost: Vec<_> = (0..200_000).map(|_| losses.is_lost(&mut random)).collect();
        let count = lost.iter().filter(|lost| **lost).count() as f64;
        let runs = lost.windows(2).filter(|pair| pair[1] && !pair[0]).count() as f64;
        (count / lost.len() as f64, count / runs.max(1.0))
    }

    #[test]
    fn share_and_run_are_as_asked_for() {
        for (share, burst, run) in
            [(0.1, 0.0, 1.0 / 0.9), (0.1, 1.0, 1.0 / 0.9), (0.1, 3.0, 3.0), (0.5, 10.0, 10.0)]
        {
            let (share_seen, run_seen) = measure(share, burst);
            assert!((share_seen / share - 1.0).abs() < 0.05, "{share} in {burst}: {share_seen}");
            assert!((run_seen / run - 1.0).abs() < 0.05, "{share} in {burst}: {run_seen}");
        }
    }

    #[test]
    fn nothing_and_all_are_certain() {
        assert_eq!(measure(0.0, 5.0).0, 0.0);
        assert_eq!(measure(1.0, 5.0).0, 1.0);
    }
}
