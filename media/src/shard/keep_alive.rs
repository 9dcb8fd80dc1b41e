//! The keep-alive: an application-defined RTCP packet with the epoch, what the node orders of a
//! member's sending, and what becomes of the member's own voice.
//!
//! In each compound between a shard and its members, both ways. Under SRTCP, so what a member
//! reads in it is the node's word.

use std::time::Duration;

use super::bitrate::BitrateOrder;
use crate::leg::Ssrc;
use crate::rtcp::{Application, REPORT_INTERVAL, REPORT_INTERVAL_MAX};

/// Which ownership of a conference a keep-alive belongs to; ordered by counter, then rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaEpoch {
    /// Grows with each change of owner.
    pub counter: u64,
    /// The owner's place in the succession.
    pub rank: u16,
}

/// What a node wants of a member's microphone.
///
/// 10,000 open microphones would be 500,000 datagrams a second; most of them say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UplinkOrder {
    /// Send every packet.
    #[default]
    Everything,
    /// Send packets while the own gate is open, with the last three before it; else level probes.
    Voice,
    /// Send level probes only, never a payload.
    Probes,
}

/// Whether a member hears their own voice in what a node sends them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OwnVoice {
    /// At the share that the conference's host has set.
    #[default]
    Returned,
    /// Not at all: the member's device lets them hear themselves, sooner than the node could.
    LeftOut,
}

/// What a keep-alive says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// The epoch of the leg.
    pub epoch: MediaEpoch,
    /// What the node wants of the member; a member writes `Everything`, and no node reads it.
    pub uplink: UplinkOrder,
    /// From a member what it wishes, from a node what holds.
    pub own_voice: OwnVoice,
    /// The bitrate that the node wants the member to send with; a member writes `OWN`.
    pub bitrate: BitrateOrder,
    /// How often the node wants to hear of a member that loses nothing, at most: whole seconds from
    /// `REPORT_INTERVAL` to `REPORT_INTERVAL_MAX`. A member writes the former.
    pub report_interval: Duration,
}

/// The name of our application-defined RTCP packets.
pub const KEEP_ALIVE_NAME: [u8; 4] = *b"SABH";

/// Subtype of a keep-alive: 8 octets epoch counter, 2 octets rank, then an octet each for uplink
/// order, own voice, bitrate, report interval; 2 octets 0.
pub const KEEP_ALIVE_SUBTYPE: u8 = 0;

/// Octets of a keep-alive's data, a multiple of 4 (RFC 3550 section 6.7).
pub const KEEP_ALIVE_LEN: usize = 16;

impl KeepAlive {
    /// Writes the data of a keep-alive.
    pub fn to_bytes(self) -> [u8; KEEP_ALIVE_LEN] {
        let mut bytes = [0; KEEP_ALIVE_LEN];
        bytes[..8].copy_from_slice(&self.epoch.counter.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.epoch.rank.to_be_bytes());
        bytes[10] = self.uplink.number();
        bytes[11] = self.own_voice.number();
        bytes[12] = self.bitrate.number();
        bytes[13] = self.report_interval.as_secs() as u8;
        bytes
    }

    /// Reads the data of a keep-alive; what follows the known octets is ignored.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (counter, rest) = bytes.split_first_chunk()?;
        let (rank, rest) = rest.split_first_chunk()?;
        let epoch =
            MediaEpoch { counter: u64::from_be_bytes(*counter), rank: u16::from_be_bytes(*rank) };
        let (uplink, rest) = rest.split_first()?;
        // Versions before one of these was named wrote zero, or ended before it.
        let octet = |place: usize| rest.get(place).copied().unwrap_or_default();
        Some(Self {
            epoch,
            uplink: UplinkOrder::from_number(*uplink),
            own_voice: OwnVoice::from_number(octet(0)),
            bitrate: BitrateOrder::from_number(octet(1)),
            report_interval: Duration::from_secs(octet(2).into())
                .clamp(REPORT_INTERVAL, REPORT_INTERVAL_MAX),
        })
    }

    /// Reads an RTCP packet; `None` if it is no keep-alive.
    pub fn from_application(packet: &Application<'_>) -> Option<Self> {
        let is_ours = packet.name == KEEP_ALIVE_NAME && packet.subtype == KEEP_ALIVE_SUBTYPE;
        is_ours.then(|| Self::from_bytes(packet.data))?
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            epoch: MediaEpoch::default(),
            uplink: UplinkOrder::default(),
            own_voice: OwnVoice::default(),
            bitrate: BitrateOrder::OWN,
            report_interval: REPORT_INTERVAL,
        }
    }
}

