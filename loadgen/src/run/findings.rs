//! What the workers' results and the readings of processes say of the run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::TALKERS_MIN;
use super::args::{RunArgs, RunMode};
use super::node_metrics::Sending;
use super::watch::Usage;
use crate::report::{Gaps, Histogram, MemberLine, Record};
use crate::worker::hall::ForwardedSums;
use crate::worker::message::{EarResult, Heard, MarkTime, Span, WorkerResult};
use crate::worker::tally::{ForwardedTally, Tally};

/// Everything that a run gathered.
pub struct Gathered<'a> {
    /// What was asked for.
    pub args: &'a RunArgs,
    /// The result of each worker.
    pub results: Vec<WorkerResult>,
    /// The measured part.
    pub steady: Span,
    /// CPU and memory over it.
    pub usage: Usage,
    /// How the node sent over it, if it told.
    pub sending: Option<Sending>,
}

/// Sizes and cadence of what listeners received, for the floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Octets of a packet, mean, without IP and UDP headers.
    pub bytes_mean: f64,
    /// Frames in a packet of a listener, rounded.
    pub frames: u32,
    /// Packets for a listener at a time, on average.
    pub gather: f64,
    /// Time between two sends to the same listener.
    pub interval: Duration,
}

impl Traffic {
    /// Returns the traffic of a mixer: one packet at a time, of so many frames.
    pub fn mixed(bytes_mean: f64, frames: u32) -> Self {
        Self { bytes_mean, frames, gather: 1.0, interval: Duration::from_millis(20) * frames }
    }
}

