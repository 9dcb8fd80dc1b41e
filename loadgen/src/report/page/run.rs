//! The page of one run.

use super::super::escape;
use super::super::model::Record;
use super::super::number;
use super::super::parts::Floor;
use super::{charts, page, table, verdict};

/// Renders one record as a page.
pub(in super::super) fn run_page(record: &Record) -> String {
    let mut body = verdict(record.held, &headline(record), &sentence(record));
    body.push_str(&figures(record));
    body.push_str(&table::checks("What makes the run held", &record.checks));
    body.push_str(&table::checks("Goals for a run of this size", &record.goals));
    body.push_str(&forwarded(record));
    body.push_str(&sound(record));
    body.push_str(&floors(record));
    body.push_str("<h2>Second by second</h2>\n");
    body.push_str(&charts::series(record));
    if record.lateness.total() + record.added_delay.total() > 0 {
        body.push_str("<h2>How late, how long</h2>\n");
        body.push_str(&charts::histograms(record));
    }
    body.push_str(&worst(record));
    body.push_str(&refusals(record));
    body.push_str("<h2>What was run</h2>\n");
    body.push_str(&facts(record));
    page(&format!("Sabha load: {}", record.name()), &body)
}

/// `Held: ...` or `Not held: ...`, with the number of checks.
pub(super) fn headline(record: &Record) -> String {
    let all = record.checks.len();
    let failed = record.checks.iter().filter(|check| !check.ok).count();
    match (record.held, failed) {
        (true, _) => format!("Held: {}", record.name()),
        (false, 0) => format!("Not held: {}, nothing was checked", record.name()),
        (false, failed) => {
            format!("Not held: {}, {failed} of {all} checks failed", record.name())
        }
    }
}

fn sentence(record: &Record) -> String {
    let count = |number: Option<u64>| number::optional(number.map(|number| number as f64));
    let mut text = format!(
        "{} conferences, {} members, {} of them talking; {} s measured.",
        number::text(record.conferences.into()),
        number::text(record.members.into()),
        number::text(record.talkers.into()),
        number::text(record.seconds)
    );
    if record.conferences == 1 {
        text = text.replacen("1 conferences", "One conference", 1);
    }
    if record.packets_in.is_some() {
        text.push_str(&format!(
            " Members received {} of {} packets that were due by schedule.",
            count(record.packets_in),
            count(record.packets_due)
        ));
    }
    if record.is_bridged() {
        text.push_str(&format!(
            " {} packets were compared octet for octet with what their talkers said.",
            count(record.frames_compared)
        ));
    } else if record.frames_compared.is_some_and(|frames| frames > 0) {
        text.push_str(&format!(
            " {} frames were compared octet for octet with what decoded members received.",
            count(record.frames_compared)
        ));
    }
    text
}

fn figures(record: &Record) -> String {
    let packets = record.node_cpu_us_per_packet_out;
    let over = packets.zip(record.floor_cpu_us_per_packet).map(|(node, floor)| node / floor);
    let percent = |ratio: Option<f64>| ratio.map(|ratio| ratio * 100.0);
    let figures = [
        ("node CPU for a member-second", record.node_cpu_ms_per_member_second, "ms"),
        ("node CPU for a packet out", packets, "µs"),
        ("the same over the floor", over, "times"),
        ("added delay, median", record.added_delay_ms_p50, "ms"),
        ("added delay, 99th percentile", record.added_delay_ms_p99, "ms"),
        ("later than 60 ms", percent(record.late60_ratio), "%"),
        ("RTCP of all packets", percent(record.rtcp_ratio), "%"),
        ("received of what was due", percent(record.received_ratio), "%"),
        ("node memory for a member", record.node_rss_kib_per_member, "KiB"),
        ("time until all had joined", record.join_seconds, "s"),
        ("node CPU", record.node_cpu_cores, "cores"),
        ("load generator's CPU", record.loadgen_cpu_cores, "cores"),
    ];
    let tiles = figures.into_iter().filter_map(|(label, value, unit)| {
        let value = escape::html(&number::text(value?));
        Some(format!(
            "<div class=\"figure\"><b>{value} <small>{unit}</small></b>\
             <span>{label}</span></div>\n"
        ))
    });
    format!("<div class=\"figures\">\n{}</div>\n", tiles.collect::<String>())
}

