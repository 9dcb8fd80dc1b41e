//! What a driver counts: packets, system calls, drops by cause, lateness.
//!
//! The driver's thread is the only writer of most of it, with plain relaxed stores; anyone reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A snapshot of a driver's counters since its start.
        ///
        /// Each value is exact; values read during traffic may be a batch apart from each other.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
            /// How late timeouts were.
            pub lateness: Lateness,
        }

        /// The counters as the driver's thread writes them.
        #[derive(Debug, Default)]
        pub(crate) struct SharedCounters {
            $(pub(crate) $name: Counter,)*
            pub(crate) lateness: SharedLateness,
        }

        impl SharedCounters {
            /// Copies all values.
            pub(crate) fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.value(),)* lateness: self.lateness.snapshot() }
            }
        }
    };
}

counters! {
    /// Datagrams handed to endpoints.
    datagrams_in,
    /// Payload bytes handed to endpoints.
    bytes_in,
    /// Messages read from the kernel; one may hold several datagrams (GRO).
    messages_in,
    /// Calls of recvmmsg.
    syscalls_in,
    /// Datagrams that the kernel took.
    datagrams_out,
    /// Payload bytes that the kernel took.
    bytes_out,
    /// Calls of sendmmsg.
    syscalls_out,
    /// Messages among them that held several datagrams to one address, for the kernel to cut (GSO).
    gso_messages,
    /// Datagrams in these messages.
    gso_segments,
    /// Such messages that the kernel refused, so that their datagrams were offered singly.
    gso_fallbacks,
    /// Received datagrams dropped: longer than `DATAGRAM_SIZE_MAX`, or cut off by the kernel.
    dropped_oversized,
    /// Received datagrams dropped: no payload.
    dropped_empty,
    /// Received messages dropped: no sender's address.
    dropped_malformed,
    /// Datagrams that the kernel dropped before they were read: receive buffer full.
    dropped_receive_full,
    /// Datagrams not sent: send buffer full (EAGAIN, ENOBUFS) for longer than may be waited.
    dropped_send_full,
    /// Datagrams not sent: EPERM or EACCES, so a firewall or seccomp refused them.
    dropped_forbidden,
    /// Datagrams not sent: no route, or an address of the other family.
    dropped_unreachable,
    /// Datagrams not sent: any other error.
    dropped_send_other,
    /// ICMP errors reported on a socket; ignored, as anyone can forge them.
    icmp_errors,
    /// Other errors of recvmmsg; the batch is tried again when the socket is ready.
    receive_errors,
    /// Times the thread waited for a full send buffer.
    send_waits,
    /// Calls of `handle_timeout`.
    timeouts,
    /// Nanoseconds in which the thread was not waiting; wall time, see `Load::busy`.
    busy_nanos,
    /// Returns from the wait for sockets, deadlines and commands.
    wakeups,
    /// Commands handed to endpoints.
    commands,
    /// Requests refused: queue full. Counted by the senders.
    commands_full,
    /// Commands dropped: the endpoint was removed.
    commands_unknown,
}

/// How late timeouts were called: the time of the call minus the deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// The latest call.
    pub max: Duration,
    /// Calls by lateness: `counts[0]` below 1 µs, `counts[k]` from 2^(k-1) to below 2^k µs, the
    /// last also everything above.
    pub counts: [u64; LATENESS_BUCKETS],
}

impl Lateness {
    /// Returns an upper bound of the given share of calls, or zero if there were none.
    ///
    /// `share` is from 0 to 1; the bound is a power of two of microseconds.
    pub fn quantile(&self, share: f64) -> Duration {
        let total: u64 = self.counts.iter().sum();
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if total > 0 && seen as f64 >= share * total as f64 {
                return Duration::from_micros(1 << bucket);
            }
        }
        Duration::ZERO
    }
}

/// Buckets of the lateness histogram: the last begins at 2^22 µs, about 4 s.
pub const LATENESS_BUCKETS: usize = 24;

/// A number that one thread grows and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`; only the driver's thread may call it. No locked instruction.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.value().wrapping_add(count), Ordering::Relaxed);
    }

    /// Adds `count`, from any thread.
    pub(crate) fn add_shared(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns the number.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The histogram as the driver's thread writes it.
#[derive(Debug, Default)]
pub(crate) struct SharedLateness {
    max_nanos: AtomicU64,
    counts: [Counter; LATENESS_BUCKETS],
}

impl SharedLateness {
    /// Notes one call; only the driver's thread may.
    pub(crate) fn record(&self, late: Duration) {
        let nanos = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        if nanos > self.max_nanos.load(Ordering::Relaxed) {
            self.max_nanos.store(nanos, Ordering::Relaxed);
        }
        let bits = (u64::BITS - (nanos / 1_000).leading_zeros()) as usize;
        self.counts[bits.min(LATENESS_BUCKETS - 1)].add(1);
    }

    fn snapshot(&self) -> Lateness {
        Lateness {
            max: Duration::from_nanos(self.max_nanos.load(Ordering::Relaxed)),
            counts: std::array::from_fn(|bucket| self.counts[bucket].value()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_counted_by_power_of_two() {
        let shared = SharedLateness::default();
        for micros in [0, 1, 2, 3, 4, 1_000, 60_000_000] {
            shared.record(Duration::from_micros(micros));
        }
        let lateness = shared.snapshot();
        assert_eq!(lateness.max, Duration::from_secs(60));
        assert_eq!(lateness.counts[..4], [1, 1, 2, 1]);
        assert_eq!(lateness.counts[10], 1);
        assert_eq!(lateness.counts[LATENESS_BUCKETS - 1], 1);
        assert_eq!(lateness.quantile(0.5), Duration::from_micros(4));
        assert_eq!(Lateness::default().quantile(0.5), Duration::ZERO);
    }
}
