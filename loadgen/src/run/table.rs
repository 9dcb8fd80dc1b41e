//! A run's figures as a short table on stdout.

use std::io::{self, Write};

use super::args::RunArgs;
use crate::report::Record;

/// Prints figures, then checks and goals, then where the report is.
///
/// # Errors
/// The system's, if stdout is gone.
pub fn print(record: &Record, args: &RunArgs) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (name, value) in figures(record) {
        writeln!(out, "{name:<40} {value}")?;
    }
    for (text, count) in record.refusals.iter().chain(&record.losses) {
        writeln!(out, "  {count} times: {text}")?;
    }
    for check in record.checks.iter().chain(&record.goals) {
        let verdict = if check.ok { "ok    " } else { "FAILED" };
        let value = check.value.map_or("not measured".to_owned(), |value| format!("{value:.3}"));
        let (name, unit, bound) = (&check.name, &check.unit, check.bound);
        writeln!(out, "{verdict} {name}: {value} {unit} ({bound})")?;
    }
    let verdict = if record.held { "held" } else { "not held" };
    writeln!(out, "{verdict}; report {}", args.out.join("report.html").display())
}

fn figures(record: &Record) -> Vec<(&'static str, String)> {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let count = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
    let gaps = record.gaps.as_ref().map_or("-".to_owned(), |gaps| {
        format!("{:.0} / {:.0}", gaps.missing_ms_max, gaps.stall_ms_max)
    });
    let early = record.early_gaps.as_ref().map_or("-".to_owned(), |gaps| {
        format!("{:.0} / {:.0}", gaps.missing_ms_max, gaps.stall_ms_max)
    });
    let mut figures = vec![
        ("members joined / refused / lost", {
            let (refused, lost) = (count(record.refused), count(record.lost));
            format!("{} / {refused} / {lost}", count(record.joined))
        }),
        ("time until all had joined, s", number(record.join_seconds)),
        ("packet to a listener, ms", count(record.listener_packet_ms.map(u64::from))),
        ("node CPU, cores", number(record.node_cpu_cores)),
        ("node CPU for a member-second, ms", number(record.node_cpu_ms_per_member_second)),
        ("node CPU for a packet, µs", number(record.node_cpu_us_per_packet_out)),
        ("floor, µs", number(record.floor_cpu_us_per_packet)),
        ("node memory for a member, KiB", number(record.node_rss_kib_per_member)),
        ("load generator CPU, cores", number(record.loadgen_cpu_cores)),
        ("received of due, all / worst", {
            let worst = number(record.worst_member_ratio);
            format!("{} / {worst}", number(record.received_ratio))
        }),
        ("later than 60 ms, share", number(record.late60_ratio)),
        ("RTCP of all packets, share", {
            record.rtcp_ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.4}"))
        }),
        ("added delay p50 / p99 / max, ms", {
            let (p99, max) = (number(record.added_delay_ms_p99), number(record.added_delay_ms_max));
            format!("{} / {p99} / {max}", number(record.added_delay_ms_p50))
        }),
        ("marks heard", count(record.marks)),
        ("frames compared / differing / unmatched", {
            let (differing, rest) =
                (count(record.payload_mismatches), count(record.frames_unmatched));
            format!("{} / {differing} / {rest}", count(record.frames_compared))
        }),
        ("gap, missing / stall, ms", gaps),
        ("gap while others joined, ms", early),
        ("lowest mean opinion score", {
            number(record.gaps.as_ref().and_then(|gaps| gaps.mos_min))
        }),
        ("own voice, dB", number(record.own_share_db)),
        ("driver", record.driver.clone().unwrap_or_else(|| "-".to_owned())),
    ];
    if record.is_bridged() {
        figures.extend([
            ("streams of a member", count(record.streams_per_member_max.map(u64::from))),
            ("doubled / of these own / marks", {
                let (own, marks) = (count(record.own_received), count(record.doubled_marks));
                format!("{} / {own} / {marks}", count(record.doubled))
            }),
            ("missing of an onset p99, ms", number(record.onset_missing_ms_p99)),
            ("switches / turns", {
                format!("{} / {}", count(record.switches), count(record.turns))
            }),
            ("packets of the silent", count(record.noise_received)),
            ("datagrams in a gathered send", number(record.gso_segments_mean)),
            ("padding for an octet of payload", number(record.padding_ratio)),
            ("forwarding p50 / p99, ms", {
                let p99 = number(record.forward_delay_ms_p99);
                format!("{} / {p99}", number(record.forward_delay_ms_p50))
            }),
        ]);
    }
    figures
}
