//! What the benches share: speech, packets, and rooms in virtual time.
//!
//! Nothing here is measured. The clock is virtual and the network is a slot that forgets, so a
//! bench sees the cost of the code and not of the kernel.

mod member;
mod packet;
mod relay;
mod room;
mod speech;

pub use packet::write_packet;
pub use relay::Relay;
pub use room::Room;
pub use speech::speech;