/// What members received of a bridge; nothing in a mixer's run.
fn forwarded(record: &Record) -> String {
    let count = |count: Option<u64>| count.map(|count| count as f64);
    let rows = [
        ("streams of one member in use within a second, at most", {
            record.streams_per_member_max.map(f64::from)
        }),
        ("frames received twice, or own", count(record.doubled)),
        ("of these, own", count(record.own_received)),
        ("missing of the beginning of talk, 99th percentile, ms", record.onset_missing_ms_p99),
        ("changes of the talker in a listener's streams", count(record.switches)),
        ("talkers' turns by schedule", count(record.turns)),
        ("packets of those who say nothing", count(record.noise_received)),
        ("packets that name another talker", count(record.unsourced)),
        ("sequence numbers that do not go on", count(record.sequence_breaks)),
        ("delay of forwarding, median, ms", record.forward_delay_ms_p50),
        ("delay of forwarding, 99th percentile, ms", record.forward_delay_ms_p99),
        ("datagrams in a gathered send, mean", record.gso_segments_mean),
        ("padding for each octet of payload", record.padding_ratio),
    ];
    let known = rows.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let rows: Vec<_> =
        known.map(|(name, value)| vec![name.to_owned(), number::text(value)]).collect();
    if !record.is_bridged() || rows.is_empty() {
        return String::new();
    }
    format!("<h2>Forwarding</h2>\n{}", table::plain(&["Received from the bridge", ""], &rows))
}

/// What decoded members heard; nothing if there were none.
fn sound(record: &Record) -> String {
    let count = |count: Option<u64>| count.map(|count| count as f64);
    let gaps = record.gaps.as_ref();
    let early = record.early_gaps.as_ref();
    let rows = [
        ("speech that one listener missed, at most, ms", gaps.map(|gaps| gaps.missing_ms_max)),
        ("speech heard later than usual, at most, ms", gaps.map(|gaps| gaps.stall_ms_max)),
        ("mean opinion score of one listener, at least", gaps.and_then(|gaps| gaps.mos_min)),
        ("missed while others joined, at most, ms", early.map(|gaps| gaps.missing_ms_max)),
        ("later than usual while others joined, ms", early.map(|gaps| gaps.stall_ms_max)),
        ("own voice against the others', dB", record.own_share_db),
        ("samples at the limit of loudness", count(record.clipped_samples)),
        ("marks that the added delay comes from", count(record.marks)),
        ("members who decode", count(record.decoded_members)),
    ];
    let known = rows.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let rows: Vec<_> =
        known.map(|(name, value)| vec![name.to_owned(), number::text(value)]).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = ["Heard by members who decode", ""];
    format!("<h2>Sound</h2>\n{}", table::plain(&head, &rows))
}

fn floors(record: &Record) -> String {
    let Some(floor) = record.floor_cpu_us_per_packet else { return String::new() };
    let bare = |floor: &Option<Floor>| floor.as_ref().map(|floor| floor.cpu_us_per_packet);
    let rows = [
        ("the node, all its work", record.node_cpu_us_per_packet_out),
        ("sending alone, before the run", bare(&record.floor_before)),
        ("sending alone, after the run", bare(&record.floor_after)),
    ];
    let known = rows.into_iter().filter_map(|(name, us)| Some((name, us?)));
    let row =
        |(name, us): (&str, f64)| vec![name.to_owned(), number::text(us), number::text(us / floor)];
    let head = ["CPU for a packet", "µs", "over the floor"];
    format!(
        "<h2>Against the floor</h2>\n{}",
        table::plain(&head, &known.map(row).collect::<Vec<_>>())
    )
}

fn worst(record: &Record) -> String {
    if record.worst_members.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = record
        .worst_members
        .iter()
        .take(WORST_MAX)
        .map(|line| {
            let role = if line.talks { "talker" } else { "listener" };
            vec![
                format!("{role} {} of conference {}", line.member, line.conference),
                number::text(line.packets_in as f64),
                number::text(line.packets_due as f64),
                number::text(line.late60 as f64),
                number::text(line.late_ms_max),
            ]
        })
        .collect();
    let head = ["Member", "packets received", "due", "later than 60 ms", "latest, ms"];
    format!("<h2>Who received least</h2>\n{}", table::plain(&head, &rows))
}

