//! How a leg sounds to whoever listens, as one number: the E-model in its wideband form.
//!
//! Pure functions of what reports tell: loss, round trip, buffer. Sees no packet and no sound, so it
//! estimates where PESQ measures; its constants for Opus were fitted to such measurements.

mod e_model;
mod leg_ratings;
mod packet_loss;

pub use e_model::{CodecQuality, Mos, Rating, one_way_delay, playout_delay};
pub use leg_ratings::{LegRatings, MOS_BOUNDS, MosCounts};
pub use packet_loss::PacketLoss;
