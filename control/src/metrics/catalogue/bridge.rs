//! Figures of a shard's bridges, all conferences together.

use sabha_bridge::BridgeCounters;

use super::{Name, Registry, Whole, name, of_shard};
use crate::metrics::exact::Exact;

pub(super) fn register(registry: &mut Registry, shard: usize) {
    registry.gauge(BRIDGES, of_shard(shard, &[]), move |reading| {
        Some(reading.report(shard)?.in_use.bridges as f64)
    });
    registry.gauge(SLOTS, of_shard(shard, &[]), move |reading| {
        Some(reading.report(shard)?.in_use.bridging.slots_in_use as f64)
    });
    registry.exact(GATHERED, "gauge", of_shard(shard, &[]), move |reading| {
        Some(Exact::Value(reading.report(shard)?.load.gather.as_secs_f64()))
    });
    for (name, read) in COUNTERS {
        registry.counter(name, of_shard(shard, &[]), move |reading| {
            Some(read(&reading.report(shard)?.engines.bridging))
        });
    }
    for (name, label, read) in LABELLED {
        registry.counter(name, of_shard(shard, &[label]), move |reading| {
            Some(read(&reading.report(shard)?.engines.bridging))
        });
    }
}

const BRIDGES: Name = name("sabha_bridges", "Conferences that are forwarded.");
const SLOTS: Name = name("sabha_bridge_slots", "Talkers that are forwarded now.");
const GATHERED: Name =
    name("sabha_bridge_gather_seconds", "How long packets may wait for others to one member.");
const SUPPRESSED: Name = name(
    "sabha_bridge_suppressed_total",
    "Packets with sound that were not forwarded: nobody talked in them, or others were louder.",
);
const REDUNDANT: Name = name(
    "sabha_bridge_red_packets_total",
    "Packets queued for members with copies of those before, by the number of copies.",
);

const COUNTERS: [Whole<BridgeCounters>; 10] = [
    (name("sabha_bridge_turns_total", "Times that a member began to talk."), |all| all.turns),
    (name("sabha_bridge_switches_total", "Times that a slot went to another talker."), |all| {
        all.switches
    }),
    (
        name("sabha_bridge_takeovers_total", "Of those, slots taken from one who still talked."),
        |all| all.takeovers,
    ),
    (
        name("sabha_bridge_holds_capped_total", "Of those, from one who held it for too long."),
        |all| all.holds_capped,
    ),
    (name("sabha_bridge_forwarded_total", "Packets of members that were passed on."), |all| {
        all.forwarded
    }),
    (name("sabha_bridge_packets_total", "Packets queued for members."), |all| all.packets_out),
    (
        name("sabha_bridge_lookback_total", "Packets passed on from before their talker's onset."),
        |all| all.lookback_sent,
    ),
    (
        name(
            "sabha_bridge_recovered_total",
            "Packets passed on that were lost and came as a copy.",
        ),
        |all| all.recovered,
    ),
    (name("sabha_bridge_padding_bytes_total", "Padding, sent to make packets one size."), |all| {
        all.padding_octets
    }),
    (
        name("sabha_bridge_pool_exhausted_total", "Talkers that the shard had no memory for."),
        |all| all.pool_exhausted,
    ),
];

type Labelled = (Name, (&'static str, &'static str), fn(&BridgeCounters) -> u64);

const LABELLED: [Labelled; 4] = [
    (SUPPRESSED, ("reason", "level"), |all| all.suppressed_by_level),
    (SUPPRESSED, ("reason", "limit"), |all| all.suppressed_by_limit),
    (REDUNDANT, ("copies", "1"), |all| all.packets_by_copies[0]),
    (REDUNDANT, ("copies", "2"), |all| all.packets_by_copies[1]),
];
