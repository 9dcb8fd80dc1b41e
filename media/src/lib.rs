//! The pure media plane: packets, keys, buffers, codec, and the engine's surroundings.
//!
//! Nothing here reads a clock, opens a socket, starts a thread or draws a random number: time and
//! randomness are arguments, datagrams go in and come out through traits. On a packet's way this
//! crate is step 2 (`Shard`: demultiplex and unprotect) and step 4 (`Shard`: protect into the send
//! slot); the engines of `sabha-mixer` and `sabha-bridge` stand between.

pub mod codec;
pub mod comfort_noise;
pub mod drop_reason;
pub mod engine;
pub mod extension;
pub mod jitter_buffer;
pub mod leg;
pub mod limiter;
pub mod lookback;
mod memory;
pub mod outbox;
pub mod playout;
pub mod pool;
pub mod quality;
pub mod reception;
pub mod red;
pub mod reordering;
pub mod rtcp;
pub mod rtp;
pub mod sequence;
pub mod shard;
pub mod squelch;
pub mod srtp;
pub mod stretch;
pub mod time;
pub mod transmit;
