//! A run second by second.

use serde::{Deserialize, Serialize};

/// One second of a run, at its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Seconds since the first join began.
    pub at_s: f64,
    /// Members in their conferences.
    pub joined: u64,
    /// Media packets that members received in this second.
    pub packets_in: Option<u64>,
    /// Packets of this second later than 60 ms.
    pub late60: Option<u64>,
    /// CPU of the node in this second, in cores.
    pub node_cpu_cores: Option<f64>,
    /// CPU of the load generator in this second, in cores.
    pub loadgen_cpu_cores: Option<f64>,
    /// Resident memory of the node, in KiB.
    pub node_rss_kib: Option<u64>,
    /// Open descriptors of the node.
    pub node_descriptors: Option<u64>,
    /// Threads of the node.
    pub node_threads: Option<u64>,
}

/// The steady part, in seconds of the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    /// Where it begins.
    pub from_s: f64,
    /// Where it ends.
    pub to_s: f64,
}
