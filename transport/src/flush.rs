//! Sends a whole batch: what becomes of it when the kernel takes a part, or refuses.

use std::io;
use std::time::Duration;

use crate::batch::SendBatch;
use crate::counters::{Counter, SharedCounters};

/// The two things that sending asks of the kernel; a trait so that tests can refuse at will.
pub(crate) trait Kernel {
    /// Offers the datagrams from `first` on; returns how many were taken.
    fn send(&mut self, batch: &SendBatch, first: usize) -> io::Result<usize>;
    /// Waits for room, at most for `timeout`; returns the time waited.
    fn wait_writable(&mut self, timeout: Duration) -> Duration;
}

/// Sends a batch; returns how many datagrams the kernel took.
///
/// Ends: each round takes or drops a datagram, or uses up a retry or the budget for waiting.
pub(crate) fn send_all(
    batch: &SendBatch,
    kernel: &mut impl Kernel,
    wait_left: &mut Duration,
    counters: &SharedCounters,
) -> usize {
    let (mut next, mut taken, mut retries) = (0, 0, 0);
    while next < batch.len() {
        counters.syscalls_out.add(1);
        match kernel.send(batch, next).map_err(|error| Fault::of(&error)) {
            Ok(count) if count > 0 => {
                count_sent(batch, next, count, counters);
                next += count;
                taken += count;
                retries = 0;
            }
            Err(Fault::Full) if wait_left.is_zero() => {
                counters.dropped_send_full.add((batch.len() - next) as u64);
                return taken;
            }
            Err(Fault::Full) => {
                counters.send_waits.add(1);
                let waited = kernel.wait_writable((*wait_left).min(SEND_WAIT_STEP));
                *wait_left = wait_left.saturating_sub(waited.max(SEND_WAIT_CHARGE_MIN));
            }
            Err(fault) if fault.is_of_earlier() && retries < SEND_RETRIES_MAX => {
                counters.icmp_errors.add(u64::from(fault == Fault::Icmp));
                retries += 1;
            }
            refused => {
                refused.err().unwrap_or(Fault::Other).drop_counter(counters).add(1);
                next += 1;
                retries = 0;
            }
        }
    }
    taken
}

fn count_sent(batch: &SendBatch, first: usize, count: usize, counters: &SharedCounters) {
    let bytes: usize = (first..first + count).map(|index| batch.datagram(index).1.len()).sum();
    counters.datagrams_out.add(count as u64);
    counters.bytes_out.add(bytes as u64);
}

/// Why the kernel took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// No room now.
    Full,
    /// A signal came first.
    Interrupted,
    /// An ICMP error for an earlier datagram, reported now.
    Icmp,
    /// A firewall or a filter.
    Forbidden,
    /// No route, or the other family's address.
    Unreachable,
    /// Anything else.
    Other,
}

impl Fault {
    /// Source: the errors of sendmsg(2) and udp(7).
    fn of(error: &io::Error) -> Self {
        match error.raw_os_error().unwrap_or(0) {
            libc::EAGAIN | libc::ENOBUFS => Self::Full,
            libc::EINTR => Self::Interrupted,
            libc::ECONNREFUSED => Self::Icmp,
            libc::EPERM | libc::EACCES => Self::Forbidden,
            libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL => {
                Self::Unreachable
            }
            libc::EAFNOSUPPORT | libc::EINVAL => Self::Unreachable,
            _ => Self::Other,
        }
    }

    /// Whether the datagram itself was not refused, so that it may be offered again.
    fn is_of_earlier(self) -> bool {
        matches!(self, Self::Interrupted | Self::Icmp)
    }

    fn drop_counter(self, counters: &SharedCounters) -> &Counter {
        match self {
            Self::Full => &counters.dropped_send_full,
            Self::Forbidden => &counters.dropped_forbidden,
            Self::Unreachable => &counters.dropped_unreachable,
            Self::Interrupted | Self::Icmp | Self::Other => &counters.dropped_send_other,
        }
    }
}

/// How long one wait may take: chosen because a 1 Gbit/s link sends 80 full datagrams meanwhile.
const SEND_WAIT_STEP: Duration = Duration::from_millis(1);

/// What a wait costs at least of the budget: ENOBUFS may come from a socket that is writable, and
/// then the wait returns at once.
const SEND_WAIT_CHARGE_MIN: Duration = Duration::from_micros(100);