impl Gathered<'_> {
    /// Fills in all figures that come from members and processes.
    pub fn fill(self, record: &mut Record) -> Option<Traffic> {
        let traffic = self.traffic();
        self.fill_counts(record);
        if self.args.talkers_each() > 0 {
            record.listener_packet_ms = traffic.map(|traffic| traffic.frames * 20);
            self.fill_packets(record);
            if self.is_bridged() {
                self.fill_forwarded(record);
            }
            self.fill_delay(record, traffic);
            self.fill_ears(record);
        }
        self.fill_usage(record);
        traffic
    }

    fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.results.iter().flat_map(|result| &result.tallies).filter(|tally| !tally.churns)
    }

    fn ears(&self) -> impl Iterator<Item = &EarResult> {
        self.results.iter().flat_map(|result| &result.ears)
    }

    fn is_bridged(&self) -> bool {
        self.args.mode == RunMode::Bridge
    }

    fn sum(&self, of: impl Fn(&WorkerResult) -> u64) -> u64 {
        self.results.iter().map(of).sum()
    }

    fn seconds(&self) -> f64 {
        (self.steady.to - self.steady.from) as f64 / 1e9
    }

    /// Returns what most listeners received; talkers' if nobody only listens.
    fn traffic(&self) -> Option<Traffic> {
        let sum = |talks: bool| {
            let tallies = self.tallies().filter(|tally| tally.talks == talks);
            tallies.fold((0, 0, 0), |(packets, frames, octets), tally| {
                let steady = &tally.steady;
                let all = steady.packets + steady.reports;
                (packets + all, frames + steady.frames, octets + steady.octets)
            })
        };
        let listeners = sum(false);
        let (packets, frames, octets) = if listeners.1 > 0 { listeners } else { sum(true) };
        let bytes_mean = octets as f64 / packets as f64;
        let whole = |number: f64| (number.round() as u32).max(1);
        let mixed = (frames > 0)
            .then(|| Traffic::mixed(bytes_mean, whole(frames as f64 / packets as f64)))?;
        if !self.is_bridged() {
            return Some(mixed);
        }
        let gather = self.sending.map_or(1.0, Sending::gathered_mean).max(1.0);
        let members = self.tallies().filter(|tally| tally.talks == (listeners.1 == 0)).count();
        let each = packets as f64 / members as f64 / gather;
        Some(Traffic { gather, interval: Duration::from_secs_f64(self.seconds() / each), ..mixed })
    }

    /// Returns the share of RTCP in all packets of the steady part, both ways.
    fn rtcp_ratio(&self) -> Option<f64> {
        let steady = self.results.iter().flat_map(|one| &one.tallies).map(|tally| tally.steady);
        let (reports, packets) = steady.fold((0, 0), |(reports, packets), steady| {
            let of_member = steady.reports + steady.reports_out;
            (reports + of_member, packets + of_member + steady.packets + steady.packets_out)
        });
        (packets > 0).then(|| reports as f64 / packets as f64)
    }

    fn fill_counts(&self, record: &mut Record) {
        for result in &self.results {
            for (text, count) in result.refusals.iter().chain(&result.failures) {
                *record.refusals.entry(text.clone()).or_default() += count;
            }
            for (text, count) in &result.lost {
                *record.losses.entry(text.clone()).or_default() += count;
            }
        }
        let refused = self.sum(|result| result.refusals.values().sum());
        let failed = self.sum(|result| result.failures.values().sum());
        let all = u64::from(self.args.members_all());
        record.refused = Some(refused);
        record.joined = Some(all.saturating_sub(refused + failed));
        record.lost = Some(self.sum(|result| result.lost.values().sum()));
        record.packets_in = Some(self.tallies().map(|tally| tally.steady.packets).sum());
        record.packets_out = Some(self.tallies().map(|tally| tally.packets_out).sum());
        record.rtcp_ratio = self.rtcp_ratio();
        record.receive_overflows = Some(self.sum(|result| result.receive_overflows));
        record.churned = Some(self.sum(|result| result.churned));
    }

    fn fill_packets(&self, record: &mut Record) {
        let mut lines: Vec<_> = self.tallies().map(|tally| self.line(tally)).collect();
        lines.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let due: u64 = lines.iter().map(|line| line.packets_due).sum();
        let received: u64 = lines.iter().map(|line| line.packets_in.min(line.packets_due)).sum();
        record.packets_due = Some(due);
        record.received_ratio = (due > 0).then(|| received as f64 / due as f64);
        record.worst_member_ratio = lines.first().map(ratio);
        lines.truncate(WORST_MAX);
        record.worst_members = lines;
        let mut lateness = Histogram::default();
        let (mut packets, mut late) = (0, 0);
        for result in &self.results {
            lateness.merge(&result.lateness);
            packets += result.tallies.iter().map(|tally| tally.steady.packets).sum::<u64>();
            late += result.tallies.iter().map(|tally| tally.steady.late60).sum::<u64>();
        }
        if self.is_bridged() {
            // Of talkers in another process it is not known when they sent.
            packets = lateness.total();
        }
        record.late60_ratio = (packets > 0).then(|| late as f64 / packets as f64);
        record.lateness = lateness;
        record.frames_compared = Some(self.sum(|result| result.frames_compared));
        record.payload_mismatches = Some(self.sum(|result| result.payload_mismatches));
        record.frames_unmatched = Some(self.sum(|result| result.frames_unmatched));
    }

    /// Fills in what only a bridge has.
    fn fill_forwarded(&self, record: &mut Record) {
        let tallies = || self.results.iter().flat_map(|result| &result.tallies);
        let each = || tallies().filter_map(|tally| tally.forwarded);
        let all = |of: fn(&ForwardedTally) -> u64| Some(each().map(|one| of(&one)).sum::<u64>());
        record.frames_compared = all(|one| one.compared);
        record.payload_mismatches = all(|one| one.mismatches);
        record.frames_unmatched = None;
        record.own_received = all(|one| one.own);
        record.doubled_marks = Some(self.ears().map(|ear| ear.doubled_marks).sum());
        let doubled = all(|one| one.doubled + one.own).zip(record.doubled_marks);
        record.doubled = doubled.map(|(frames, marks)| frames + marks);
        record.noise_received = all(|one| one.noise);
        record.unsourced = all(|one| one.unsourced);
        record.sequence_breaks = all(|one| one.breaks);
        record.streams_per_member_max = each().map(|one| one.streams_max).max();
        record.turns = Some(self.sum(|result| result.turns));
        record.switches = Some(self.switches());
        record.onset_missing_ms_p99 = self.onset_missing_ms(0.99);
        let octets = |of: fn(&Tally) -> u64| tallies().map(of).sum::<u64>() as f64;
        let (payload, padding) =
            (octets(|one| one.steady.payload_octets), octets(|one| one.steady.padding_octets));
        record.padding_ratio = (payload > 0.0).then(|| padding / payload);
        record.gso_segments_mean = self.sending.map(Sending::segments_mean);
        record.forward_delay_ms_p50 = record.lateness.quantile_ms(0.5);
        record.forward_delay_ms_p99 = record.lateness.quantile_ms(0.99);
    }

    /// Changes of the talker in the streams of one listener of each conference: of the one who had
    /// most.
    fn switches(&self) -> u64 {
        let mut most: BTreeMap<u32, u64> = BTreeMap::new();
        for tally in self.tallies().filter(|tally| !tally.talks) {
            let switches = tally.forwarded.map_or(0, |forwarded| forwarded.switches);
            let most = most.entry(tally.conference).or_default();
            *most = switches.max(*most);
        }
        most.values().sum()
    }

    /// Returns how much of its first 200 ms a beginning of talk lacks at a member, in ms, for this
    /// share of beginnings and members; nothing if nobody began, or not all can be forwarded.
    fn onset_missing_ms(&self, share: f64) -> Option<f64> {
        if self.args.talkers_each() > u32::from(TALKERS_MIN) {
            return None;
        }
        let mut missing = ForwardedSums::default();
        self.results.iter().for_each(|result| missing.merge(&result.forwarded));
        let due: u64 = self.tallies().map(|tally| tally.steady.onsets_due).sum();
        let mut counts = missing.onsets;
        // Those of which nothing came at all are in no count.
        let seen: u64 = counts.iter().sum();
        *counts.last_mut()? += due.saturating_sub(seen);
        let wanted = share * due.max(seen) as f64;
        let mut sum = 0;
        let place = counts.iter().position(|count| {
            sum += count;
            *count > 0 && sum as f64 >= wanted
        })?;
        Some(place as f64 * FRAME_MS)
    }

    /// Counts what was due by schedule: 50 frames a second, less what the bounds of the measured
    /// part may cut off; from a bridge, the frames of all others who spoke.
    fn line(&self, tally: &Tally) -> MemberLine {
        let steady = &tally.steady;
        if self.is_bridged() {
            return MemberLine {
                packets_in: steady.speech,
                packets_due: steady.speech_due,
                ..self.line_of(tally)
            };
        }
        let frames_each = steady.frames.div_ceil(steady.packets.max(1)).max(1);
        let due = (self.seconds() * FRAMES_PER_SECOND) as u64;
        let due = due.saturating_sub(frames_each) / frames_each;
        let packets_in = steady.frames / frames_each;
        MemberLine { packets_in, packets_due: due, ..self.line_of(tally) }
    }

    fn line_of(&self, tally: &Tally) -> MemberLine {
        MemberLine {
            member: tally.member,
            conference: tally.conference,
            talks: tally.talks,
            late60: tally.steady.late60,
            late_ms_max: tally.steady.late_nanos_max as f64 / 1e6,
            ..MemberLine::default()
        }
    }

    /// Pairs each mark that was heard with the newest before it that was sent.
    fn fill_delay(&self, record: &mut Record, traffic: Option<Traffic>) {
        let mut sent: BTreeMap<(u32, u8), Vec<i64>> = BTreeMap::new();
        for mark in self.results.iter().flat_map(|result| &result.marks_sent) {
            sent.entry((mark.conference, mark.mark)).or_default().push(mark.at);
        }
        for times in sent.values_mut() {
            times.sort_unstable();
        }
        // Where listeners' packets are longer, talkers have other delays; theirs would hide it.
        let is_packed = traffic.is_some_and(|traffic| traffic.frames > 1);
        let ears = self.ears().filter(|ear| !(is_packed && ear.talks));
        let mut delays: Vec<(i64, i64)> = ears
            .flat_map(|ear| &ear.marks)
            .filter_map(|heard| Some((heard.at, delay(heard, &sent)?)))
            .collect();
        for (_, delay) in &delays {
            record.added_delay.record(std::time::Duration::from_nanos(delay.cast_unsigned()));
        }
        record.marks = Some(delays.len() as u64);
        record.delay_drift_ms = match self.is_bridged() {
            true => self.forward_drift_ms(),
            false => drift_ms(&mut delays, self.steady),
        };
        let mut sorted: Vec<_> = delays.iter().map(|(_, delay)| *delay).collect();
        sorted.sort_unstable();
        record.added_delay_ms_p50 = percentile_ms(&sorted, 0.5);
        record.added_delay_ms_p99 = percentile_ms(&sorted, 0.99);
        record.added_delay_ms_max = percentile_ms(&sorted, 1.0);
    }

    /// Returns by how much the median time from sending to receiving grew from the first third of
    /// the measured part to the last, in ms.
    fn forward_drift_ms(&self) -> Option<f64> {
        let mut sums = ForwardedSums::default();
        self.results.iter().for_each(|result| sums.merge(&result.forwarded));
        Some(sums.late.quantile_ms(0.5)? - sums.early.quantile_ms(0.5)?)
    }

    fn fill_ears(&self, record: &mut Record) {
        record.decoded_members = Some(self.ears().count() as u64);
        // Members limit what a bridge sends them themselves; ears do not.
        record.clipped_samples =
            (!self.is_bridged()).then(|| self.ears().map(|ear| ear.clipped_samples).sum());
        record.gaps = gaps(self.ears().map(|ear| ear.steady));
        if self.args.early > 0 {
            record.early_gaps = gaps(self.ears().map(|ear| ear.joining));
        }
        let shares = self.ears().filter_map(|own| {
            let talker = own.talker?;
            let heard_by_others = self.ears().find_map(|other| {
                let is_listener = other.conference == own.conference && !other.talks;
                other.gains.get(&talker).filter(|_| is_listener)
            })?;
            Some(20.0 * (own.gains.get(&talker)? / heard_by_others).log10())
        });
        record.own_share_db = shares.reduce(f64::max);
    }

    fn fill_usage(&self, record: &mut Record) {
        let usage = &self.usage;
        let over = usage.over.as_secs_f64();
        let joined = record.joined.unwrap_or(0) as f64;
        let cores = usage.node.map(|used| used.as_secs_f64() / over);
        record.node_cpu_cores = cores;
        record.node_cpu_ms_per_member_second =
            cores.filter(|_| joined > 0.0).map(|cores| cores * 1_000.0 / joined);
        let packets: u64 =
            self.results.iter().flat_map(|one| &one.tallies).map(|one| one.steady.packets).sum();
        let rate = packets as f64 / self.seconds();
        record.node_cpu_us_per_packet_out =
            cores.filter(|_| rate > 0.0).map(|cores| cores * 1e6 / rate);
        record.node_rss_kib = usage.node_then.and_then(|node| node.rss_kib);
        record.node_rss_kib_per_member =
            record.node_rss_kib.filter(|_| joined > 0.0).map(|kib| kib as f64 / joined);
        record.node.threads = usage.node_then.and_then(|node| u32::try_from(node.threads?).ok());
        record.loadgen_cpu_cores = Some(usage.own.as_secs_f64() / over);
    }
}

