//! Decides when bridges gather packets to one member into one message.
//!
//! Pure. Gathering delays by up to 10 ms and saves about half of the sending, so it begins where
//! load does and ends well below what it left of it.

use std::time::Duration;

use sabha_bridge::GATHER_MAX;

/// Whether a shard's bridges gather.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gathering {
    is_on: bool,
}

impl Gathering {
    /// Takes in the smoothed share of its time that the thread is busy; returns how long a packet
    /// may wait for others.
    pub fn handle_load(&mut self, load: f64) -> Duration {
        self.is_on = load >= if self.is_on { OFF_BELOW } else { ON_FROM };
        if self.is_on { GATHER_MAX } else { Duration::ZERO }
    }
}

/// Chosen: the delay of a node that has three quarters of its time left is not worth saving on.
const ON_FROM: f64 = 0.25;

/// A message of three packets costs less than half of three messages, so that what gathering leaves
/// of `ON_FROM` is still above this.
const OFF_BELOW: f64 = 0.08;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathering_begins_with_load_and_does_not_end_by_what_it_saves() {
        let mut gathering = Gathering::default();
        let mut after = |load| gathering.handle_load(load);
        assert_eq!(after(0.24), Duration::ZERO);
        assert_eq!(after(0.25), GATHER_MAX);
        assert_eq!(after(0.10), GATHER_MAX);
        assert_eq!(after(0.07), Duration::ZERO);
        assert_eq!(after(0.10), Duration::ZERO);
    }
}
