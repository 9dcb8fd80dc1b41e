//! The extreme of a stream's recent packets.

/// The smallest of the last one to two windows of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecentMin {
    current: Option<i64>,
    previous: Option<i64>,
    count: u32,
    window: u32,
}

impl RecentMin {
    /// Makes one with windows of so many values.
    pub(super) fn new(window: u32) -> Self {
        Self { current: None, previous: None, count: 0, window }
    }

    /// Takes in a value.
    pub(super) fn push(&mut self, value: i64) {
        self.current = Some(self.current.map_or(value, |current| current.min(value)));
        self.count += 1;
        if self.count == self.window {
            self.previous = self.current.take();
            self.count = 0;
        }
    }

    /// Changes all values by as much.
    pub(super) fn shift(&mut self, by: i64) {
        self.current = self.current.map(|value| value.saturating_add(by));
        self.previous = self.previous.map(|value| value.saturating_add(by));
    }

    /// Returns the smallest; `None` before the first.
    pub(super) fn min(&self) -> Option<i64> {
        match (self.current, self.previous) {
            (Some(current), Some(previous)) => Some(current.min(previous)),
            (one, other) => one.or(other),
        }
    }

    /// Returns whether there was a whole window.
    pub(super) fn is_settled(&self) -> bool {
        self.previous.is_some()
    }
}

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
