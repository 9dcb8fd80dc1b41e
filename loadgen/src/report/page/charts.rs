//! The pictures of one run.

use super::super::histogram::Histogram;
use super::super::model::Record;
use super::super::plot::{Axis, Chart};
use super::super::series::Point;

/// Draws the run second by second.
pub(super) fn series(record: &Record) -> String {
    let charts = [throughput, late, cpu, memory, members, things]
        .map(|draw: fn(&Record) -> Chart| draw(record));
    grid(charts.into_iter().map(|chart| with_steady(record, chart)).collect())
}

/// Draws how late packets were and what delay the node added.
pub(super) fn histograms(record: &Record) -> String {
    let mut late = histogram("Lateness of packets", "packets", &record.lateness);
    late.mark(60.0, "60 ms: late");
    let mut delay = histogram("Delay that the node adds", "marks", &record.added_delay);
    for (ms, name) in [(record.added_delay_ms_p50, "median"), (record.added_delay_ms_p99, "p99")] {
        if let Some(ms) = ms {
            delay.mark(ms, &format!("{name} {ms:.1} ms"));
        }
    }
    let late = if record.lateness.total() > 0 { Some(late) } else { None };
    let delay = if record.added_delay.total() > 0 { Some(delay) } else { None };
    grid([late, delay].into_iter().flatten().collect())
}

/// Lays charts out side by side; empty ones are left out.
pub(super) fn grid(charts: Vec<Chart>) -> String {
    let charts: String =
        charts.into_iter().filter(|chart| !chart.is_empty()).map(Chart::html).collect();
    format!("<div class=\"charts\">\n{charts}</div>\n")
}

fn throughput(record: &Record) -> Chart {
    let mut chart = over_time("Packets that members received", "packets in a second");
    let received = |point: &Point| point.packets_in.map(|count| count as f64);
    chart.curve("received", curve(record, received));
    if let (Some(due), true) = (record.packets_due, record.seconds > 0.0) {
        chart.limit(due as f64 / record.seconds, "due in the steady part");
    }
    chart
}

fn late(record: &Record) -> Chart {
    let mut chart = over_time("Packets later than 60 ms", "packets in a second");
    chart.curve("late", curve(record, |point| point.late60.map(|count| count as f64)));
    chart
}

fn cpu(record: &Record) -> Chart {
    let mut chart = over_time("Processor time", "cores");
    chart.curve("node", curve(record, |point| point.node_cpu_cores));
    chart.curve("load generator", curve(record, |point| point.loadgen_cpu_cores));
    chart
}

fn memory(record: &Record) -> Chart {
    let mut chart = over_time("Resident memory of the node", "MiB");
    let mib = |point: &Point| point.node_rss_kib.map(|kib| kib as f64 / 1_024.0);
    chart.curve("memory", curve(record, mib));
    chart
}

fn members(record: &Record) -> Chart {
    let mut chart = over_time("Members in their conferences", "members");
    chart.curve("members", curve(record, |point| Some(point.joined as f64)));
    chart
}

fn things(record: &Record) -> Chart {
    let mut chart = over_time("What the node's process holds", "count");
    let descriptors = |point: &Point| point.node_descriptors.map(|count| count as f64);
    chart.curve("descriptors", curve(record, descriptors));
    chart.curve("threads", curve(record, |point| point.node_threads.map(|count| count as f64)));
    chart
}

fn over_time(title: &str, unit: &str) -> Chart {
    Chart::new(title, Axis::from_zero("seconds since the first join"), Axis::from_zero(unit))
}

fn with_steady(record: &Record, mut chart: Chart) -> Chart {
    if let Some(steady) = record.steady {
        chart.band(steady.from_s, steady.to_s, "steady part");
    }
    chart
}

fn curve(record: &Record, value: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
    record.series.iter().filter_map(|point| Some((point.at_s, value(point)?))).collect()
}

fn histogram(title: &str, what: &str, histogram: &Histogram) -> Chart {
    let x = Axis::log("ms (logarithmic)", LATENESS_MS_MIN);
    let mut chart = Chart::new(title, x, Axis::log(&format!("{what} (logarithmic)"), 1.0));
    let mut bars: Vec<(f64, f64, f64)> = Vec::new();
    for (from_ms, to_ms, count) in histogram.steps() {
        let bar = (from_ms.max(LATENESS_MS_MIN).log2() * BARS_PER_DOUBLING).floor();
        let edge = |bar: f64| 2_f64.powf(bar / BARS_PER_DOUBLING);
        match bars.last_mut() {
            Some(last) if from_ms < last.1 * 0.999 || to_ms <= LATENESS_MS_MIN => {
                last.2 += count as f64;
            }
            _ => bars.push((edge(bar), edge(bar + 1.0), count as f64)),
        }
    }
    chart.bars(bars);
    chart
}

/// Less than this is no delay that anybody would look at.
const LATENESS_MS_MIN: f64 = 0.1;

/// A bar then holds four steps of the histogram.
const BARS_PER_DOUBLING: f64 = 4.0;
