//! SRTP and SRTCP, in place.
//!
//! Owns session keys, roll-over counters and replay windows; allocates nothing after construction.
//! `Shard` unprotects each datagram before an engine sees it and protects each packet in its send
//! slot. Where master keys come from is `sabha-core`'s business. Source: RFC 3711, RFC 7714.

mod aead;
mod derivation;
mod index;
mod master_key;
mod receiver;
mod replay;
mod sender;
mod session;
mod streams;
mod suite;
mod tap;
#[cfg(test)]
mod vectors;

pub use index::PacketIndex;
pub use master_key::{MasterKey, MasterKeyError};
pub use receiver::{SrtpReceiver, Unprotected};
pub use replay::REPLAY_WINDOW;
pub use sender::{ProtectError, SrtpSender};
pub(crate) use streams::Streams;
pub use streams::{STREAMS_MAX, StreamsError};
pub use suite::SrtpSuite;
pub use tap::{KeyUse, KeyUseLog, ProtectTap};

/// Octets of an SRTCP packet that stay readable. Source: RFC 7714 section 9.2.
const RTCP_CLEAR_LEN: usize = 8;

/// The E bit before the SRTCP index: the packet is encrypted. Source: RFC 3711 section 3.4.
const RTCP_ENCRYPTED_BIT: u32 = 1 << 31;
