//! Figures of a shard's thread: datagrams, system calls, and what the kernel dropped.

use sabha_transport::Counters;

use super::{IN, Name, OUT, Registry, Whole, name, of_shard};
use crate::metrics::exact::Exact;

pub(super) fn register(registry: &mut Registry, shard: usize) {
    for (name, read) in COUNTERS {
        registry.counter(name, of_shard(shard, &[]), move |reading| {
            Some(read(&reading.shard(shard)?.driver))
        });
    }
    for (name, label, read) in LABELLED {
        registry.counter(name, of_shard(shard, &[label]), move |reading| {
            Some(read(&reading.shard(shard)?.driver))
        });
    }
    registry.exact(BUSY, "counter", of_shard(shard, &[]), move |reading| {
        let driver = &reading.shard(shard)?.driver;
        Some(Exact::Value(driver.busy_nanos as f64 / 1e9))
    });
}

const DATAGRAMS: Name = name(
    "sabha_datagrams_total",
    "UDP datagrams of media: received, or taken by the kernel to be sent.",
);
const BYTES: Name = name("sabha_datagram_bytes_total", "Payload of these datagrams.");
const SYSCALLS: Name =
    name("sabha_driver_syscalls_total", "System calls that receive or send datagrams.");
const DROPPED: Name = name(
    "sabha_driver_dropped_datagrams_total",
    "Datagrams dropped between socket and shard, by reason.",
);
const BUSY: Name = name(
    "sabha_driver_busy_seconds_total",
    "Time in which the thread was not waiting; what the kernel gave to others meanwhile counts.",
);

const COUNTERS: [Whole<Counters>; 11] = [
    (
        name("sabha_driver_messages_received_total", "Messages read; one may hold many datagrams."),
        |driver| driver.messages_in,
    ),
    (
        name("sabha_driver_wakeups_total", "Ends of a wait for sockets, deadlines and orders."),
        |driver| driver.wakeups,
    ),
    (name("sabha_driver_timeouts_total", "Deadlines that were carried out."), |driver| {
        driver.timeouts
    }),
    (name("sabha_driver_send_waits_total", "Waits for room in a full send buffer."), |driver| {
        driver.send_waits
    }),
    (
        name(
            "sabha_driver_gso_messages_total",
            "Messages sent that the kernel cut into datagrams.",
        ),
        |driver| driver.gso_messages,
    ),
    (name("sabha_driver_gso_segments_total", "Datagrams in these messages."), |driver| {
        driver.gso_segments
    }),
    (
        name(
            "sabha_driver_gso_fallbacks_total",
            "Messages that the kernel refused to cut; their datagrams were sent singly.",
        ),
        |driver| driver.gso_fallbacks,
    ),
    (name("sabha_driver_commands_total", "Orders handed to the shard."), |driver| driver.commands),
    (
        name("sabha_driver_commands_refused_total", "Orders refused because the queue was full."),
        |driver| driver.commands_full,
    ),
    (name("sabha_driver_icmp_errors_total", "ICMP errors on the socket, ignored."), |driver| {
        driver.icmp_errors
    }),
    (name("sabha_driver_receive_errors_total", "Other errors of receiving."), |driver| {
        driver.receive_errors
    }),
];

type Labelled = (Name, (&'static str, &'static str), fn(&Counters) -> u64);

const LABELLED: [Labelled; 14] = [
    (DATAGRAMS, IN, |driver| driver.datagrams_in),
    (DATAGRAMS, OUT, |driver| driver.datagrams_out),
    (BYTES, IN, |driver| driver.bytes_in),
    (BYTES, OUT, |driver| driver.bytes_out),
    (SYSCALLS, IN, |driver| driver.syscalls_in),
    (SYSCALLS, OUT, |driver| driver.syscalls_out),
    (DROPPED, ("reason", "oversized"), |driver| driver.dropped_oversized),
    (DROPPED, ("reason", "empty"), |driver| driver.dropped_empty),
    (DROPPED, ("reason", "malformed"), |driver| driver.dropped_malformed),
    (DROPPED, ("reason", "receive_buffer_full"), |driver| driver.dropped_receive_full),
    (DROPPED, ("reason", "send_buffer_full"), |driver| driver.dropped_send_full),
    (DROPPED, ("reason", "forbidden"), |driver| driver.dropped_forbidden),
    (DROPPED, ("reason", "unreachable"), |driver| driver.dropped_unreachable),
    (DROPPED, ("reason", "send_error"), |driver| driver.dropped_send_other),
];
