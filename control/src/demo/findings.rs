//! What a demonstration showed: figures, and checks against their bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use sabha_client::sound::MarkDetector;
use sabha_core::message::Mode;
use sabha_media::codec::EncoderSettings;
use sabha_media::codec::opus::OpusEncoder;
use sabha_media::engine::RECEIVE_STREAMS_MAX;

use super::cast::{NodeCpu, Recording, SELF_SHARE_PERCENT, TALKERS_MAX};
use super::forwarding::Forwarding;
use super::measure::{
    added_delays, arrival, loudest_pause, packets, packets_forwarded, percentile_ms,
};
use super::report::{Check, Conference, Figure, Member, Report, Segment};
use super::script::{Line, Script};
use crate::node::NodeReport;

/// What was played, and what is left of it.
pub struct Performance {
    /// How the conference was carried.
    pub mode: Mode,
    /// What was to be said.
    pub script: Script,
    /// What everybody heard.
    pub recordings: Vec<Recording>,
    /// What the node counted.
    pub node: NodeReport,
    /// What it cost.
    pub node_cpu: NodeCpu,
    /// Whether node and CA ended in order.
    pub ended_in_order: Result<(), String>,
}

/// A report with the recordings that it tells of.
pub struct Findings {
    /// The report.
    pub report: Report,
    /// The recordings.
    pub recordings: Vec<Recording>,
    /// How long they are.
    pub duration: Duration,
}

/// Figures over all members, gathered before they are judged.
#[derive(Default)]
struct Figures {
    delays: Vec<Duration>,
    marks_missed: usize,
    worst_correlation: f32,
    longest_gap: Duration,
    worst_self_share_error: f32,
    self_share: f32,
    loudest_pause: f32,
    /// Of a bridge.
    forwarding: Option<Forwarding>,
}

impl Findings {
    /// Measures and judges.
    pub fn of(performance: Performance) -> Self {
        let Performance { mode, script, recordings, node, node_cpu, ended_in_order } = performance;
        let mut figures = Figures::gather(&script, &recordings, mode == Mode::Bridge);
        figures.delays.sort_unstable();
        let members: Vec<_> =
            recordings.iter().map(|one| member(&script, &recordings, one, &figures)).collect();
        let checks = checks(&figures, &members, &recordings, &node, &ended_in_order);
        let conference = conference(&figures, &recordings, &node, node_cpu);
        let segments = segments(&script, &recordings);
        let longest = recordings.iter().map(|one| one.heard.len()).max().unwrap_or(0);
        let duration = Duration::from_millis(longest as u64 / 48);
        let report = Report::new(checks, conference, segments, members);
        Self { report, recordings, duration }
    }
}

impl Figures {
    fn gather(script: &Script, recordings: &[Recording], is_forwarded: bool) -> Self {
        let mut figures =
            Self { worst_correlation: 1.0, loudest_pause: f32::NEG_INFINITY, ..Self::default() };
        let detector = MarkDetector::new();
        let listeners = recordings.iter().take(script.talkers + LISTENERS_MAX);
        for listener in listeners.filter(|one| !one.impaired) {
            let marks = added_delays(script, recordings, listener, &detector);
            figures.delays.extend(marks.delays);
            figures.marks_missed += marks.missed;
            figures.loudest_pause = figures.loudest_pause.max(loudest_pause(script, listener));
            let is_judged = |line: &&Line| !recordings[line.talker].impaired;
            for line in script.lines.iter().filter(is_judged) {
                figures.hear(line, &recordings[line.talker], listener);
            }
        }
        figures.forwarding = is_forwarded.then(|| Forwarding::of(script, recordings));
        if let Some(forwarding) = &mut figures.forwarding {
            // Of each packet, instead of the loudest one's at a mark.
            figures.delays = std::mem::take(&mut forwarding.delays);
        }
        figures
    }

    fn hear(&mut self, line: &Line, speaker: &Recording, listener: &Recording) {
        let arrival = arrival(line, speaker, listener);
        let correlation = arrival.map_or(0.0, |arrival| arrival.correlation);
        if !line.alone {
            if speaker.user != listener.user {
                // With another voice over it a line is still found, by a weaker match.
                let found = if correlation >= OVERLAPPED_MIN { 1.0 } else { 0.0 };
                self.worst_correlation = self.worst_correlation.min(found);
            }
            return;
        }
        if speaker.user == listener.user {
            let gain = arrival.map_or(1.0, |arrival| 10f32.powf(arrival.gain_db / 20.0));
            let wanted = f32::from(SELF_SHARE_PERCENT) / 100.0;
            let error = (gain / wanted - 1.0).abs();
            if error >= self.worst_self_share_error {
                self.worst_self_share_error = error;
                self.self_share = gain;
            }
            return;
        }
        self.worst_correlation = self.worst_correlation.min(correlation);
        let gap = arrival.map_or(Duration::MAX, |arrival| arrival.gap);
        self.longest_gap = self.longest_gap.max(gap);
    }
}