fn ratio(line: &MemberLine) -> f64 {
    (line.packets_in as f64 / line.packets_due.max(1) as f64).min(1.0)
}

fn delay(heard: &MarkTime, sent: &BTreeMap<(u32, u8), Vec<i64>>) -> Option<i64> {
    let times = sent.get(&(heard.conference, heard.mark))?;
    let after = times.partition_point(|at| *at <= heard.at);
    let delay = heard.at - times.get(after.checked_sub(1)?)?;
    (delay < DELAY_NANOS_MAX).then_some(delay)
}

/// Returns by how much the median delay of the last third of the time from first to last mark is
/// above that of the first third, in ms; nothing if that time is too short to tell.
///
/// By time, not by number: marks come in rounds, and a short run has two or three of them.
fn drift_ms(delays: &mut [(i64, i64)], steady: Span) -> Option<f64> {
    delays.sort_unstable();
    let (first, last) = (delays.first()?.0, delays.last()?.0);
    if last - first < (steady.to - steady.from) / 5 {
        return None;
    }
    let third = (last - first) / 3;
    let early = &delays[..delays.partition_point(|(at, _)| *at <= first + third)];
    let late = &delays[delays.partition_point(|(at, _)| *at < last - third)..];
    let median = |part: &[(i64, i64)]| {
        let mut part: Vec<_> = part.iter().map(|(_, delay)| *delay).collect();
        part.sort_unstable();
        percentile_ms(&part, 0.5)
    };
    Some(median(late)? - median(early)?)
}

