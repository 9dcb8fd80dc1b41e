//! What the ladder is told of a thread's load.

use std::time::Duration;

use sabha_transport::Load;

/// One reading of a thread's load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// The share of its time that the thread was busy, 0 to 1; or the share of what the process
    /// may have at all, if that is more.
    pub busy: f64,
    /// How much of that is sending, at most.
    pub sending: f64,
    /// How much of it is receiving, about.
    pub receiving: f64,
    /// The latest tick.
    pub late_max: Duration,
}

impl Reading {
    /// Makes a reading of what the driver measured and of the share of the process' CPU quota that
    /// its media threads use.
    pub fn new(load: &Load, quota_share: f64) -> Self {
        let seconds = load.interval.as_secs_f64().max(f64::MIN_POSITIVE);
        let share = |datagrams: u64, cost: Duration| {
            (datagrams as f64 * cost.as_secs_f64() / seconds).min(1.0)
        };
        Self {
            busy: load.busy_share().max(quota_share),
            sending: share(load.datagrams_out, SEND_COST_MAX),
            receiving: share(load.datagrams_in, RECEIVE_COST),
            late_max: load.late_max,
        }
    }
}

/// What a packet out costs at most, to predict what more of them would: measured at 3.0 µs with
/// all it takes, here with room for a slower machine.
const SEND_COST_MAX: Duration = Duration::from_nanos(4_500);

/// What a packet in costs, about: the kernel's share of `recvmmsg`, authenticating and filing.
const RECEIVE_COST: Duration = Duration::from_nanos(1_500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_the_worse_of_thread_and_quota() {
        let load = Load {
            interval: Duration::from_millis(250),
            busy: Duration::from_millis(100),
            late_max: Duration::from_millis(3),
            datagrams_in: 1_000,
            datagrams_out: 10_000,
        };
        let reading = Reading::new(&load, 0.2);
        assert!((reading.busy - 0.4).abs() < 1e-9);
        assert!((reading.sending - 0.18).abs() < 1e-9);
        assert!((reading.receiving - 0.006).abs() < 1e-9);
        assert!((Reading::new(&load, 0.7).busy - 0.7).abs() < 1e-9);
        assert!(Reading::new(&Load::default(), 0.0).busy.abs() < 1e-9);
    }
}
