//! How a node is run.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sabha_media::codec::EncoderSettings;
use sabha_media::jitter_buffer::JitterSettings;
use sabha_mixer::ListenerPacketSetting;
use sabha_transport::DriverKind;

/// How a node is run.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Where signalling listens.
    pub listen: SocketAddr,
    /// Address and first port of the media sockets, one for each shard; port 0 takes free ones.
    pub media: SocketAddr,
    /// Addresses that members are told, without ports.
    pub advertise: Vec<IpAddr>,
    /// Shards, each with a thread and a port; at least 1.
    pub shards: u16,
    /// Whether shard `i`'s thread is pinned to core `i`.
    pub pin: bool,
    /// Whether the shards' threads run before all ordinary ones, where the system lets them.
    pub real_time: bool,
    /// Which back end runs the shards' threads.
    pub driver: DriverKind,
    /// Legs on each shard.
    pub legs_max: usize,
    /// Signalling sessions at once.
    pub sessions_max: usize,
    /// How much older than a conference this node's mixer mark must be: the network's margin for
    /// clocks that differ.
    pub mark_margin: Duration,
    /// Conferences on the node.
    pub conferences_max: usize,
    /// The most talkers in any mix.
    pub talkers_max: u16,
    /// Encoding of the mixes, with all the effort that may go into it.
    pub encoder: EncoderSettings,
    /// The complexity below which no load brings the encodes.
    pub complexity_min: u8,
    /// How much sound one packet holds to those who only listen.
    pub listener_packet: ListenerPacketSetting,
    /// The share of its time, in percent, that a shard's thread may be busy before newcomers are
    /// refused; with 100 nobody is.
    pub load_max_percent: u8,
    /// Bounds of the talkers' playout delay.
    pub jitter: JitterSettings,
    /// Whether to log each use of a key, for demonstrations.
    pub key_use_log: bool,
}

impl NodeSettings {
    /// How the names of the shards' threads begin.
    pub const THREAD_PREFIX: &'static str = "shard-";

    /// Returns the share of its time that a shard's thread may be busy.
    pub(crate) fn load_max(&self) -> f64 {
        f64::from(self.load_max_percent) / 100.0
    }
}
