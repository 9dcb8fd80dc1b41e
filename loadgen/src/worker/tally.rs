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
    /// From a bridge.
    pub forwarded: Option<ForwardedTally>,
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
    /// Octets of payload.
    pub payload_octets: u64,
    /// Octets of RTP padding behind it.
    pub padding_octets: u64,
    /// From a bridge, frames of speech that were said in this part.
    pub speech: u64,
    /// By schedule, frames of speech that were due of it.
    pub speech_due: u64,
    /// By schedule, how often others began to talk in this part.
    pub onsets_due: u64,
}

/// What a member of a bridged conference received, held against what was said; ever, unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForwardedTally {
    /// Packets whose payload was looked up.
    pub compared: u64,
    /// Of those, payloads that nobody said then, or that are not what the timestamp says.
    pub mismatches: u64,
    /// Packets that name nobody, more than one, or somebody else as their talker.
    pub unsourced: u64,
    /// Packets whose sequence number or marker does not go with what was said.
    pub breaks: u64,
    /// Frames that came twice.
    pub doubled: u64,
    /// Frames of its own.
    pub own: u64,
    /// Packets of members who say nothing.
    pub noise: u64,
    /// Streams in use within one second of the steady part, at most.
    pub streams_max: u32,
    /// Changes of the talker in a stream, in the steady part.
    pub switches: u64,
}
