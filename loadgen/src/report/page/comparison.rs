//! The page of several runs beside each other.

use std::collections::BTreeMap;

use super::super::check::Check;
use super::super::model::Record;
use super::super::number;
use super::super::plot::{Axis, Chart};
use super::{charts, page, run, table, verdict};

/// Renders records, in the order given, as one page; `ratios` compare some with each other.
pub(in super::super) fn comparison_page(records: &[Record], ratios: &[Check]) -> String {
    let held = records.iter().filter(|record| record.held).count();
    let all = records.len();
    let headline = if held == all {
        format!("Held: all {all} runs")
    } else {
        format!("Not held: {} of {all} runs", all - held)
    };
    let machine = records.first().map(|record| &record.machine);
    let sentence = machine.map_or_else(String::new, |machine| {
        let cores = machine.cores.map_or_else(String::new, |cores| format!("{cores} cores, "));
        let kernel = machine.kernel.as_deref().map(|kernel| format!(", kernel {kernel}"));
        let model = machine.cpu_model.as_deref().unwrap_or("processor not named");
        format!("{cores}{model}{}", kernel.unwrap_or_default())
    });
    let mut body = verdict(held == all && all > 0, &headline, &sentence);
    body.push_str("<h2>The runs</h2>\n");
    body.push_str(&table::plain(&HEAD, &records.iter().map(row).collect::<Vec<_>>()));
    body.push_str(&table::checks("Runs against each other", ratios));
    body.push_str("<h2>Against the number of members</h2>\n");
    body.push_str(&charts::grid(over_members(records)));
    body.push_str(&table::checks("Goals for runs of these sizes", &goals(records)));
    for record in records.iter().filter(|record| !record.held) {
        body.push_str(&table::checks(&run::headline(record), &record.checks));
    }
    page("Sabha load: runs compared", &body)
}

/// The goals of all runs, each with its run's name.
fn goals(records: &[Record]) -> Vec<Check> {
    let named = |record: &Record| {
        let name = record.name();
        let goals = record.goals.clone().into_iter();
        goals.map(move |goal| Check { name: format!("{name}: {}", goal.name), ..goal })
    };
    records.iter().flat_map(named).collect()
}

const HEAD: [&str; 11] = [
    "Run",
    "held",
    "CPU, ms a member-second",
    "CPU, µs a packet",
    "floor, µs",
    "delay p50, ms",
    "delay p99, ms",
    "late, %",
    "received, %",
    "KiB a member",
    "joined in, s",
];

fn row(record: &Record) -> Vec<String> {
    let percent = |ratio: Option<f64>| number::optional(ratio.map(|ratio| ratio * 100.0));
    vec![
        record.name(),
        if record.held { "✓" } else { "✗" }.to_owned(),
        number::optional(record.node_cpu_ms_per_member_second),
        number::optional(record.node_cpu_us_per_packet_out),
        number::optional(record.floor_cpu_us_per_packet),
        number::optional(record.added_delay_ms_p50),
        number::optional(record.added_delay_ms_p99),
        percent(record.late60_ratio),
        percent(record.received_ratio),
        number::optional(record.node_rss_kib_per_member),
        number::optional(record.join_seconds),
    ]
}

/// What a chart reads off a record.
type Value = fn(&Record) -> Option<f64>;

/// Title, unit, and the values with their names.
type Plot = (&'static str, &'static str, &'static [(&'static str, Value)]);

fn over_members(records: &[Record]) -> Vec<Chart> {
    let plots: [Plot; 4] = [
        (
            "Node CPU for a member-second",
            "ms",
            &[("", |record| record.node_cpu_ms_per_member_second)],
        ),
        (
            "Node CPU for a packet out, and the floor",
            "µs",
            &[
                ("", |record| record.node_cpu_us_per_packet_out),
                ("floor", |record| record.floor_cpu_us_per_packet),
            ],
        ),
        (
            "Added delay",
            "ms",
            &[
                ("p50", |record| record.added_delay_ms_p50),
                ("p99", |record| record.added_delay_ms_p99),
            ],
        ),
        ("Node memory for a member", "KiB", &[("", |record| record.node_rss_kib_per_member)]),
    ];
    plots.map(|(title, unit, values)| chart(title, unit, values, records)).into()
}

/// One curve for each value and each kind of run, over the number of members.
fn chart(title: &str, unit: &str, values: &[(&str, Value)], records: &[Record]) -> Chart {
    let fewest = records.iter().map(|record| record.members).min().unwrap_or(1).max(1);
    let decade = 10_f64.powi(fewest.ilog10().cast_signed());
    let members = Axis::log("members (logarithmic)", decade);
    let mut chart = Chart::new(title, members, Axis::from_zero(unit));
    let mut kinds: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
    for record in records {
        kinds.entry(kind(record)).or_default().push(record);
    }
    for (kind, mut records) in kinds {
        records.sort_by_key(|record| record.members);
        for (name, value) in values {
            let points = |record: &&Record| Some((f64::from(record.members), value(record)?));
            let points: Vec<_> = records.iter().filter_map(points).collect();
            let name = [kind.as_str(), name].join(" ");
            if !points.is_empty() {
                chart.dotted(name.trim(), points);
            }
        }
    }
    chart
}

/// Runs that one curve joins: all but the number of members is alike.
fn kind(record: &Record) -> String {
    let parameters = &record.parameters;
    let packet = match parameters.listener_packet.as_str() {
        "auto" => "auto".to_owned(),
        ms => format!("{ms} ms"),
    };
    match record.conferences {
        0 | 1 => packet,
        _ => format!("rooms of {}, {packet}", parameters.members_each),
    }
}