/// How often one datagram is offered again after errors of earlier ones.
const SEND_RETRIES_MAX: u32 = 4;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    const WAIT_MAX: Duration = Duration::from_millis(2);

    /// Answers by a script: `Ok(n)` takes n, `Err(errno)` refuses; afterwards it repeats the last.
    struct Script {
        answers: Vec<Result<usize, i32>>,
        /// For each call, the first datagram offered.
        offered: Vec<usize>,
        waits: Vec<Duration>,
    }

    impl Kernel for Script {
        fn send(&mut self, batch: &SendBatch, first: usize) -> io::Result<usize> {
            let step = self.offered.len().min(self.answers.len() - 1);
            self.offered.push(first);
            match self.answers[step] {
                Ok(count) => Ok(count.min(batch.len() - first)),
                Err(errno) => Err(io::Error::from_raw_os_error(errno)),
            }
        }

        fn wait_writable(&mut self, timeout: Duration) -> Duration {
            self.waits.push(timeout);
            Duration::ZERO
        }
    }

    struct Outcome {
        taken: usize,
        script: Script,
        counters: crate::Counters,
        wait_left: Duration,
    }

    fn send(answers: &[Result<usize, i32>]) -> Outcome {
        let mut batch = SendBatch::new();
        for _ in 0..10 {
            batch.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)), |_| 100);
        }
        let mut script = Script { answers: answers.to_vec(), offered: vec![], waits: vec![] };
        let counters = SharedCounters::default();
        let mut wait_left = WAIT_MAX;
        let taken = send_all(&batch, &mut script, &mut wait_left, &counters);
        Outcome { taken, script, counters: counters.snapshot(), wait_left }
    }

    #[test]
    fn partial_send_goes_on_where_it_stopped() {
        let outcome = send(&[Ok(3), Ok(4), Ok(10)]);
        assert_eq!(outcome.script.offered, [0, 3, 7]);
        assert_eq!(outcome.taken, 10);
        assert_eq!((outcome.counters.datagrams_out, outcome.counters.bytes_out), (10, 1_000));
    }

    #[test]
    fn full_buffer_is_waited_for() {
        for errno in [libc::EAGAIN, libc::ENOBUFS] {
            let outcome = send(&[Ok(3), Err(errno), Err(errno), Ok(10)]);
            assert_eq!(outcome.taken, 10);
            assert_eq!(outcome.script.waits, [SEND_WAIT_STEP; 2]);
            assert_eq!(outcome.counters.send_waits, 2);
            assert_eq!(outcome.wait_left, WAIT_MAX - 2 * SEND_WAIT_CHARGE_MIN);
        }
    }

    #[test]
    fn buffer_that_stays_full_drops_the_rest_within_the_budget() {
        let outcome = send(&[Ok(3), Err(libc::EAGAIN)]);
        assert_eq!(outcome.taken, 3);
        assert_eq!(outcome.counters.dropped_send_full, 7);
        assert_eq!(outcome.wait_left, Duration::ZERO);
        assert_eq!(outcome.script.waits.len(), 20);
    }

    #[test]
    fn icmp_error_of_an_earlier_datagram_loses_nothing() {
        let outcome = send(&[Err(libc::ECONNREFUSED), Err(libc::EINTR), Ok(10)]);
        assert_eq!(outcome.taken, 10);
        assert_eq!(outcome.counters.icmp_errors, 1);
    }

    #[test]
    fn endless_icmp_errors_end() {
        let outcome = send(&[Err(libc::ECONNREFUSED)]);
        assert_eq!(outcome.taken, 0);
        assert_eq!(outcome.counters.dropped_send_other, 10);
        assert_eq!(outcome.script.offered.len(), 50);
    }

    #[test]
    fn refused_datagram_is_dropped_by_cause_and_the_others_leave() {
        let outcome =
            send(&[Err(libc::EPERM), Err(libc::ENETUNREACH), Err(libc::EMSGSIZE), Ok(10)]);
        assert_eq!(outcome.taken, 7);
        assert_eq!(outcome.counters.dropped_forbidden, 1);
        assert_eq!(outcome.counters.dropped_unreachable, 1);
        assert_eq!(outcome.counters.dropped_send_other, 1);
    }
}