fn checks(
    figures: &Figures,
    members: &[Member],
    recordings: &[Recording],
    node: &NodeReport,
    ended_in_order: &Result<(), String>,
) -> Vec<Check> {
    let judged = || members.iter().filter(|one| !one.impaired);
    let short = judged().filter(|one| one.packets_in < one.packets_due).count();
    let lost: u64 = judged().map(|one| one.lost).sum();
    let unheard = recordings.iter().filter(|one| !one.report.connected).count();
    let repeats = recordings.first().map_or(0, |one| one.key_repeats as u64);
    let node_repeats = node.key_repeats.unwrap_or(u64::MAX);
    let unlogged = node.key_uses_unlogged.unwrap_or(u64::MAX);
    let gap_ms = figures.longest_gap.as_secs_f64() * 1_000.0;
    let ended = ended_in_order.as_ref().map_or_else(Clone::clone, |()| "yes".to_owned());
    let mut checks = vec![
        Check::new("members that the node was not heard by", unheard == 0, unheard as u64, 0),
        Check::new("members who lack packets that were due", short == 0, short as u64, 0),
        Check::new(
            "weakest match of a line with what was heard",
            figures.worst_correlation >= CORRELATION_MIN,
            round(f64::from(figures.worst_correlation)),
            format!("at least {CORRELATION_MIN}"),
        ),
        Check::new("longest silent gap in speech, ms", gap_ms == 0.0, round(gap_ms), 0),
        Check::new(
            "loudest sound in a pause, dBFS",
            figures.loudest_pause < PAUSE_DBFS_MAX,
            round(f64::from(figures.loudest_pause)),
            format!("below {PAUSE_DBFS_MAX}"),
        ),
        Check::new("keys used twice by members", repeats == 0, repeats, 0),
        Check::new(
            "keys used twice by the node",
            node_repeats == 0 && unlogged == 0 && node.key_uses.is_some_and(|uses| uses > 0),
            node_repeats,
            0,
        ),
        Check::new("node and CA ended in order", ended_in_order.is_ok(), ended, "yes"),
    ];
    // What is lost on a forwarded talker's own way is missing for everybody.
    if figures.forwarding.is_none() || !members.iter().any(|one| one.impaired) {
        checks.push(Check::new("packets lost", lost == 0, lost, 0));
    }
    checks.extend(figures.forwarding.as_ref().map_or_else(
        || mixing_checks(figures, node).to_vec(),
        |forwarding| forwarding_checks(forwarding).to_vec(),
    ));
    // In a small conference a bad network may leave nobody whose marks another hears unimpaired.
    let has_marks = figures.marks_missed > 0 || !figures.delays.is_empty();
    if has_marks || !members.iter().any(|one| one.impaired) {
        checks.extend(delay_checks(figures));
    }
    checks
}

fn mixing_checks(figures: &Figures, node: &NodeReport) -> [Check; 3] {
    let (encodes, decodes) = (node.ticks_over_encode_bound, node.ticks_over_decode_bound);
    [
        Check::new(
            "own voice that a talker hears",
            figures.worst_self_share_error <= 0.1,
            round(f64::from(figures.self_share)),
            "0.1 within 10 %",
        ),
        Check::new("ticks with too many encodes", encodes == 0 && node.ticks > 0, encodes, 0),
        Check::new("ticks with too many decodes", decodes == 0 && node.ticks > 0, decodes, 0),
    ]
}

fn forwarding_checks(forwarding: &Forwarding) -> [Check; 4] {
    let &Forwarding { streams_per_member_max: streams, doubled, switches, turns, .. } = forwarding;
    let missing_ms = percentile_ms(&forwarding.onsets_missing, 0.99);
    let streams_max = RECEIVE_STREAMS_MAX as u64;
    [
        Check::new("packets heard twice, or the own", doubled == 0, doubled, 0),
        Check::new(
            "missing of a talker's beginning, 99th percentile, ms",
            missing_ms <= 20.0,
            round(missing_ms),
            "at most 20",
        ),
        Check::new(
            "streams to a member at once",
            (1..=streams_max).contains(&streams),
            streams,
            format!("at most {streams_max}"),
        ),
        Check::new(
            "streams that went over to another talker",
            switches <= turns,
            switches,
            format!("at most {turns}, one for each who begins"),
        ),
    ]
}

fn delay_checks(figures: &Figures) -> [Check; 3] {
    let p50 = percentile_ms(&figures.delays, 0.5);
    let p99 = percentile_ms(&figures.delays, 0.99);
    [
        Check::new("added delay, median, ms", p50 <= 20.0, round(p50), "at most 20"),
        Check::new("added delay, 99th percentile, ms", p99 <= 40.0, round(p99), "at most 40"),
        Check::new(
            "marks not heard",
            figures.marks_missed == 0 && !figures.delays.is_empty(),
            figures.marks_missed as u64,
            0,
        ),
    ]
}

