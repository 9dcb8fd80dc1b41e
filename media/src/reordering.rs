//! Tells what is lost from what only comes in another order.

use std::time::Duration;

/// The last packets of a stream, by index; gives each out once its order is known.
///
/// Whoever looks for gaps in what it gives out finds losses, and hardly a packet that was overtaken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reordering {
    newest_index: u64,
    /// Which of the last packets have come and were not given out: bit n for the one n before the
    /// newest.
    waiting: u64,
}

impl Reordering {
    /// Takes note that a packet has come; gives the indexes, in order, of those that no other is
    /// expected before any more, where packets overtake each other within `disorder`.
    /// One that comes even later is given at once.
    pub fn push(&mut self, index: u64, disorder: Duration) -> impl Iterator<Item = u64> + use<> {
        let depth = disorder.as_millis() / FRAME.as_millis();
        let depth = u32::try_from(depth).unwrap_or(DEPTH_MAX).clamp(DEPTH_MIN, DEPTH_MAX);
        let advance = index.saturating_sub(self.newest_index).min(u64::from(u64::BITS));
        // What the window leaves behind was given out before, or is as old as nobody waits for.
        self.waiting = self.waiting.checked_shl(advance as u32).unwrap_or(0);
        self.newest_index = self.newest_index.max(index);
        let age = self.newest_index - index;
        if age < u64::from(u64::BITS) {
            self.waiting |= 1 << age;
        }
        let settled = self.waiting & (u64::MAX << depth);
        self.waiting &= !settled;
        let newest_index = self.newest_index;
        let ages = (u64::from(depth)..u64::from(u64::BITS)).rev();
        ages.filter(move |age| settled >> age & 1 == 1).map(move |age| newest_index - age)
    }
}

/// The shortest packet that there commonly is.
const FRAME: Duration = Duration::from_millis(20);

/// How many packets one may come behind in any case, for at first nothing is known of delays.
/// Chosen: a loss is known after 100 ms.
const DEPTH_MIN: u32 = 4;

/// More packets than a stream's order is ever waited for: 640 ms of 20 ms packets.
const DEPTH_MAX: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn given(spread: Duration, indexes: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut reordering = Reordering::default();
        indexes.into_iter().flat_map(|index| reordering.push(index, spread)).collect()
    }

    #[test]
    fn packets_come_out_in_order_when_no_more_are_expected_before_them() {
        assert_eq!(given(Duration::ZERO, [5, 7, 9, 6, 10, 8, 11, 12, 13]), [5, 6, 7, 8, 9]);
        assert_eq!(given(Duration::from_millis(120), [5, 7, 9, 6, 10, 8, 11, 12, 13]), [5, 6, 7]);
    }

    #[test]
    fn what_is_lost_leaves_a_gap() {
        assert_eq!(given(Duration::ZERO, [5, 6, 8, 9, 10, 11, 12, 13]), [5, 6, 8, 9]);
        assert_eq!(given(Duration::ZERO, [5, 7, 8, 9, 10, 11, 6, 12]), [5, 7, 6, 8], "too late");
    }

    #[test]
    fn jump_gives_out_nothing_twice() {
        let jumping = [5, 6, 1_000, 1_001].into_iter().chain(1_002..1_007).chain([u64::MAX]);
        let given = given(Duration::ZERO, jumping);
        assert!(given.is_sorted_by(|one, next| one < next), "{given:?}");
        assert!(given.contains(&1_002), "{given:?}");
    }
}
