//! How a node keeps within what its machine can do.
//!
//! Each shard's thread reads its load four times a second. A `Ladder` then says how much effort
//! mixes may take: cheaper encodes first, longer packets to listeners next, and in the end nobody
//! else is let in. An `Uplink` says what members are to send, a
//! `BitrateLimit` with how much. The thread writes where it stands on
//! a `LoadBoard`; there the gate looks when somebody asks to come in.

mod bitrate;
pub(crate) mod board;
pub(crate) mod gate;
mod gathering;
mod ladder;
pub(crate) mod pace;
mod peak;
pub(crate) mod quota;
mod reading;
mod rungs;
mod uplink;
mod watch;

pub use bitrate::BitrateLimit;
pub use board::LoadFigures;
pub(crate) use gathering::Gathering;
pub use ladder::{Ladder, LadderSettings};
pub use reading::Reading;
pub use rungs::RungSettings;
pub use uplink::{Uplink, UplinkReading};
pub(crate) use watch::LoadWatch;