impl From<MediaEpoch> for KeepAlive {
    /// Makes what a member says: its epoch, no order, and no wish.
    fn from(epoch: MediaEpoch) -> Self {
        Self { epoch, ..Self::default() }
    }
}

impl UplinkOrder {
    /// Returns the order's number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Everything => 0,
            Self::Voice => 1,
            Self::Probes => 2,
        }
    }

    /// Reads a number from the wire. One that a later version may send counts as `Voice`: it wants
    /// less than everything, and a voice must still be heard.
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Everything,
            2 => Self::Probes,
            _ => Self::Voice,
        }
    }
}

impl OwnVoice {
    /// Returns its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Returned => 0,
            Self::LeftOut => 1,
        }
    }

    /// Reads a number from the wire. One that a later version may send changes nothing.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::LeftOut,
            _ => Self::Returned,
        }
    }
}

/// Makes a keep-alive packet around its data.
pub fn keep_alive(ssrc: Ssrc, bytes: &[u8; KEEP_ALIVE_LEN]) -> Application<'_> {
    Application { subtype: KEEP_ALIVE_SUBTYPE, ssrc, name: KEEP_ALIVE_NAME, data: bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: MediaEpoch = MediaEpoch { counter: 0x0102_0304_0506_0708, rank: 0x090a };

    #[test]
    fn octets_are_those_of_the_protocol() {
        for (uplink, number) in
            [(UplinkOrder::Everything, 0), (UplinkOrder::Voice, 1), (UplinkOrder::Probes, 2)]
        {
            for (own_voice, own) in [(OwnVoice::Returned, 0), (OwnVoice::LeftOut, 1)] {
                let (bitrate, report_interval) =
                    (BitrateOrder::from_number(24), Duration::from_secs(7));
                let said = KeepAlive { epoch: EPOCH, uplink, own_voice, bitrate, report_interval };
                let bytes = said.to_bytes();
                assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, number, own, 24, 7, 0, 0]);
                assert_eq!(KeepAlive::from_bytes(&bytes), Some(said));
                assert_eq!(KeepAlive::from_bytes(&[&bytes[..], &[7; 8]].concat()), Some(said));
            }
        }
    }

    #[test]
    fn unknown_wish_for_the_own_voice_changes_nothing() {
        let mut bytes = KeepAlive::from(EPOCH).to_bytes();
        for number in [2, 255] {
            bytes[11] = number;
            assert_eq!(KeepAlive::from_bytes(&bytes), Some(KeepAlive::from(EPOCH)));
        }
        assert_eq!(KeepAlive::from_bytes(&bytes[..11]), Some(KeepAlive::from(EPOCH)));
    }

    #[test]
    fn versions_that_name_fewer_octets_order_neither_bitrate_nor_interval() {
        let said = KeepAlive {
            bitrate: BitrateOrder::from_number(16),
            report_interval: REPORT_INTERVAL_MAX,
            ..KeepAlive::from(EPOCH)
        };
        let bytes = said.to_bytes();
        assert_eq!(KeepAlive::from_bytes(&bytes), Some(said));
        assert_eq!(KeepAlive::from_bytes(&bytes[..12]), Some(KeepAlive::from(EPOCH)));
    }

    #[test]
    fn intervals_out_of_bounds_are_brought_back_into_them() {
        let mut bytes = KeepAlive::from(EPOCH).to_bytes();
        for (seconds, expected) in
            [(0, REPORT_INTERVAL), (1, REPORT_INTERVAL), (255, REPORT_INTERVAL_MAX)]
        {
            bytes[13] = seconds;
            assert_eq!(KeepAlive::from_bytes(&bytes).unwrap().report_interval, expected);
        }
    }

    #[test]
    fn unknown_order_is_read_as_voice_and_a_short_one_refused() {
        let mut bytes = KeepAlive::from(EPOCH).to_bytes();
        for number in [3, 77, 255] {
            bytes[10] = number;
            assert_eq!(KeepAlive::from_bytes(&bytes).unwrap().uplink, UplinkOrder::Voice);
        }
        assert_eq!(KeepAlive::from_bytes(&bytes[..10]), None);
    }

    #[test]
    fn packets_of_another_name_or_subtype_are_none() {
        let bytes = KeepAlive::from(EPOCH).to_bytes();
        let ours = keep_alive(Ssrc(1), &bytes);
        assert_eq!(KeepAlive::from_application(&ours), Some(KeepAlive::from(EPOCH)));
        let other = Application { subtype: 1, ..ours };
        assert_eq!(KeepAlive::from_application(&other), None);
        let other = Application { name: *b"sabh", ..ours };
        assert_eq!(KeepAlive::from_application(&other), None);
    }
}
