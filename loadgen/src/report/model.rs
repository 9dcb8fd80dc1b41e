//! One run as data; serialises to `report.json`, whose field names others rely on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::histogram::Histogram;
use super::parts::{Floor, Gaps, Machine, MemberLine, Node, Parameters};
use super::series::{Point, Steady};

/// Everything that one run measured. What was not measured is `None`, in JSON `null`; never 0.
///
/// Counts and sums are of the whole run: all conferences and all processes of the load generator.
/// Ratios, CPU and lateness are of the steady part: after all joined and the warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Whether every one of `checks` holds, and there is at least one.
    pub held: bool,
    /// Members that were to join, in all conferences together.
    pub members: u32,
    /// Those of them who talk, in all conferences together.
    pub talkers: u32,
    /// What carries a conference: `mixer` or `bridge`.
    pub mode: String,
    /// Sound in one packet to a listener, in ms: what most packets of the steady part carried.
    /// The setting is in `parameters`.
    pub listener_packet_ms: Option<u32>,
    /// CPU of the node's process in ms for each member and second.
    pub node_cpu_ms_per_member_second: Option<f64>,
    /// CPU of the node's process in µs for each media packet it sent, all its work included.
    pub node_cpu_us_per_packet_out: Option<f64>,
    /// What sending such a packet costs a process that does nothing else, in µs: the mean of
    /// `floor_before` and `floor_after`.
    pub floor_cpu_us_per_packet: Option<f64>,
    /// Packets received of packets due, all admitted members together.
    pub received_ratio: Option<f64>,
    /// The same of the member who received least of what was due.
    pub worst_member_ratio: Option<f64>,
    /// Packets later than 60 ms after their own due time, of those received. From a bridge they are
    /// due when their talker sends them.
    pub late60_ratio: Option<f64>,
    /// RTCP compounds of all packets, both ways.
    #[serde(default)]
    pub rtcp_ratio: Option<f64>,
    /// Delay that the node adds, median, in ms, without the encoder's look-ahead.
    pub added_delay_ms_p50: Option<f64>,
    /// The same, 99th percentile, in ms.
    pub added_delay_ms_p99: Option<f64>,
    /// The same, the longest, in ms.
    #[serde(default)]
    pub added_delay_ms_max: Option<f64>,
    /// Resident memory of the node's process for each member, in KiB, at the steady part's end.
    pub node_rss_kib_per_member: Option<f64>,
    /// From the first connection to the node until the last admitted member had its leg, in s.
    pub join_seconds: Option<f64>,
    /// CPU of all processes of the load generator, in cores.
    pub loadgen_cpu_cores: Option<f64>,
    /// Frames whose payload differs from what the decoded members of their conference received.
    pub payload_mismatches: Option<u64>,
    /// The node's driver, as it named it.
    pub driver: Option<String>,

    /// Of a bridge: streams on which a member received packets within one second, at most.
    #[serde(default)]
    pub streams_per_member_max: Option<u32>,
    /// Of a bridge: frames that a member received twice or that were its own, and the same of marks
    /// in the sound of those who decode.
    #[serde(default)]
    pub doubled: Option<u64>,
    /// Of a bridge: how much of the first 200 ms of a spurt of talk a member did not receive, in
    /// ms; 99th percentile over beginnings and members. Absent if nobody began.
    #[serde(default)]
    pub onset_missing_ms_p99: Option<f64>,
    /// Of a bridge: changes of the talker in the streams of a listener, the one of each conference
    /// who had most.
    #[serde(default)]
    pub switches: Option<u64>,
    /// Of a bridge: how often a talker began, by schedule.
    #[serde(default)]
    pub turns: Option<u64>,
    /// Of a bridge: datagrams in a message that the node left to the kernel to cut; 1 if it left
    /// none.
    #[serde(default)]
    pub gso_segments_mean: Option<f64>,
    /// Of a bridge: octets of padding for each octet of payload.
    #[serde(default)]
    pub padding_ratio: Option<f64>,
    /// Of a bridge: from a talker's sending to a member's receiving, both in the kernel of one
    /// machine; median, in ms.
    #[serde(default)]
    pub forward_delay_ms_p50: Option<f64>,
    /// The same, 99th percentile, in ms.
    #[serde(default)]
    pub forward_delay_ms_p99: Option<f64>,

    /// Of a bridge, part of `doubled`: packets of a member's own.
    #[serde(default)]
    pub own_received: Option<u64>,
    /// Of a bridge, part of `doubled`: marks.
    #[serde(default)]
    pub doubled_marks: Option<u64>,
    /// Of a bridge: packets of members who say nothing.
    #[serde(default)]
    pub noise_received: Option<u64>,
    /// Of a bridge: packets that do not name their talker, and only them, as their source.
    #[serde(default)]
    pub unsourced: Option<u64>,
    /// Of a bridge: packets whose sequence number or marker does not go with what was said.
    #[serde(default)]
    pub sequence_breaks: Option<u64>,

    /// Conferences that ran at the same time, all of the same size.
    pub conferences: u32,
    /// Length of the steady part, in s.
    pub seconds: f64,
    /// Members admitted to their conference.
    pub joined: Option<u64>,
    /// Members that the node refused.
    pub refused: Option<u64>,
    /// Refusals by their text.
    pub refusals: BTreeMap<String, u64>,
    /// Members that were admitted and lost their session or leg without leaving.
    pub lost: Option<u64>,
    /// Losses by their text.
    #[serde(default)]
    pub losses: BTreeMap<String, u64>,
    /// Members that left and joined again in the steady part.
    #[serde(default)]
    pub churned: Option<u64>,
    /// Datagrams that members' sockets had no room for.
    #[serde(default)]
    pub receive_overflows: Option<u64>,
    /// Media packets that were due to members.
    pub packets_due: Option<u64>,
    /// Media packets that members received.
    pub packets_in: Option<u64>,
    /// Media packets that members sent.
    pub packets_out: Option<u64>,
    /// Frames of members that are not decoded, compared octet for octet.
    pub frames_compared: Option<u64>,
    /// Frames that could not be compared, as the reference of their conference never had them.
    #[serde(default)]
    pub frames_unmatched: Option<u64>,
    /// Members that decode what they receive; delay, gaps, clipping and own share come from them.
    pub decoded_members: Option<u64>,
    /// Marks from which the added delay comes.
    pub marks: Option<u64>,
    /// Gaps that decoded members heard in the steady part.
    pub gaps: Option<Gaps>,
    /// Gaps that members who had joined before heard while the others joined.
    pub early_gaps: Option<Gaps>,
    /// A talker's own voice in what they hear, the loudest case, in dB against what others hear.
    pub own_share_db: Option<f64>,
    /// Decoded samples at or above -0.1 dBFS.
    pub clipped_samples: Option<u64>,
    /// Growth of the added delay over the run, in ms.
    pub delay_drift_ms: Option<f64>,
    /// CPU of the node's process, in cores.
    pub node_cpu_cores: Option<f64>,
    /// Resident memory of the node's process at the steady part's end, in KiB.
    pub node_rss_kib: Option<u64>,
    /// Resident memory in the last tenth of the steady part over that in the first tenth, as a ratio
    /// of means.
    pub node_rss_growth_ratio: Option<f64>,
    /// The floor before the run.
    pub floor_before: Option<Floor>,
    /// The floor after the run.
    pub floor_after: Option<Floor>,

    /// What makes the run `held`.
    pub checks: Vec<Check>,
    /// Further goals that apply to a run of this size; `held` does not depend on them.
    pub goals: Vec<Check>,

    /// What the run was asked to do.
    pub parameters: Parameters,
    /// The node.
    pub node: Node,
    /// The machine.
    pub machine: Machine,

    /// How late packets were after their own due time; early ones count as 0.
    pub lateness: Histogram,
    /// Added delay of each mark.
    pub added_delay: Histogram,
    /// The run, second by second, from its first join.
    pub series: Vec<Point>,
    /// Which part of the series is the steady part.
    pub steady: Option<Steady>,
    /// The members who received least of what was due, the worst first; at most 20 are shown.
    pub worst_members: Vec<MemberLine>,
}