fn conference(
    figures: &Figures,
    recordings: &[Recording],
    node: &NodeReport,
    cpu: NodeCpu,
) -> Conference {
    let member_seconds = recordings.len() as f64 * cpu.over.as_secs_f64();
    let settings = EncoderSettings { bitrate: 32_000, complexity: 5 };
    let lookahead = OpusEncoder::new(settings).lookahead_samples();
    let mut more = BTreeMap::from([
        ("marks_heard".to_owned(), Figure::Count(figures.delays.len() as u64)),
        ("packets_out".to_owned(), Figure::Count(node.packets_out)),
        ("driver".to_owned(), Figure::Text(node.driver.clone())),
        ("key_uses".to_owned(), Figure::Count(node.key_uses.unwrap_or(0))),
    ]);
    if let Some(forwarding) = &figures.forwarding {
        more.extend(forwarding_figures(forwarding, node));
    }
    Conference {
        members: recordings.len() as u32,
        talkers_max: u32::from(TALKERS_MAX),
        added_delay_ms_p50: round(percentile_ms(&figures.delays, 0.5)),
        added_delay_ms_p99: round(percentile_ms(&figures.delays, 0.99)),
        lookahead_ms: f64::from(lookahead) / 48.0,
        ticks: node.ticks,
        ticks_over_encode_bound: node.ticks_over_encode_bound,
        ticks_over_decode_bound: node.ticks_over_decode_bound,
        encodes_per_tick_median: f64::from(node.encodes_per_tick_median),
        decodes_per_tick_median: f64::from(node.decodes_per_tick_median),
        node_cpu_ms_per_member_second: round(cpu.used.as_secs_f64() * 1_000.0 / member_seconds),
        more,
    }
}

fn forwarding_figures(
    forwarding: &Forwarding,
    node: &NodeReport,
) -> impl Iterator<Item = (String, Figure)> + use<> {
    let padding = node.forwarding.padding_octets as f64 / node.octets_out.max(1) as f64;
    let missing_ms = percentile_ms(&forwarding.onsets_missing, 0.99);
    let figures = [
        ("streams_per_member_max", Figure::Count(forwarding.streams_per_member_max)),
        ("doubled", Figure::Count(forwarding.doubled)),
        ("onset_missing_ms_p99", Figure::from(round(missing_ms))),
        ("switches", Figure::Count(forwarding.switches)),
        ("turns", Figure::Count(forwarding.turns)),
        ("gso_segments_mean", Figure::from(round(node.gso_segments_mean))),
        ("padding_ratio", Figure::from(round(padding))),
    ];
    figures.map(|(name, figure)| (name.to_owned(), figure)).into_iter()
}

/// Returns when each line was heard, on the clock of the first listener's recording.
fn segments(script: &Script, recordings: &[Recording]) -> Vec<Segment> {
    let listener = recordings.get(script.talkers).or(recordings.first());
    let lines = script.lines.iter().map(|line| {
        let speaker = &recordings[line.talker];
        let heard = listener.and_then(|listener| arrival(line, speaker, listener));
        let start = heard.map_or(line.start, |heard| heard.at.max(0).cast_unsigned());
        Segment {
            user: speaker.user.clone(),
            clip: line.clip.clone(),
            start_ms: start / 48,
            end_ms: (start + line.samples.len() as u64) / 48,
            alone: line.alone,
        }
    });
    lines.collect()
}

fn member(
    script: &Script,
    recordings: &[Recording],
    recording: &Recording,
    figures: &Figures,
) -> Member {
    let (packets_in, packets_due) = match figures.forwarding {
        Some(_) => packets_forwarded(script, recordings, recording),
        None => packets(script, recording),
    };
    let report = &recording.report;
    let timeline = recording.buffer_timeline.iter().copied();
    let buffer = |share| report.heard.delays.percentile(share).map_or(f64::NAN, milliseconds);
    let mos = report.quality().map_or(f64::NAN, |quality| quality.mos.value().into());
    Member {
        user: recording.user.clone(),
        wav: recording.wav(),
        reference_wav: recording.said.as_ref().map(|_| recording.reference_wav()),
        packets_in,
        packets_due,
        lost: report.lost.max(0).cast_unsigned(),
        concealed: report.concealed,
        jitter_ms: round(milliseconds(report.jitter)),
        buffer_ms_p50: buffer(0.5),
        buffer_ms_p99: buffer(0.99),
        buffer_timeline_ms: timeline.map(|second| second.map(milliseconds)).collect(),
        mos: round(mos),
        red_copies: report.red_copies,
        impaired: recording.impaired,
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Rounds to three decimals, for people.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Listeners whose recordings are listened to, beside all talkers.
const LISTENERS_MAX: usize = 8;

/// Something else stays below 0.3. Speech after two Opus generations correlates above 0.75; above 0.6
/// if it holds much rumble, which the encoder's high-pass filter takes away.
const CORRELATION_MIN: f32 = 0.5;

/// The same under another voice of equal level.
const OVERLAPPED_MIN: f32 = 0.3;

/// What must be silence: nobody's noise, only comfort noise.
const PAUSE_DBFS_MAX: f32 = -70.0;
