//! Sends a whole batch: what becomes of it when the kernel takes a part, or refuses.

use std::io;
use std::time::Duration;

use crate::batch::{Datagrams, SendBatch};
use crate::counters::{Counter, SharedCounters};
use crate::gso::Gso;

/// The two things that sending asks of the kernel; a trait so that tests can refuse at will.
pub(crate) trait Kernel {
    /// Offers the datagrams from `first` on, runs of them as one message each if `is_gathering`;
    /// returns how many messages were taken.
    fn send(&mut self, batch: &SendBatch, first: usize, is_gathering: bool) -> io::Result<usize>;
    /// Waits for room, at most for `timeout`; returns the time waited.
    fn wait_writable(&mut self, timeout: Duration) -> Duration;
}

/// Sends a batch; returns how many datagrams the kernel took.
///
/// Ends: each round takes or drops a datagram, or uses up a retry, the budget for waiting, or this
/// batch's one refusal of GSO.
pub(crate) fn send_all(
    batch: &SendBatch,
    gso: &mut Gso,
    kernel: &mut impl Kernel,
    wait_left: &mut Duration,
    counters: &SharedCounters,
) -> usize {
    let (mut next, mut taken, mut retries) = (0, 0, 0);
    gso.begin_batch();
    while next < batch.len() {
        counters.syscalls_out.add(1);
        let answer = kernel.send(batch, next, gso.is_on());
        match answer.map_err(|error| Fault::of(&error, gso.run_len(batch, next))) {
            Ok(messages) if messages > 0 => {
                let count = count_sent(batch, next, messages, gso, counters);
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
            Err(Fault::Uncut(errno)) => {
                counters.gso_fallbacks.add(1);
                gso.refuse(errno);
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

/// Counts what left with so many messages; returns how many datagrams that were.
fn count_sent(
    batch: &SendBatch,
    first: usize,
    messages: usize,
    gso: &mut Gso,
    counters: &SharedCounters,
) -> usize {
    let mut next = first;
    for _ in 0..messages {
        let run = gso.run_len(batch, next);
        if run > 1 {
            counters.gso_messages.add(1);
            counters.gso_segments.add(run as u64);
            gso.accept();
        }
        next += run;
    }
    let bytes: usize = (first..next).map(|index| batch.datagram(index).1.len()).sum();
    counters.datagrams_out.add((next - first) as u64);
    counters.bytes_out.add(bytes as u64);
    next - first
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
    /// A run of datagrams cannot leave as one message: the errno. Each by itself may.
    Uncut(i32),
    /// Anything else.
    Other,
}

impl Fault {
    /// The cause, where the message offered first holds `run` datagrams.
    ///
    /// Source: the errors of sendmsg(2) and udp(7); those of GSO from the kernel's `udp_send_skb`.
    fn of(error: &io::Error, run: usize) -> Self {
        match error.raw_os_error().unwrap_or(0) {
            errno @ (libc::EIO | libc::EINVAL | libc::EMSGSIZE) if run > 1 => Self::Uncut(errno),
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
            Self::Interrupted | Self::Icmp | Self::Uncut(_) | Self::Other => {
                &counters.dropped_send_other
            }
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

    /// Answers by a script: `Ok(n)` takes n messages, `Err(errno)` refuses; afterwards it repeats
    /// the last.
    struct Script {
        answers: Vec<Result<usize, i32>>,
        /// For each call, the first datagram offered.
        offered: Vec<usize>,
        /// For each call, whether runs were offered as one message.
        gathered: Vec<bool>,
        waits: Vec<Duration>,
    }

    impl Kernel for Script {
        fn send(
            &mut self,
            batch: &SendBatch,
            first: usize,
            is_gathering: bool,
        ) -> io::Result<usize> {
            let step = self.offered.len().min(self.answers.len() - 1);
            self.offered.push(first);
            self.gathered.push(is_gathering);
            let (mut messages, mut next) = (0, first);
            while next < batch.len() {
                next += if is_gathering { batch.run_len(next) } else { 1 };
                messages += 1;
            }
            match self.answers[step] {
                Ok(count) => Ok(count.min(messages)),
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

    /// Sends a datagram of 100 octets to each port.
    fn send_to(ports: &[u16], gso: &mut Gso, answers: &[Result<usize, i32>]) -> Outcome {
        let mut batch = SendBatch::new();
        for port in ports {
            batch.push(SocketAddr::from((Ipv4Addr::LOCALHOST, *port)), |_| 100);
        }
        let answers = answers.to_vec();
        let mut script = Script { answers, offered: vec![], gathered: vec![], waits: vec![] };
        let counters = SharedCounters::default();
        let mut wait_left = WAIT_MAX;
        let taken = send_all(&batch, gso, &mut script, &mut wait_left, &counters);
        Outcome { taken, script, counters: counters.snapshot(), wait_left }
    }

    fn send(answers: &[Result<usize, i32>]) -> Outcome {
        send_to(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &mut Gso::new(true), answers)
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

    /// Runs of 3, 1 and 2 datagrams, then of 1.
    const RUNS: [u16; 7] = [1, 1, 1, 2, 3, 3, 4];

    #[test]
    fn run_is_one_message_and_counts_as_its_datagrams() {
        let outcome = send_to(&RUNS, &mut Gso::new(true), &[Ok(10)]);
        let Outcome { taken, counters, .. } = outcome;
        assert_eq!((taken, counters.datagrams_out, counters.bytes_out), (7, 7, 700));
        assert_eq!((counters.gso_messages, counters.gso_segments), (2, 5));
        assert_eq!((counters.syscalls_out, counters.gso_fallbacks), (1, 0));
    }

    #[test]
    fn partial_send_of_runs_goes_on_at_the_next_message() {
        let outcome =
            send_to(&RUNS, &mut Gso::new(true), &[Ok(1), Err(libc::EAGAIN), Ok(2), Ok(1)]);
        assert_eq!(outcome.script.offered, [0, 3, 3, 6]);
        assert_eq!((outcome.taken, outcome.counters.gso_segments), (7, 5));
    }

    #[test]
    fn refused_run_and_the_rest_of_its_batch_leave_singly() {
        for errno in [libc::EIO, libc::EINVAL, libc::EMSGSIZE] {
            let mut gso = Gso::new(true);
            let outcome = send_to(&RUNS, &mut gso, &[Ok(2), Err(errno), Ok(10)]);
            assert_eq!(outcome.script.offered, [0, 4, 4]);
            assert_eq!(outcome.script.gathered, [true, true, false]);
            assert_eq!((outcome.taken, outcome.counters.datagrams_out), (7, 7));
            let Outcome { counters, .. } = outcome;
            assert_eq!((counters.gso_messages, counters.gso_segments), (1, 3));
            assert_eq!(counters.gso_fallbacks, 1);
            let paused = send_to(&RUNS, &mut gso, &[Ok(10)]);
            assert_eq!((paused.taken, paused.script.gathered), (7, vec![false]));
            let resumed = send_to(&RUNS, &mut gso, &[Ok(10)]);
            assert_eq!((resumed.taken, resumed.script.gathered), (7, vec![true]));
        }
    }

    #[test]
    fn run_that_is_refused_singly_too_is_dropped_by_cause() {
        let outcome = send_to(&RUNS, &mut Gso::new(true), &[Err(libc::EINVAL)]);
        assert_eq!((outcome.taken, outcome.counters.gso_fallbacks), (0, 1));
        assert_eq!(outcome.counters.dropped_unreachable, 7);
    }

    #[test]
    fn single_datagram_that_is_refused_says_nothing_about_gso() {
        let mut gso = Gso::new(true);
        let outcome = send_to(&[1, 2, 2], &mut gso, &[Err(libc::EINVAL), Ok(10)]);
        assert_eq!((outcome.taken, outcome.counters.dropped_unreachable), (2, 1));
        assert_eq!((outcome.counters.gso_fallbacks, outcome.counters.gso_messages), (0, 1));
        assert!(gso.is_on());
    }

    #[test]
    fn each_datagram_of_a_forbidden_run_is_counted() {
        let forbidden = Err(libc::EPERM);
        let outcome =
            send_to(&RUNS, &mut Gso::new(true), &[forbidden, forbidden, forbidden, Ok(9)]);
        assert_eq!((outcome.taken, outcome.counters.dropped_forbidden), (4, 3));
        assert_eq!(outcome.counters.gso_fallbacks, 0);
    }
}
