//! How long a stream's recent packets are.

use std::time::Duration;

/// The longest of the last one to two windows of packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Longest {
    current: Duration,
    previous: Duration,
    count: u32,
}

impl Longest {
    /// Takes in how long a packet is.
    pub(super) fn push(&mut self, length: Duration) {
        self.current = self.current.max(length);
        self.count += 1;
        if self.count == WINDOW {
            self.previous = std::mem::take(&mut self.current);
            self.count = 0;
        }
    }

    /// Returns whether there was one packet so far.
    pub(super) fn is_first(&self) -> bool {
        self.previous.is_zero() && self.count == 1
    }

    /// Returns the longest; zero before the first.
    pub(super) fn max(&self) -> Duration {
        self.current.max(self.previous)
    }
}

/// Packets of a window: half a second of 20 ms packets.
const WINDOW: u32 = 25;
