//! Host and member: registers, joins, sends, receives, plays and records.
//!
//! Everything a person's device does in a conference, on top of `sabha-core` for identity and
//! signalling, `sabha-media` for packets and `sabha-transport` for sockets.

#[cfg(feature = "audio-devices")]
pub mod devices;
pub mod host;
pub mod media;
pub mod member;
pub mod network;
pub mod processing;
pub mod random;
pub mod sound;
