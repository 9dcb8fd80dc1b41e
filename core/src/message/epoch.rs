//! Which owner's reign a conference is in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A conference's epoch, ordered by counter, then rank.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch {
    /// Grows by one with each take-over.
    pub counter: u64,
    /// The owner's place in the succession that the take-over came from; 0 is the first owner.
    pub rank: u16,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.counter, self.rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_outweighs_rank() {
        let epoch = |counter, rank| Epoch { counter, rank };
        assert!(epoch(2, 0) > epoch(1, 9));
        assert!(epoch(2, 1) > epoch(2, 0));
    }
}
