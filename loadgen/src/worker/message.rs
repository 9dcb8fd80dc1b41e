//! What a worker and its parent tell each other: a line of JSON each, on stdin and stdout.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::hall::ForwardedSums;
use super::speech::Pattern;
use super::tally::Tally;
use crate::report::Histogram;

/// The first line that a worker is sent: what it is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerPlan {
    /// Seed of everything random.
    pub seed: u64,
    /// File of identities; member `i` is the one at place `i`.
    pub identities: PathBuf,
    /// The join link of each conference that this worker has members of, by number.
    pub links: BTreeMap<u32, String>,
    /// The members, in the order in which they join.
    pub members: Vec<Assignment>,
    /// Talkers of each conference.
    pub talkers_each: u32,
    /// How they talk.
    pub pattern: Pattern,
    /// Whether what they say is forwarded, not mixed.
    pub is_bridged: bool,
    /// Share of packets that members lose, each way.
    pub loss: f64,
    /// Joins under way at once.
    pub joins_max: usize,
    /// Joins begun in a second, if limited.
    pub join_rate: Option<f64>,
}

/// One member of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its number, over all conferences.
    pub member: u32,
    /// Its conference.
    pub conference: u32,
    /// Its place among the talkers of its conference, if it talks.
    pub talker: Option<u32>,
    /// Whether it says what the other listeners must receive.
    pub is_reference: bool,
    /// Whether it decodes.
    pub has_ear: bool,
    /// Whether it leaves and joins again.
    pub churns: bool,
    /// Whether it sends the noise of its room, never loud enough to be heard.
    pub is_noisy: bool,
}

/// What a worker is told to do after its plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Let members join until so many have.
    Join(usize),
    /// The part in which others join while the ears of the first listen.
    Joining(Span),
    /// The part that is measured.
    Steady(Span),
    /// So many members a second leave and join again, from now on.
    Churn(f64),
    /// Tell the result and end.
    Finish,
}

/// From when to when, in ns since the Unix epoch, on the system's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// When it begins.
    pub from: i64,
    /// When it ends.
    pub to: i64,
}

/// What a worker tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Everything is read and encoded.
    Ready,
    /// Once a second.
    Progress(Progress),
    /// An order to join is carried out, whatever became of each.
    Joined(Span),
    /// The result; the last line.
    Result(Box<WorkerResult>),
    /// It cannot go on.
    Failed(String),
}

/// Where a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Members in their conferences now.
    pub joined: u64,
    /// Members that were refused, or failed to join.
    pub not_joined: u64,
    /// RTP packets received so far.
    pub packets_in: u64,
    /// Of those, late.
    pub late60: u64,
}

/// What came of a worker's members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerResult {
    /// One for each member that joined.
    pub tallies: Vec<Tally>,
    /// How late packets of the steady part were.
    pub lateness: Histogram,
    /// Frames compared with those of the reference.
    pub frames_compared: u64,
    /// Of those, frames that differ.
    pub payload_mismatches: u64,
    /// Frames that the reference never had.
    pub frames_unmatched: u64,
    /// What only a bridge has.
    pub forwarded: ForwardedSums,
    /// How often talkers here began to talk in the steady part, by schedule.
    pub turns: u64,
    /// One for each ear.
    pub ears: Vec<EarResult>,
    /// The marks that this worker's talkers sent in the steady part.
    pub marks_sent: Vec<MarkTime>,
    /// Refusals by host or node, by text.
    pub refusals: BTreeMap<String, u64>,
    /// Failures to join that are no refusals, by text.
    pub failures: BTreeMap<String, u64>,
    /// Sessions that ended before the run did, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Members that left and joined again.
    pub churned: u64,
    /// Datagrams that arrived and found no room in a socket's buffer.
    pub receive_overflows: u64,
    /// Datagrams that could not be sent.
    pub send_failures: u64,
}

/// What one ear heard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EarResult {
    /// Whose.
    pub member: u32,
    /// In which conference.
    pub conference: u32,
    /// Whether it talks too.
    pub talks: bool,
    /// While others joined.
    pub joining: Heard,
    /// In the steady part.
    pub steady: Heard,
    /// Samples at or above -0.1 dBFS.
    pub clipped_samples: u64,
    /// When packets with marks arrived.
    pub marks: Vec<MarkTime>,
    /// Marks heard twice, or of its own in a bridge's sound.
    pub doubled_marks: u64,
    /// How loud the first talkers' voices are in what it hears, as factors of what was said.
    pub gains: BTreeMap<u32, f64>,
    /// Its own place among the talkers.
    pub talker: Option<u32>,
}

/// Gaps in one part of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Frames that were due.
    pub frames: u64,
    /// Speech that no packet was decoded for, in ms.
    pub missing_ms: f64,
    /// Speech heard later than usual, at worst, in ms.
    pub stall_ms: f64,
    /// How good it sounded, 1 to 4.5, by what was missing (ITU-T G.107.1, delay left out).
    pub mos: f64,
}

/// One mark that was sent or heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkTime {
    /// In which conference.
    pub conference: u32,
    /// Which mark; tells the talker.
    pub mark: u8,
    /// When its packet was handed to the kernel, or received by it; ns since the Unix epoch.
    pub at: i64,
}
