//! What one member sent and received, as it goes to the parent process.

use serde::{Deserialize, Serialize};

/// One member's counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Number of the member, over all conferences.
    pub member: u32,
    /// Number of its conference.
    pub conference: u32,
    /// Whether it talks.
    pub talks: bool,
    /// Whether it leaves and joins again during the run; then what is due to it is not known.
    pub churns: bool,
    /// Whether the node was heard on the media path.
    pub connected: bool,
    /// RTP packets received, ever.
    pub packets_in: u64,
    /// RTP packets sent, ever, probes included.
    pub packets_out: u64,
    /// Probes sent, ever.
    pub probes_out: u64,
    /// Datagrams discarded: not authentic, malformed, repeated.
    pub drops: u64,
    /// Of the steady part.
    pub steady: SteadyTally,
}

/// What was received and sent in the steady part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SteadyTally {
    /// RTP packets.
    pub packets: u64,
    /// Frames of 20 ms in them.
    pub frames: u64,
    /// RTCP compounds.
    pub reports: u64,
    /// RTP packets sent, probes included.
    pub packets_out: u64,
    /// RTCP compounds sent.
    pub reports_out: u64,
    /// Octets of all that was received, as they came, without IP and UDP headers.
    pub octets: u64,
    /// Packets later than 60 ms after they were due.
    pub late60: u64,
    /// The latest, in ns after it was due.
    pub late_nanos_max: u64,
}
