//! Figures of a shard's load, and what is given up for it.

use sabha_media::shard::UplinkOrder;

use super::{Name, Registry, name, of_shard};
use crate::metrics::exact::Exact;
use crate::node::load::LoadFigures;

pub(super) fn register(registry: &mut Registry, shard: usize) {
    for (name, read) in GAUGES {
        registry.gauge(name, of_shard(shard, &[]), move |reading| {
            Some(read(&reading.report(shard)?.load))
        });
    }
    for (order, label) in ORDERS {
        registry.gauge(ORDER, of_shard(shard, &[("order", label)]), move |reading| {
            Some(flag(reading.report(shard)?.load.uplink == order))
        });
    }
    registry.exact(CPU, "counter", of_shard(shard, &[]), move |reading| {
        Some(Exact::Value(reading.report(shard)?.load.cpu.as_secs_f64()))
    });
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

const ORDER: Name =
    name("sabha_uplink_order", "What members are told to send: 1 for the order in force.");
const CPU: Name =
    name("sabha_shard_cpu_seconds_total", "CPU time of the shard's thread, user and system.");

const ORDERS: [(UplinkOrder, &str); 3] = [
    (UplinkOrder::Everything, "everything"),
    (UplinkOrder::Voice, "voice"),
    (UplinkOrder::Probes, "probes"),
];

type Gauge = (Name, fn(&LoadFigures) -> f64);

const GAUGES: [Gauge; 7] = [
    (
        name("sabha_load_ratio", "Smoothed share of its time that the shard's thread is busy."),
        |load| load.busy_share,
    ),
    (name("sabha_load_step", "Steps of effort given up; 0 is all effort."), |load| {
        f64::from(load.step)
    }),
    (name("sabha_load_step_max", "The highest step, at which newcomers are refused."), |load| {
        f64::from(load.step_max)
    }),
    (name("sabha_shard_full", "Whether newcomers are refused (1) or let in (0)."), |load| {
        flag(load.is_full)
    }),
    (
        name("sabha_mixer_complexity_max", "The most complexity of encodes that the load allows."),
        |load| f64::from(load.effort.complexity),
    ),
    (
        name(
            "sabha_listener_packet_seconds",
            "Sound in a packet to those who only listen, where the load decides.",
        ),
        |load| load.effort.packet.duration().as_secs_f64(),
    ),
    (
        name(
            "sabha_uplink_max_bytes_per_second",
            "The most that the load lets members send with; 0: as they chose.",
        ),
        |load| f64::from(load.bitrate.number()) * 125.0,
    ),
];
