//! The extreme of a stream's recent packets.

/// The smallest of the last one to two windows of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecentMin {
    /// The smallest of this window and of the one before; `NONE` if there is none.
    current: i64,
    previous: i64,
    /// How many values this window still takes.
    left: u32,
    window: u32,
}

impl RecentMin {
    /// Makes one with windows of so many values.
    pub(super) fn new(window: u32) -> Self {
        Self { current: NONE, previous: NONE, left: window, window }
    }

    /// Takes in a value.
    pub(super) fn push(&mut self, value: i64) {
        self.current = self.current.min(value);
        self.left -= 1;
        if self.left == 0 {
            self.previous = std::mem::replace(&mut self.current, NONE);
            self.left = self.window;
        }
    }

    /// Changes all values by as much.
    pub(super) fn shift(&mut self, by: i64) {
        for value in [&mut self.current, &mut self.previous] {
            if *value != NONE {
                *value = value.saturating_add(by);
            }
        }
    }

    /// Returns the smallest; `None` before the first.
    pub(super) fn min(&self) -> Option<i64> {
        let min = self.current.min(self.previous);
        (min != NONE).then_some(min)
    }

    /// Returns whether there was a whole window.
    pub(super) fn is_settled(&self) -> bool {
        self.previous != NONE
    }
}

/// Stands for no value.
const NONE: i64 = i64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_is_forgotten_after_two_windows() {
        let mut recent = RecentMin::new(25);
        recent.push(3);
        assert!(!recent.is_settled());
        for _ in 0..2 * 25 - 2 {
            recent.push(9);
            assert_eq!(recent.min(), Some(3));
        }
        recent.push(9);
        assert_eq!(recent.min(), Some(9));
        recent.shift(-10);
        assert_eq!((recent.min(), recent.is_settled()), (Some(-1), true));
    }
}
