//! What a conference's host and its node decide about a mix.

use std::time::Duration;

use sabha_media::codec::EncoderSettings;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::JitterSettings;
use sabha_media::rtp::PayloadType;
use sabha_media::squelch::SquelchSettings;

use crate::effort::ListenerPacketSetting;

/// Settings of one mixed conference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixerSettings {
    /// How many are heard at once; 1 to `TALKERS_MAX`.
    pub talkers_max: usize,
    /// What share of their own voice talkers get back, 0.0 to 1.0.
    pub self_share: f32,
    /// How many legs the conference admits.
    pub members_max: u32,
    /// When a member counts as talking.
    pub squelch: SquelchSettings,
    /// Bounds of each talker's playout delay.
    pub jitter: JitterSettings,
    /// Bitrate and effort of every encode.
    pub encoder: EncoderSettings,
    /// How much sound one packet holds to those who only listen.
    pub listener_packet: ListenerPacketSetting,
    /// The payload type that members send and receive Opus with.
    pub payload_type: PayloadType,
    /// The payload type of redundant audio (RFC 2198), of legs that agreed on it, both ways.
    pub red_payload_type: PayloadType,
}

/// Why settings are refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// `talkers_max` is out of range.
    #[error("talkers_max is {0}; it must be 1 to {TALKERS_MAX}, as many as an RTP header can name")]
    TalkersMax(usize),
    /// `self_share` is out of range.
    #[error("self_share is {0}; it must be 0.0 (own voice removed) to 1.0 (own voice in full)")]
    SelfShare(f32),
    /// The squelch would close at a louder level than it opens at.
    #[error("the squelch closes at -{close} dBov, which is louder than -{open} dBov, its opening")]
    Squelch {
        /// The opening level.
        open: u8,
        /// The closing level.
        close: u8,
    },
}

impl MixerSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// `SettingsError` for the first value out of range.
    pub fn checked(self) -> Result<Self, SettingsError> {
        if !(1..=TALKERS_MAX).contains(&self.talkers_max) {
            return Err(SettingsError::TalkersMax(self.talkers_max));
        }
        if !(0.0..=1.0).contains(&self.self_share) {
            return Err(SettingsError::SelfShare(self.self_share));
        }
        let (open, close) = (self.squelch.open.0, self.squelch.close.0);
        if close < open {
            return Err(SettingsError::Squelch { open, close });
        }
        Ok(self)
    }
}

impl Default for MixerSettings {
    fn default() -> Self {
        Self {
            talkers_max: 8,
            self_share: 0.1,
            members_max: 10_000,
            squelch: SquelchSettings::default(),
            jitter: JitterSettings {
                target_min: Duration::from_millis(4),
                target_max: Duration::from_millis(200),
                quiet: LevelDbov(60),
                margin_percent: 35,
                stretch: true,
            },
            encoder: EncoderSettings { bitrate: 64_000, complexity: 9 },
            listener_packet: ListenerPacketSetting::Auto,
            payload_type: PayloadType(111),
            red_payload_type: PayloadType(112),
        }
    }
}

/// Most talkers in a mix: the sources that one RTP header can name (RFC 3550 section 5.1), less
/// room for those who are just fading out.
pub const TALKERS_MAX: usize = 12;
