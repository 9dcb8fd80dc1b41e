//! How many messages to ask the kernel for in one receive.
//!
//! A call that asks for more than there is costs the kernel a futile attempt, a seventh of what a
//! single message costs; one that asks for too little must be made again, after another wait. Which
//! of the two a thread's sockets are like is learned from every few calls that ask for a full batch.

use crate::raw::receive::MESSAGES_MAX;

/// What a thread has learned about its sockets.
#[derive(Debug)]
pub(crate) struct Appetite {
    /// Messages found by calls that asked for a full batch: moving average, in 1/256.
    found: u32,
    /// Calls since the last one that asked for a full batch.
    calls: u32,
}

impl Appetite {
    /// Begins without an opinion, asking for full batches.
    pub(crate) fn new() -> Self {
        Self { found: PLENTY, calls: 0 }
    }

    /// Returns how many messages to ask for next: one, or a full batch.
    pub(crate) fn next(&mut self) -> usize {
        self.calls += 1;
        if self.found >= PLENTY || self.calls >= SAMPLE_EVERY {
            self.calls = 0;
            return MESSAGES_MAX;
        }
        1
    }

    /// Learns from a call that asked for `asked` messages and brought `count`.
    pub(crate) fn record(&mut self, asked: usize, count: usize) {
        if asked == MESSAGES_MAX {
            let count = u32::try_from(count).expect("at most MESSAGES_MAX") * 256;
            self.found = (self.found * 3 + count) / 4;
        }
    }
}

/// From this average on a full batch is asked for, in 1/256 messages: 1.5, where the futile attempt
/// and the second wait cost about the same.
const PLENTY: u32 = 384;

/// One call of so many asks for a full batch at least: chosen because this costs 2 % of what asking
/// for one saves, and a backlog is noticed within eight messages.
const SAMPLE_EVERY: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for `calls` batches of sockets that hold `waiting` messages; returns what was asked.
    fn ask(appetite: &mut Appetite, calls: usize, waiting: usize) -> Vec<usize> {
        (0..calls)
            .map(|_| {
                let asked = appetite.next();
                appetite.record(asked, waiting.min(asked));
                asked
            })
            .collect()
    }

    #[test]
    fn sockets_with_one_message_each_are_asked_for_one() {
        let mut appetite = Appetite::new();
        ask(&mut appetite, 20, 1);
        let asked = ask(&mut appetite, 80, 1);
        assert_eq!(asked.iter().filter(|asked| **asked == 1).count(), 70);
    }

    #[test]
    fn backlog_is_noticed_within_a_sample_and_forgotten_after_it() {
        let mut appetite = Appetite::new();
        ask(&mut appetite, 20, 1);
        ask(&mut appetite, 8, MESSAGES_MAX);
        assert_eq!(ask(&mut appetite, 10, MESSAGES_MAX), [MESSAGES_MAX; 10]);
        ask(&mut appetite, 40, 1);
        assert!(ask(&mut appetite, 8, 1).contains(&1));
    }
}
