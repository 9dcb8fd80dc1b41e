//! How much work mixes may take, as the node's load allows.
//!
//! Set on a shard's `MixerResources` and read by every mixer at the start of each tick. What of it
//! applies to a conference, its settings decide.

use std::time::Duration;

/// What a shard's mixers spend on each tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// The most complexity of any encode, 0 to 10. A conference's own setting may be lower.
    pub complexity: u8,
    /// The packet of those who only listen, where the conference leaves it to the node.
    pub packet: ListenerPacket,
}

/// How much sound one packet to a member who only listens holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenerPacket {
    /// One frame: a packet each tick.
    #[default]
    Ms20,
    /// Two frames: a packet every other tick, sound 20 ms later.
    Ms40,
    /// Three frames: a packet every third tick, sound 40 ms later.
    Ms60,
}

/// Whether a conference chooses its listeners' packets or leaves it to the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenerPacketSetting {
    /// As the node's effort says.
    #[default]
    Auto,
    /// Always this.
    Fixed(ListenerPacket),
}

impl ListenerPacket {
    /// Returns the number of 20 ms frames in one packet.
    pub const fn frames(self) -> usize {
        match self {
            Self::Ms20 => 1,
            Self::Ms40 => 2,
            Self::Ms60 => 3,
        }
    }

    /// Returns the sound in one packet.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(20 * self.frames() as u64)
    }
}

impl ListenerPacketSetting {
    /// Returns the packet that applies under a node's `effort`.
    pub const fn under(self, effort: Effort) -> ListenerPacket {
        match self {
            Self::Auto => effort.packet,
            Self::Fixed(packet) => packet,
        }
    }
}

impl Default for Effort {
    /// All that a conference asks for.
    fn default() -> Self {
        Self { complexity: COMPLEXITY_MAX, packet: ListenerPacket::Ms20 }
    }
}

/// The highest complexity that libopus knows.
const COMPLEXITY_MAX: u8 = 10;
