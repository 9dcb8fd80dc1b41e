//! A conference's name, and what it is the hash of.

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{domain::Domain, hex32::hex32, identity::NodeId, unix_time::UnixTime};

hex32! {
    /// SHA-256 over a conference's origin; names the conference everywhere.
    ConferenceId, "a conference ID"
}

/// What a conference ID is made from; shows who its host is and when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConferenceOrigin {
    /// The device that hosts it.
    pub host: NodeId,
    /// The day that it is meant for, as a number: 20260131.
    pub date: u32,
    /// Which of the host's conferences of that day.
    pub sequence: u32,
    /// When it was made; a node owns it only if its mixer mark is older.
    pub created: UnixTime,
    /// Makes the ID impossible to guess or to aim at a node.
    #[serde(with = "serde_bytes")]
    pub random: [u8; 16],
}

/// The system gives no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the system's random generator failed, so no conference can be named; try again")]
pub struct NoRandomness;

impl ConferenceOrigin {
    /// Describes a new conference of `host`.
    ///
    /// # Errors
    /// `NoRandomness` if the system's generator fails.
    pub fn new(
        now: UnixTime,
        host: NodeId,
        date: u32,
        sequence: u32,
    ) -> Result<Self, NoRandomness> {
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| NoRandomness)?;
        Ok(Self { host, date, sequence, created: now, random })
    }

    /// Returns the conference's ID.
    #[must_use]
    pub fn id(&self) -> ConferenceId {
        ConferenceId(Domain::CONFERENCE.sha256(&[
            &self.host.0,
            &self.date.to_be_bytes(),
            &self.sequence.to_be_bytes(),
            &self.created.as_secs().to_be_bytes(),
            &self.random,
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_origin_changes_the_id() {
        let now = UnixTime::from_secs(1_700_000_000);
        let origin = ConferenceOrigin::new(now, NodeId([1; 32]), 20_260_131, 1).unwrap();
        let others = [
            ConferenceOrigin { host: NodeId([2; 32]), ..origin.clone() },
            ConferenceOrigin { date: 20_260_201, ..origin.clone() },
            ConferenceOrigin { sequence: 2, ..origin.clone() },
            ConferenceOrigin { created: UnixTime::from_secs(1), ..origin.clone() },
            ConferenceOrigin { random: [0; 16], ..origin.clone() },
        ];
        for other in others {
            assert_ne!(origin.id(), other.id(), "{other:?}");
        }
        assert_eq!(origin.id(), origin.clone().id());
    }
}
