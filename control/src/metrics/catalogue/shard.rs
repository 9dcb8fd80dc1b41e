//! Figures of a shard: its legs, its packets, and what members tell of theirs.

use sabha_media::codec::SAMPLE_RATE_HZ;
use sabha_media::drop_reason::DropReason;
use sabha_media::quality::{LegRatings, MosCounts};
use sabha_media::shard::ShardCounters;

use super::{IN, Name, OUT, Registry, Whole, name, of_shard};
use crate::metrics::exact::Exact;
use crate::node::ShardReport;

pub(super) fn register(registry: &mut Registry, shard: usize) {
    registry.gauge(UP, of_shard(shard, &[]), move |reading| {
        Some(f64::from(u8::from(reading.report(shard).is_some())))
    });
    for (name, read) in GAUGES {
        registry.gauge(name, of_shard(shard, &[]), move |reading| {
            Some(read(reading.report(shard)?) as f64)
        });
    }
    for (name, read) in COUNTERS {
        registry.counter(name, of_shard(shard, &[]), move |reading| {
            Some(read(&reading.report(shard)?.counters))
        });
    }
    for (name, label, read) in LABELLED {
        registry.counter(name, of_shard(shard, &[label]), move |reading| {
            Some(read(&reading.report(shard)?.counters))
        });
    }
    for reason in DropReason::ALL {
        let labels = of_shard(shard, &[("reason", reason.as_str())]);
        registry.counter(DROPPED, labels, move |reading| {
            Some(reading.report(shard)?.counters.drops.of(*reason))
        });
    }
    registry.gauge(RTCP_SHARE, of_shard(shard, &[]), move |reading| {
        reading.report(shard)?.counters.rtcp_share()
    });
    register_exact(registry, shard);
}

fn register_exact(registry: &mut Registry, shard: usize) {
    registry.exact(TICK_LATENESS, "histogram", of_shard(shard, &[]), move |reading| {
        let lateness = &reading.report(shard)?.counters.tick_lateness;
        Some(Exact::by_power_of_two_micros(&lateness.counts, lateness.sum.as_secs_f64()))
    });
    registry.exact(LOSS, "summary", of_shard(shard, &[]), move |reading| {
        let receptions = &reading.report(shard)?.counters.receptions;
        let sum = receptions.fraction_lost as f64 / LOSS_UNITS;
        Some(Exact::Summary { sum, count: receptions.reports })
    });
    for (direction, ratings) in RATINGS {
        registry.exact(MOS, "histogram", of_shard(shard, &[direction]), move |reading| {
            Some(Exact::of_scores(ratings(&reading.report(shard)?.counters.ratings)))
        });
    }
    registry.exact(JITTER, "summary", of_shard(shard, &[]), move |reading| {
        let receptions = &reading.report(shard)?.counters.receptions;
        let sum = receptions.jitter as f64 / f64::from(SAMPLE_RATE_HZ);
        Some(Exact::Summary { sum, count: receptions.reports })
    });
}

/// The unit of the loss in a receiver report: 1/256 (RFC 3550 section 6.4.1).
const LOSS_UNITS: f64 = 256.0;

const UP: Name = name("sabha_shard_up", "Whether the shard answered in time (1) or not (0).");
const DROPPED: Name =
    name("sabha_dropped_packets_total", "Packets that the shard or a mixer discarded, by reason.");
const RTP: Name = name(
    "sabha_packets_total",
    "Media packets: in, of any kind and good or bad; out, RTP handed to the sender.",
);
const RTP_BYTES: Name = name("sabha_packet_bytes_total", "Octets of these packets, sealed.");
const RTCP: Name =
    name("sabha_rtcp_compounds_total", "RTCP compounds: accepted, or handed to the sender.");
const RTCP_SHARE: Name =
    name("sabha_rtcp_ratio", "RTCP compounds of all packets since the beginning, both ways.");
const TICK_LATENESS: Name = name(
    "sabha_tick_lateness_seconds",
    "How late the mixers' deadlines were met: the time of the call less the deadline.",
);
const LOSS: Name = name(
    "sabha_member_loss_ratio",
    "Share of packets lost on the way to members, as their receiver reports tell it.",
);
const JITTER: Name = name(
    "sabha_member_jitter_seconds",
    "Interarrival jitter at the members, as their receiver reports tell it.",
);

const MOS: Name = name(
    "sabha_leg_mos",
    "Mean opinion scores of legs, 1 to 4.5, estimated from each report (ITU-T G.107.1).",
);

type Rated = ((&'static str, &'static str), fn(&LegRatings) -> &MosCounts);

const RATINGS: [Rated; 2] = [(IN, |ratings| &ratings.inbound), (OUT, |ratings| &ratings.outbound)];

const GAUGES: [Whole<ShardReport>; 3] = [
    (name("sabha_legs", "Members' legs, both ways of media."), |report| report.legs as u64),
    (name("sabha_conferences", "Conferences."), |report| report.conferences as u64),
    (name("sabha_talkers", "Legs that are heard in a mix now."), |report| report.counters.talkers),
];

const COUNTERS: [Whole<ShardCounters>; 12] = [
    (name("sabha_legs_joined_total", "Legs added."), |shard| shard.joins),
    (name("sabha_legs_left_total", "Legs removed."), |shard| shard.leaves),
    (
        name("sabha_address_changes_total", "Times that a member was heard from a new address."),
        |shard| shard.address_changes,
    ),
    (name("sabha_outbox_refused_total", "Packets that the outbox had no room for."), |shard| {
        shard.outbox_refused
    }),
    (
        name("sabha_events_dropped_total", "Events of a shard that control did not take in time."),
        |shard| shard.events_dropped,
    ),
    (
        name("sabha_deadlines_stuck_total", "Times that an engine stayed due after its timeout."),
        |shard| shard.deadlines_stuck,
    ),
    (name("sabha_level_probes_total", "Packets received with a level and no sound."), |shard| {
        shard.probes_in
    }),
    (name("sabha_uplink_orders_total", "Times that a member was told what to send."), |shard| {
        shard.orders_out
    }),
    (
        name("sabha_bitrate_orders_total", "Times that a member was told another bitrate."),
        |shard| shard.bitrate_orders_out,
    ),
    (
        name("sabha_uplink_promotions_total", "Members let speak while the others send probes."),
        |shard| shard.promotions,
    ),
    (name("sabha_uplink_demotions_total", "Members who lost this again."), |shard| shard.demotions),
    (
        name("sabha_uplink_promotions_refused_total", "Loud members who found every place taken."),
        |shard| shard.promotions_refused,
    ),
];

type Labelled = (Name, (&'static str, &'static str), fn(&ShardCounters) -> u64);

const LABELLED: [Labelled; 6] = [
    (RTP, IN, |shard| shard.packets_in),
    (RTP, OUT, |shard| shard.packets_out),
    (RTP_BYTES, IN, |shard| shard.octets_in),
    (RTP_BYTES, OUT, |shard| shard.octets_out),
    (RTCP, IN, |shard| shard.reports_in),
    (RTCP, OUT, |shard| shard.reports_out),
];