impl Record {
    /// Returns the record as the text of `report.json`.
    ///
    /// # Errors
    /// Never for what serde can write; its error otherwise.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// Whether talkers were forwarded.
    pub fn is_bridged(&self) -> bool {
        self.mode == "bridge"
    }

    /// Returns a short name by which runs are told apart, such as `3 × 1,000 members, 20 ms`.
    pub fn name(&self) -> String {
        let count = |number: u32| super::number::text(number.into());
        let members = match self.conferences {
            0 | 1 => count(self.members),
            many => format!("{} × {}", count(many), count(self.parameters.members_each)),
        };
        let talkers = self.parameters.talkers_each;
        let mut name = format!("{members} members, {talkers} talking");
        if self.is_bridged() {
            name.push_str(", bridge");
        }
        match self.parameters.listener_packet.as_str() {
            "auto" => name.push_str(", auto"),
            "" => {}
            ms => name.push_str(&format!(", {ms} ms")),
        }
        if let Some(complexity) = self.parameters.complexity {
            name.push_str(&format!(", complexity {complexity}"));
        }
        if self.parameters.loss_percent > 0.0 {
            name.push_str(&format!(
                ", {} % lost",
                super::number::text(self.parameters.loss_percent)
            ));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;

    #[test]
    fn published_fields_are_at_the_top() {
        let json = serde_json::to_value(sample::judged(|_| {})).unwrap();
        for field in [
            "held",
            "members",
            "talkers",
            "mode",
            "listener_packet_ms",
            "node_cpu_ms_per_member_second",
            "node_cpu_us_per_packet_out",
            "floor_cpu_us_per_packet",
            "received_ratio",
            "worst_member_ratio",
            "late60_ratio",
            "rtcp_ratio",
            "added_delay_ms_p50",
            "added_delay_ms_p99",
            "node_rss_kib_per_member",
            "join_seconds",
            "loadgen_cpu_cores",
            "payload_mismatches",
            "driver",
        ] {
            assert!(json.get(field).is_some_and(|value| !value.is_null()), "{field}");
        }
    }

    #[test]
    fn what_was_not_measured_is_null() {
        let record = sample::judged(|record| {
            record.received_ratio = None;
            record.late60_ratio = Some(f64::NAN);
        });
        let json = serde_json::to_value(record).unwrap();
        assert!(json["received_ratio"].is_null() && json["late60_ratio"].is_null());
    }

    #[test]
    fn name_tells_runs_apart() {
        assert_eq!(sample::judged(|_| {}).name(), "1,000 members, 3 talking, 20 ms");
        let rooms = sample::judged(|record| {
            (record.conferences, record.members) = (40, 400);
            (record.parameters.members_each, record.parameters.talkers_each) = (10, 1);
            record.parameters.complexity = Some(5);
        });
        assert_eq!(rooms.name(), "40 × 10 members, 1 talking, 20 ms, complexity 5");
    }
}
