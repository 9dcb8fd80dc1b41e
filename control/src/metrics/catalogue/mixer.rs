//! Figures of a shard's mixers, all conferences together.

use sabha_mixer::MixerCounters;

use super::{Name, Registry, Whole, name, of_shard};
use crate::metrics::exact::Exact;

pub(super) fn register(registry: &mut Registry, shard: usize) {
    registry.gauge(PACKED, of_shard(shard, &[]), move |reading| {
        Some(reading.report(shard)?.in_use.mixing.legs_packed as f64)
    });
    registry.exact(COMPLEXITY, "gauge", of_shard(shard, &[]), move |reading| {
        Some(Exact::Value(f64::from(reading.report(shard)?.in_use.mixing.complexity?)))
    });
    for (name, read) in COUNTERS {
        registry.counter(name, of_shard(shard, &[]), move |reading| {
            Some(read(&reading.report(shard)?.engines.mixing))
        });
    }
    for (name, label, read) in LABELLED {
        registry.counter(name, of_shard(shard, &[label]), move |reading| {
            Some(read(&reading.report(shard)?.engines.mixing))
        });
    }
}

const PACKED: Name = name("sabha_legs_packed", "Legs that are sent packets of 40 or 60 ms.");
const COMPLEXITY: Name =
    name("sabha_mixer_complexity", "Most complexity of any encoder in use; absent if none is.");
const OVER_BOUND: Name = name(
    "sabha_mixer_ticks_over_bound_total",
    "Ticks with more decodes or encodes than talkers account for; there should be none.",
);
const PACKETS: Name =
    name("sabha_mixer_packets_total", "Packets queued for members, by the sound in each.");

const REDUNDANT: Name = name(
    "sabha_red_packets_total",
    "Packets queued for members with copies of those before, by the number of copies.",
);

const COUNTERS: [Whole<MixerCounters>; 11] = [
    (
        name("sabha_mixer_ticks_total", "Ticks of 20 ms in which sound was decoded or encoded."),
        |mixing| mixing.ticks,
    ),
    (name("sabha_mixer_encodes_total", "Frames encoded."), |mixing| mixing.encodes),
    (name("sabha_mixer_decodes_total", "Frames decoded, concealed ones included."), |mixing| {
        mixing.decodes
    }),
    (name("sabha_mixer_concealments_total", "Frames made up for lost ones."), |mixing| {
        mixing.concealments
    }),
    (name("sabha_mixer_undecodable_total", "Payloads that the codec refused."), |mixing| {
        mixing.undecodable
    }),
    (
        name("sabha_mixer_false_claims_total", "Legs blocked for levels that were not theirs."),
        |mixing| mixing.false_claims,
    ),
    (
        name("sabha_mixer_pool_exhausted_total", "Talkers or encodes that found a pool empty."),
        |mixing| mixing.pool_exhausted,
    ),
    (name("sabha_mixer_partial_packs_total", "Packs sent before they were full."), |mixing| {
        mixing.packs_partial
    }),
    (
        name("sabha_mixer_ticks_passed_over_total", "Ticks never made, as they came far too late."),
        |mixing| mixing.ticks_passed_over,
    ),
    (
        name(
            "sabha_red_recovered_total",
            "Packets from members that were lost and came as a copy in a later one.",
        ),
        |mixing| mixing.recovered,
    ),
    (
        name("sabha_fec_repaired_total", "Frames made from the in-band redundancy of the next."),
        |mixing| mixing.repaired,
    ),
];

type Labelled = (Name, (&'static str, &'static str), fn(&MixerCounters) -> u64);

const LABELLED: [Labelled; 7] = [
    (OVER_BOUND, ("bound", "encodes"), |mixing| mixing.ticks_over_encode_bound),
    (OVER_BOUND, ("bound", "decodes"), |mixing| mixing.ticks_over_decode_bound),
    (PACKETS, ("length", "20ms"), |mixing| mixing.packets_by_frames[0]),
    (PACKETS, ("length", "40ms"), |mixing| mixing.packets_by_frames[1]),
    (PACKETS, ("length", "60ms"), |mixing| mixing.packets_by_frames[2]),
    (REDUNDANT, ("copies", "1"), |mixing| mixing.packets_by_copies[0]),
    (REDUNDANT, ("copies", "2"), |mixing| mixing.packets_by_copies[1]),
];
