//! What a record is made of: settings, machine, and figures that come together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a run was asked to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// The command line, as one would type it again.
    pub command: String,
    /// Members in each conference.
    pub members_each: u32,
    /// Talkers in each conference.
    pub talkers_each: u32,
    /// How talkers talk: `continuous`, `turns`, `conversation` or `alternate`.
    pub pattern: String,
    /// Members of each conference who send the noise of their room.
    #[serde(default)]
    pub noisy: u32,
    /// `20`, `40`, `60` or `auto`.
    pub listener_packet: String,
    /// The encoders' complexity if it was set, 0 to 10.
    pub complexity: Option<u32>,
    /// The driver asked for: `auto`, `poll` or `glommio`.
    pub driver: String,
    /// Joins in a second, if limited.
    pub join_rate: Option<f64>,
    /// Packets thrown away by members, both ways, in percent.
    pub loss_percent: f64,
    /// Members leaving and joining again in a second.
    pub churn: f64,
    /// Members that joined first and were listened to while the others joined.
    pub early: u32,
    /// Processes of the load generator.
    pub processes: u32,
    /// Whether the node may refuse members without the run being a failure.
    pub expect_refusals: bool,
    /// The seed of everything random.
    pub seed: u64,
    /// Further settings of the node, by key.
    pub node_settings: BTreeMap<String, String>,
}

/// What the node told of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What `sabha --version` prints.
    pub version: Option<String>,
    /// Media threads, each with a port.
    pub shards: Option<u32>,
    /// Threads of the process in the steady part.
    pub threads: Option<u32>,
}

/// Where it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that the system shows.
    pub cores: Option<u32>,
    /// Their name.
    pub cpu_model: Option<String>,
    /// Release of the kernel.
    pub kernel: Option<String>,
}

/// What bare sending costs: see the module `floor`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// CPU of the sending process in µs for each packet.
    pub cpu_us_per_packet: f64,
    /// Packets sent.
    pub packets: u64,
    /// Packets that the receivers got.
    pub received: u64,
    /// Sockets sent to.
    pub sockets: u32,
    /// Octets of a packet, mean.
    pub bytes_mean: f64,
    /// Time between two sends to the same socket as it was kept, in ms.
    pub interval_ms: f64,
    /// Packets in each of these, as one message, on average; 0 in records from before there was a
    /// choice.
    #[serde(default)]
    pub gather: f64,
    /// Seconds measured.
    pub seconds: f64,
}

/// The largest gaps among those who listened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gaps {
    /// Speech whose packets were never decoded, of the listener who missed most, in ms.
    pub missing_ms_max: f64,
    /// Speech heard later than usual, of the listener for whom it was most, in ms.
    pub stall_ms_max: f64,
    /// Mean opinion score of the listener for whom it is lowest, 1 to 4.5 (ITU-T G.107.1).
    #[serde(default)]
    pub mos_min: Option<f64>,
    /// Listeners measured.
    pub listeners: u32,
}

/// What one member received in the steady part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberLine {
    /// Number of the member, from 0, over all conferences.
    pub member: u32,
    /// Number of its conference, from 0.
    pub conference: u32,
    /// Whether it talks.
    pub talks: bool,
    /// Packets received.
    pub packets_in: u64,
    /// Packets due.
    pub packets_due: u64,
    /// Packets later than 60 ms.
    pub late60: u64,
    /// The latest packet, in ms after its due time.
    pub late_ms_max: f64,
}
