//! From which level on a member counts as talking. Each engine has a gate of its own that goes by
//! it.

use std::time::Duration;

use crate::extension::LevelDbov;

/// When a member counts as talking, by the level in the packet's header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SquelchSettings {
    /// A packet at least this loud opens the squelch.
    pub open: LevelDbov,
    /// A packet at least this loud keeps it open; quieter than `open`.
    pub close: LevelDbov,
    /// How long it stays open after the last packet that was loud enough.
    pub hangover: Duration,
}

impl Default for SquelchSettings {
    /// Speech at a normal distance is -20 to -35 dBov, a quiet room below -60.
    fn default() -> Self {
        Self { open: LevelDbov(50), close: LevelDbov(55), hangover: Duration::from_millis(400) }
    }
}
