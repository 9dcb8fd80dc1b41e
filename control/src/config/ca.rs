//! `[ca]`: the CA that `sabha ca` runs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use sabha_core::{
    UserId,
    ca::{AuthoritySettings, MixerPolicy},
};

use crate::config::{Sources, section::Section};

/// The CA that `sabha ca` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaConfig {
    /// Folder of its keys, certificates, database and outbox.
    pub dir: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its limits.
    pub settings: AuthoritySettings,
}

impl CaConfig {
    pub(crate) fn read(section: &mut Section<'_>, sources: &Sources) -> Self {
        Self {
            dir: section.value("dir", sources.data_home().join("sabha-ca")),
            listen: section.value("listen", (Ipv4Addr::LOCALHOST, PORT).into()),
            settings: settings(section),
        }
    }
}

fn settings(section: &mut Section<'_>) -> AuthoritySettings {
    let default = AuthoritySettings::default();
    let otp_minutes = default.otp_lifetime.as_secs() / MINUTE;
    let certificate_days = default.certificate_lifetime.as_secs() / DAY;
    let mixers: Vec<UserId> = section.value("mixers", Vec::new());
    AuthoritySettings {
        test_network: section.value("test_network", default.test_network),
        mixers: match mixers.is_empty() {
            true => MixerPolicy::Everyone,
            false => MixerPolicy::Only(mixers.into_iter().collect()),
        },
        mixers_per_user_max: section.number(
            "mixers_per_user_max",
            default.mixers_per_user_max,
            0..=10_000,
        ),
        devices_per_user_max: section.number(
            "devices_per_user_max",
            default.devices_per_user_max,
            1..=10_000,
        ),
        otp_lifetime: Duration::from_secs(
            section.number("otp_minutes", otp_minutes, 1..=60) * MINUTE,
        ),
        otp_per_user_hour_max: section.number(
            "otp_per_user_hour_max",
            default.otp_per_user_hour_max,
            1..=1_000,
        ),
        mails_per_hour_max: section.number(
            "mails_per_hour_max",
            default.mails_per_hour_max,
            1..=10_000_000,
        ),
        certificate_lifetime: Duration::from_secs(
            section.number("certificate_days", certificate_days, 1..=397) * DAY,
        ),
        connections_per_minute_max: section.number(
            "connections_per_minute_max",
            default.connections_per_minute_max,
            1..=1_000_000,
        ),
    }
}

/// The CA's port; chosen because it is free at IANA's and next to the nodes' 4600.
const PORT: u16 = 4700;
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;
