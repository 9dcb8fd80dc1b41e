//! A record to test with: a good run of 1,000 members.

use std::time::Duration;

use super::model::Record;
use super::parts::{Floor, Gaps, MemberLine, Parameters};
use super::series::{Point, Steady};

/// Changes the good run, and judges it.
pub(super) fn judged(change: impl FnOnce(&mut Record)) -> Record {
    let mut record = good();
    change(&mut record);
    record.judge();
    record
}

/// Makes the good run one of a bridge whose talkers took turns.
pub(super) fn bridge(record: &mut Record) {
    record.mode = "bridge".into();
    record.parameters.pattern = "alternate".into();
    record.node_cpu_ms_per_member_second = Some(0.36);
    record.frames_unmatched = None;
    (record.streams_per_member_max, record.turns, record.switches) = (Some(3), Some(30), Some(12));
    (record.doubled, record.own_received, record.doubled_marks) = (Some(0), Some(0), Some(0));
    (record.noise_received, record.unsourced, record.sequence_breaks) = (Some(0), Some(0), Some(0));
    (record.onset_missing_ms_p99, record.padding_ratio) = (Some(0.0), Some(0.02));
    record.gso_segments_mean = Some(2.6);
    (record.forward_delay_ms_p50, record.forward_delay_ms_p99) = (Some(0.2), Some(0.9));
}

fn good() -> Record {
    let floor = |us| Floor { cpu_us_per_packet: us, packets: 250_000, ..Floor::default() };
    let mut record = Record {
        members: 1_000,
        talkers: 3,
        mode: "mixer".into(),
        listener_packet_ms: Some(20),
        node_cpu_ms_per_member_second: Some(0.17),
        node_cpu_us_per_packet_out: Some(3.4),
        floor_cpu_us_per_packet: Some(2.9),
        received_ratio: Some(0.9999),
        worst_member_ratio: Some(0.998),
        late60_ratio: Some(0.0002),
        rtcp_ratio: Some(0.0064),
        added_delay_ms_p50: Some(12.1),
        added_delay_ms_p99: Some(26.0),
        node_rss_kib_per_member: Some(64.0),
        join_seconds: Some(3.2),
        loadgen_cpu_cores: Some(0.8),
        payload_mismatches: Some(0),
        driver: Some("poll".into()),
        conferences: 1,
        seconds: 30.0,
        joined: Some(1_000),
        refused: Some(0),
        lost: Some(0),
        frames_compared: Some(1_400_000),
        frames_unmatched: Some(0),
        decoded_members: Some(6),
        gaps: Some(Gaps {
            missing_ms_max: 0.0,
            stall_ms_max: 4.0,
            mos_min: Some(4.3),
            listeners: 3,
        }),
        delay_drift_ms: Some(0.6),
        node_cpu_cores: Some(0.17),
        floor_before: Some(floor(2.8)),
        floor_after: Some(floor(3.0)),
        parameters: Parameters {
            command: "sabha-loadgen run --members 1000 --talkers 3".into(),
            members_each: 1_000,
            talkers_each: 3,
            pattern: "continuous".into(),
            listener_packet: "20".into(),
            ..Parameters::default()
        },
        steady: Some(Steady { from_s: 16.0, to_s: 46.0 }),
        ..Record::default()
    };
    fill(&mut record);
    record
}

/// Made-up curves, so that pictures have something to show.
fn fill(record: &mut Record) {
    for at in 0..20_000_u64 {
        let spread = at * 7_919 % 1_000;
        record.lateness.record(Duration::from_micros(200 + spread * spread / 60));
        record.added_delay.record(Duration::from_micros(6_000 + spread * 14 + spread.pow(2) / 90));
    }
    record.series = (0..47)
        .map(|second: u32| Point {
            at_s: second.into(),
            joined: u64::from(second * 300).min(1_000),
            packets_in: Some(u64::from(second * 15_000).min(50_000 - u64::from(second % 3) * 40)),
            late60: Some(u64::from(second % 11 == 3) * 9),
            node_cpu_cores: Some(0.17 + 0.01 * f64::from(second % 4)),
            loadgen_cpu_cores: Some(0.78 + 0.02 * f64::from(second % 3)),
            node_rss_kib: Some(30_000 + u64::from(second * 9_000).min(34_000)),
            node_descriptors: Some(24),
            node_threads: Some(5),
        })
        .collect();
    record.worst_members = (0..3)
        .map(|at| MemberLine {
            member: 17 * at,
            packets_in: 1_497 + u64::from(at),
            packets_due: 1_500,
            late60: 2,
            late_ms_max: 71.0,
            ..MemberLine::default()
        })
        .collect();
}