fn refusals(record: &Record) -> String {
    if record.refusals.is_empty() {
        return String::new();
    }
    let row = |(text, count): (&String, &u64)| vec![text.clone(), number::text(*count as f64)];
    let rows: Vec<Vec<String>> = record.refusals.iter().map(row).collect();
    format!("<h2>Refusals</h2>\n{}", table::plain(&["What members were told", "members"], &rows))
}

fn facts(record: &Record) -> String {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let whole = |number: Option<u32>| number.map(|number| number.to_string());
    let (parameters, machine) = (&record.parameters, &record.machine);
    let settings = parameters.node_settings.iter().map(|(key, value)| format!("{key}={value}"));
    table::facts(&[
        ("command", text(&parameters.command)),
        ("mode", text(&record.mode)),
        ("talk", text(&parameters.pattern)),
        ("noisy members", (parameters.noisy > 0).then(|| parameters.noisy.to_string())),
        ("packets to listeners", text(&parameters.listener_packet)),
        ("joins in a second", parameters.join_rate.map(number::text)),
        ("loss", Some(format!("{} %", number::text(parameters.loss_percent)))),
        ("leaving and joining", Some(format!("{} a second", number::text(parameters.churn)))),
        ("processes of the load generator", Some(parameters.processes.to_string())),
        ("seed", Some(parameters.seed.to_string())),
        ("driver", record.driver.clone()),
        ("node", record.node.version.clone()),
        ("node's shards", whole(record.node.shards)),
        ("node's threads", whole(record.node.threads)),
        ("node's settings", text(&settings.collect::<Vec<_>>().join(", "))),
        ("processor", machine.cpu_model.clone()),
        ("cores", whole(machine.cores)),
        ("kernel", machine.kernel.clone()),
    ])
}

/// More would not be read.
const WORST_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::super::comparison_page;
    use super::*;

    /// A record with text that would be markup in every place that takes text.
    fn hostile() -> Record {
        let text = || "<script>alert('x')</script>\"&".to_owned();
        sample::judged(|record| {
            record.lost = None;
            record.mode = text();
            record.driver = Some(text());
            record.refusals.insert(text(), 3);
            record.parameters.command = text();
            record.parameters.listener_packet = text();
            record.parameters.node_settings.insert(text(), text());
            record.machine.cpu_model = Some(text());
            record.machine.kernel = Some(text());
        })
    }

    /// Returns the tags left open, and asserts that each is closed in turn.
    fn open_tags(html: &str) -> Vec<String> {
        let mut open: Vec<String> = Vec::new();
        for tag in html.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("every tag ends");
            let name = tag.split([' ', '\n']).next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "in {tag}"),
                None if tag.ends_with('/') || ["!DOCTYPE", "meta"].contains(&name) => {}
                None => open.push(name.to_owned()),
            }
        }
        open
    }

    #[test]
    fn pages_are_whole_and_foreign_text_is_text() {
        let (hostile, nothing) = (hostile(), Record::default());
        let records = [hostile.clone(), nothing.clone()];
        let comparisons = [comparison_page(&records, &[]), comparison_page(&[], &[])];
        for page in [run_page(&hostile), run_page(&nothing)].into_iter().chain(comparisons) {
            assert_eq!(open_tags(&page), Vec::<String>::new());
            for foreign in ["<script", "http://", "https://", "@import", "url(", "NaN"] {
                assert!(!page.contains(foreign), "{foreign}");
            }
        }
        assert!(run_page(&hostile).contains("&lt;script&gt;"));
    }

    #[test]
    fn forwarding_is_shown_of_a_bridge_only() {
        let bridge = run_page(&sample::judged(sample::bridge));
        for figure in ["Forwarding", "in a gathered send", "turns by schedule", "2.6"] {
            assert!(bridge.contains(figure), "{figure}");
        }
        assert_eq!(open_tags(&bridge), Vec::<String>::new());
        assert!(!run_page(&sample::judged(|_| {})).contains("Forwarding"));
    }

    #[test]
    fn what_was_not_measured_is_said_so() {
        let page = run_page(&hostile());
        assert!(page.contains("not measured") && page.contains("1 of 10 checks failed"));
    }

    #[test]
    fn every_picture_of_a_full_record_is_drawn() {
        let page = run_page(&sample::judged(|_| {}));
        assert_eq!(page.matches("<figure>").count(), 8);
        assert_eq!(run_page(&Record::default()).matches("<figure>").count(), 0);
    }
}
