//! `[client]`: hosts and members.

use std::{
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

use sabha_media::codec::EncoderSettings;

use crate::config::section::Section;

/// Hosts and members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Local address of media and signalling; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Bitrate and effort of what is sent.
    pub encoder: EncoderSettings,
    /// How long what is heard waits for late packets, at least.
    pub playout_delay: Duration,
}

impl ClientConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            listen: section.value("listen", (Ipv6Addr::UNSPECIFIED, 0).into()),
            encoder: EncoderSettings {
                bitrate: section.number("bitrate", 48_000, 6_000..=192_000),
                complexity: section.number("complexity", 9, 0..=10),
            },
            playout_delay: Duration::from_millis(section.number("playout_delay_ms", 10, 0..=2_000)),
        }
    }
}
