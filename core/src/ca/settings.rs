//! What an operator may set.

use std::{collections::BTreeSet, time::Duration};

use crate::identity::UserId;

/// Whose devices may carry the mixer mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MixerPolicy {
    /// Every user's, up to the limit for each.
    #[default]
    Everyone,
    /// Only those of these users.
    Only(BTreeSet<UserId>),
}

impl MixerPolicy {
    /// Returns whether `user` may run mixers at all.
    #[must_use]
    pub fn allows(&self, user: &UserId) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(users) => users.contains(user),
        }
    }
}

/// What the CA is for, and its limits; `default()` suits a public network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthoritySettings {
    /// Whether the network is for tests only: then devices can be enrolled in bulk, and whoever runs
    /// the CA has their keys. Settled when the CA is made, and told by its root certificate.
    pub test_network: bool,
    /// Whose devices may carry the mixer mark.
    pub mixers: MixerPolicy,
    /// Devices with a valid mixer mark that one user may have.
    pub mixers_per_user_max: u32,
    /// Devices with a valid certificate that one user may have.
    pub devices_per_user_max: u32,
    /// How long a one-time password can be used.
    pub otp_lifetime: Duration,
    /// One-time passwords that one user may ask for in an hour.
    pub otp_per_user_hour_max: u32,
    /// Mails that the CA sends in an hour, over all users.
    pub mails_per_hour_max: u32,
    /// How long a device certificate is valid.
    pub certificate_lifetime: Duration,
    /// Connections that one address may open in a minute.
    pub connections_per_minute_max: u32,
}

impl Default for AuthoritySettings {
    fn default() -> Self {
        Self {
            test_network: false,
            mixers: MixerPolicy::Everyone,
            mixers_per_user_max: 3,
            devices_per_user_max: 16,
            otp_lifetime: Duration::from_secs(10 * 60),
            otp_per_user_hour_max: 5,
            mails_per_hour_max: 10_000,
            certificate_lifetime: Duration::from_secs(182 * 24 * 3600),
            connections_per_minute_max: 120,
        }
    }
}
