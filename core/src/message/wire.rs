//! How the media plane's types, which know no serialisation, look in messages.

use sabha_media::{
    leg::{LegId, LegRole, Ssrc},
    srtp::SrtpSuite,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::message::limit;

/// A leg as a map of three numbers.
#[derive(Serialize, Deserialize)]
#[serde(remote = "LegId")]
pub(crate) struct WireLegId {
    shard: u16,
    index: u16,
    generation: u32,
}

/// A role as text.
#[derive(Serialize, Deserialize)]
#[serde(remote = "LegRole", rename_all = "snake_case")]
pub(crate) enum WireLegRole {
    Member,
    Standby,
    Trunk,
}

/// An SSRC as a number.
pub(crate) mod ssrc {
    use super::{Deserialize, Deserializer, Serializer, Ssrc};

    pub(crate) fn serialize<S: Serializer>(ssrc: &Ssrc, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(ssrc.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Ssrc, D::Error> {
        u32::deserialize(deserializer).map(Ssrc)
    }
}

/// A suite as IANA's number; one that we do not have is refused.
pub(crate) mod suite {
    use serde::de::Error;

    use super::{Deserialize, Deserializer, Serializer, SrtpSuite};

    pub(crate) fn serialize<S: Serializer>(
        suite: &SrtpSuite,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(suite.id())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SrtpSuite, D::Error> {
        let id = u16::deserialize(deserializer)?;
        SrtpSuite::from_id(id)
            .ok_or_else(|| D::Error::custom(format_args!("suite {id:#06x} is not known")))
    }
}

/// SSRCs as a list of numbers.
pub(crate) mod ssrcs {
    use super::{Deserializer, Serializer, Ssrc, limit};

    /// Streams that one member receives: one from a mixer, the loudest few from a bridge.
    pub(crate) const SSRCS_MAX: usize = 64;

    pub(crate) fn serialize<S: Serializer>(
        ssrcs: &[Ssrc],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ssrcs.iter().map(|ssrc| ssrc.0))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Ssrc>, D::Error> {
        let numbers = limit::list::<SSRCS_MAX, D, u32>(deserializer)?;
        Ok(numbers.into_iter().map(Ssrc).collect())
    }
}

/// Socket addresses as a list of texts, `192.0.2.1:4000` or `[2001:db8::1]:4000`.
pub(crate) mod addresses {
    use std::net::SocketAddr;

    use super::{Deserializer, Serializer, limit};

    pub(crate) fn serialize<S: Serializer>(
        addresses: &[SocketAddr],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(addresses.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<SocketAddr>, D::Error> {
        limit::addresses(deserializer)
    }
}
