//! Who is who, and how devices talk: identities, certificates, the CA, messages and sessions.
//!
//! Owns every handshake, signature and key derivation of Sabha; audio never passes through here.
//! Nothing is believed that is not authenticated, and the present is an argument or a `Clock`.

pub mod admission;
pub mod ca;
pub mod certificate;
pub mod domain;
mod file;
pub mod fingerprint;
mod hex32;
pub mod identity;
pub mod media_key;
pub mod message;
mod parallel;
mod provider;
pub mod quic;
mod registration;
pub mod signalling;
pub mod unix_time;

pub use self::{
    file::FileError,
    fingerprint::Fingerprint,
    hex32::HexError,
    identity::{DeviceKey, Identity, NodeId, UserId},
    media_key::{Direction, MediaKeyContext, media_key},
    unix_time::{Clock, UnixTime},
};