fn percentile_ms(sorted: &[i64], share: f64) -> Option<f64> {
    let place = (sorted.len().checked_sub(1)? as f64 * share).round() as usize;
    Some(sorted[place] as f64 / 1e6)
}

fn gaps(heard: impl Iterator<Item = Heard>) -> Option<Gaps> {
    heard.filter(|heard| heard.frames > 0).fold(None, |gaps: Option<Gaps>, heard| {
        let gaps = gaps.unwrap_or_default();
        Some(Gaps {
            missing_ms_max: gaps.missing_ms_max.max(heard.missing_ms),
            stall_ms_max: gaps.stall_ms_max.max(heard.stall_ms),
            mos_min: Some(gaps.mos_min.unwrap_or(heard.mos).min(heard.mos)),
            listeners: gaps.listeners + 1,
        })
    })
}

/// The schedule: talkers never pause.
const FRAMES_PER_SECOND: f64 = 50.0;
const FRAME_MS: f64 = 20.0;

/// The same mark comes again after 480 ms at the earliest.
const DELAY_NANOS_MAX: i64 = 480_000_000;

/// Members shown.
const WORST_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::worker::tally::SteadyTally;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: RunArgs,
    }

    fn args(line: &str) -> RunArgs {
        Cli::parse_from(std::iter::once("run").chain(line.split_whitespace())).args
    }

    /// A member to whom 1,000 packets and 10 onsets were due.
    fn member(number: u32, talks: bool, change: impl FnOnce(&mut Tally)) -> Tally {
        let steady = SteadyTally {
            packets: 1_030,
            frames: 1_030,
            octets: 120 * 1_030,
            speech: 1_000,
            speech_due: 1_000,
            onsets_due: 10,
            payload_octets: 80_000,
            ..SteadyTally::default()
        };
        let forwarded = ForwardedTally { compared: 1_030, streams_max: 1, ..Default::default() };
        let forwarded = Some(forwarded);
        let mut tally = Tally { member: number, talks, steady, forwarded, ..Tally::default() };
        change(&mut tally);
        tally
    }

    /// What is found of a bridge with these members, of 10 s.
    fn found(change: impl FnOnce(&mut Vec<Tally>), onsets: [u64; 11]) -> (Record, Traffic) {
        let mut tallies = vec![member(0, true, |_| {}), member(1, false, |_| {})];
        change(&mut tallies);
        let mut result = WorkerResult { tallies, turns: 20, ..WorkerResult::default() };
        result.forwarded.onsets = onsets;
        for _ in 0..1_000 {
            result.lateness.record(Duration::from_micros(400));
        }
        let args = args("--members 2 --talkers 1 --mode bridge");
        let sending = Sending { datagrams: 2_060.0, gso_messages: 500.0, gso_segments: 1_530.0 };
        let gathered = Gathered {
            args: &args,
            results: vec![result],
            steady: Span { from: 0, to: 10_000_000_000 },
            usage: Usage::default(),
            sending: Some(sending),
        };
        let mut record = Record::default();
        let traffic = gathered.fill(&mut record).unwrap();
        (record, traffic)
    }

    /// Twenty onsets, of which nothing is missing.
    const WHOLE: [u64; 11] = [20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn bridge_is_due_what_was_said_and_never_more_than_that() {
        let (record, _) = found(|_| {}, WHOLE);
        assert_eq!((record.received_ratio, record.worst_member_ratio), (Some(1.0), Some(1.0)));
        assert_eq!((record.packets_due, record.doubled), (Some(2_000), Some(0)));
        assert_eq!((record.late60_ratio, record.turns), (Some(0.0), Some(20)));
        let (record, _) = found(|members| members[1].steady.speech = 900, WHOLE);
        assert_eq!((record.received_ratio, record.worst_member_ratio), (Some(0.95), Some(0.9)));
    }

    #[test]
    fn doubled_and_own_frames_are_added_and_the_most_switches_count() {
        let change = |members: &mut Vec<Tally>| {
            let forwarded = |tally: &mut Tally| {
                let all = ForwardedTally { doubled: 2, own: 1, switches: 3, ..Default::default() };
                tally.forwarded = Some(all);
            };
            members.push(member(2, false, forwarded));
            forwarded(&mut members[0]);
        };
        let (record, _) = found(change, WHOLE);
        assert_eq!((record.doubled, record.own_received), (Some(6), Some(2)));
        assert_eq!(record.switches, Some(3), "of one listener, and no talker");
    }

    #[test]
    fn onset_of_which_nothing_came_counts_as_wholly_missing() {
        let p99 = |onsets| found(|_| {}, onsets).0.onset_missing_ms_p99;
        assert_eq!(p99(WHOLE), Some(0.0));
        assert_eq!(p99([19, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Some(20.0));
        assert_eq!(p99([19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Some(200.0));
        let none = |members: &mut Vec<Tally>| {
            members.iter_mut().for_each(|member| member.steady.onsets_due = 0);
        };
        assert_eq!(found(none, [0; 11]).0.onset_missing_ms_p99, None, "nobody began");
    }

    #[test]
    fn floor_sends_as_the_bridge_did() {
        let (record, traffic) = found(|members| members[1].steady.padding_octets = 1_600, WHOLE);
        assert_eq!((traffic.gather, traffic.frames), (2.0, 1));
        let ms = traffic.interval.as_secs_f64() * 1e3;
        assert!((ms - 2.0 * 10_000.0 / 1_030.0).abs() < 0.01, "{ms}");
        assert_eq!((record.padding_ratio, record.gso_segments_mean), (Some(0.01), Some(3.06)));
    }

    #[test]
    fn marks_are_paired_with_the_newest_sent_before() {
        let sent = BTreeMap::from([((0, 3), vec![1_000_000_000, 1_480_000_000])]);
        let heard = |ms: i64| MarkTime { conference: 0, mark: 3, at: ms * 1_000_000 };
        assert_eq!(delay(&heard(1_012), &sent), Some(12_000_000));
        assert_eq!(delay(&heard(1_492), &sent), Some(12_000_000));
        assert_eq!(delay(&heard(999), &sent), None);
        assert_eq!(delay(&heard(2_500), &sent), None, "too long after to be the same");
        assert_eq!(delay(&MarkTime { mark: 4, ..heard(1_012) }, &sent), None);
    }

    #[test]
    fn drift_is_the_growth_from_first_to_last_third() {
        let steady = Span { from: 0, to: 9_000_000_000 };
        let delays = |late: fn(i64) -> i64| -> Vec<(i64, i64)> {
            (0..90).map(|at| (at * 100_000_000, late(at) * 1_000_000)).collect()
        };
        assert_eq!(drift_ms(&mut delays(|_| 12), steady), Some(0.0));
        assert_eq!(drift_ms(&mut delays(|at| 10 + at), steady), Some(60.0));
        let rounds = |at: i64| if at < 80 { 12 } else { 15 };
        let mut two: Vec<_> = delays(rounds)
            .into_iter()
            .filter(|(at, _)| at % 8_000_000_000 < 1_000_000_000)
            .collect();
        assert_eq!(drift_ms(&mut two, steady), Some(3.0), "two rounds of marks");
        assert_eq!(drift_ms(&mut two[..10], steady), None, "one round");
        assert_eq!(drift_ms(&mut [], steady), None);
    }
}
