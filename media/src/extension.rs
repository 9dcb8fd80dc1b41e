//! General header extensions, and the two that carry audio levels.
//!
//! Takes an `ExtensionBlock` apart and writes one; knows nothing of the payload. The squelch reads
//! `ClientLevel` before anything is decoded, listeners read `MixerLevels` to show who talks.
//! Source: RFC 8285; the levels are RFC 6464 and RFC 6465.

mod element;
mod level;
mod writer;

pub use element::{Element, Elements};
pub use level::{ClientLevel, LevelDbov, MixerLevels};
pub use writer::{ElementRefused, ElementWriter};

/// Our identifier for the client-to-mixer level. Chosen: the join answer states it.
pub const CLIENT_LEVEL_ID: u8 = 1;

/// Our identifier for the mixer-to-client levels. Chosen: the join answer states it.
pub const MIXER_LEVEL_ID: u8 = 2;
