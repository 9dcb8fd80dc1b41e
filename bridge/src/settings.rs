//! What a conference's host and its node decide about a bridge.

use std::time::Duration;

use sabha_media::engine::RECEIVE_STREAMS_MAX;
use sabha_media::rtp::PayloadType;
use sabha_media::squelch::SquelchSettings;

/// Settings of one bridged conference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BridgeSettings {
    /// How many are forwarded at once; 1 to `RECEIVE_STREAMS_MAX`.
    pub talkers_max: usize,
    /// How many legs the conference admits.
    pub members_max: u32,
    /// When a member counts as talking.
    pub squelch: SquelchSettings,
    /// How long packets are gathered at least, whatever the load; at most `GATHER_MAX` counts.
    pub gather: Duration,
    /// The payload type that members send and receive Opus with.
    pub payload_type: PayloadType,
    /// The payload type of redundant audio (RFC 2198), of legs that agreed on it, both ways.
    pub red_payload_type: PayloadType,
}

/// Why settings are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// `talkers_max` is out of range.
    #[error("talkers_max is {0}; a bridge takes 1 to {RECEIVE_STREAMS_MAX}, a mixer more")]
    TalkersMax(usize),
    /// The gate would close at a louder level than it opens at.
    #[error("the squelch closes at -{close} dBov, which is louder than -{open} dBov, its opening")]
    Squelch {
        /// The opening level.
        open: u8,
        /// The closing level.
        close: u8,
    },
}

impl BridgeSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// `SettingsError` for the first value out of range.
    pub fn checked(self) -> Result<Self, SettingsError> {
        if !(1..=RECEIVE_STREAMS_MAX).contains(&self.talkers_max) {
            return Err(SettingsError::TalkersMax(self.talkers_max));
        }
        let (open, close) = (self.squelch.open.0, self.squelch.close.0);
        if close < open {
            return Err(SettingsError::Squelch { open, close });
        }
        Ok(self)
    }
}

impl Default for BridgeSettings {
    fn default() -> Self {
        Self {
            talkers_max: 3,
            members_max: 10_000,
            squelch: SquelchSettings::default(),
            gather: Duration::ZERO,
            payload_type: PayloadType(111),
            red_payload_type: PayloadType(112),
        }
    }
}
