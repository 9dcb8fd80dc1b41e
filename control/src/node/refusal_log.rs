//! Tells of refusals in the log, but not more than the log can bear.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sabha_core::UserId;

/// Writes one refusal a second to the log, and with it how many were not written.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told_at: Option<Instant>,
    untold: u64,
}

impl RefusalLog {
    /// Notes a refusal.
    pub(crate) fn note(&self, now: Instant, user: &UserId, reason: &str) {
        if let Some(untold) = self.turn(now) {
            tracing::info!(%user, reason, untold, "request refused");
        }
    }

    /// Returns how many were not told since the last one, if another may be.
    fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.told_at.is_some_and(|at| now.saturating_duration_since(at) < INTERVAL) {
            state.untold += 1;
            return None;
        }
        state.told_at = Some(now);
        Some(std::mem::take(&mut state.untold))
    }
}

/// Chosen: a person reads one a second, and a flood of callers fills no disk.
const INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_a_second_is_told_and_the_others_are_counted() {
        let log = RefusalLog::default();
        let now = Instant::now();
        assert_eq!(log.turn(now), Some(0));
        for millis in [0, 1, 999] {
            assert_eq!(log.turn(now + Duration::from_millis(millis)), None);
        }
        assert_eq!(log.turn(now + Duration::from_secs(1)), Some(3));
        assert_eq!(log.turn(now + Duration::from_secs(9)), Some(0));
    }
}
