//! What a host allows in its conference, under its signature.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    certificate::TrustRoot,
    domain::Domain,
    identity::{NodeId, UserId},
    message::{
        ConferenceId, ConferenceOrigin, limit,
        open_enum::open_enum,
        signed::{Payload, Signed, SignedError, Verified},
    },
    unix_time::UnixTime,
};

/// A conference, who may be in it, and how it is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitList {
    /// What the conference's ID is made from; its `host` is the device that must sign this list.
    pub origin: ConferenceOrigin,
    /// When this list was signed.
    pub issued: UnixTime,
    /// When the conference must be over.
    pub expires: UnixTime,
    /// Users that the host gives tickets to.
    #[serde(deserialize_with = "limit::set::<USERS_MAX, _, _>")]
    pub users: BTreeSet<UserId>,
    /// Users whose devices may sign tickets in the host's stead.
    #[serde(deserialize_with = "limit::set::<COHOSTS_MAX, _, _>")]
    pub cohosts: BTreeSet<UserId>,
    /// How the conference is to be run.
    pub settings: ConferenceSettings,
}

/// How a conference is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConferenceSettings {
    /// Talkers that are heard at once.
    pub talkers_max: u16,
    /// How much of their own voice talkers hear, in percent of its level; 0 is none.
    #[serde(deserialize_with = "limit::within::<0, 100, _>")]
    pub self_share_percent: u8,
    /// Members at once.
    pub members_max: u32,
    /// Mix or forward.
    pub mode: Mode,
}

open_enum! {
    /// How a node carries a conference.
    pub enum Mode {
        /// Decodes, mixes and encodes: one stream to each member.
        Mixer = "mixer",
        /// Forwards the loudest few as they are.
        Bridge = "bridge",
        /// As the node thinks fit by the number of those permitted; only asked for, never an answer.
        Auto = "auto",
    }
}

/// A permit list is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PermitError {
    /// Signature or signer.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// Signed by another device than the host's.
    #[error(
        "the permit list of {conference} is signed by {signer}, not by its host {host}; the host itself must create it"
    )]
    NotHost {
        /// The conference.
        conference: ConferenceId,
        /// The device that signed.
        signer: NodeId,
        /// The device that had to.
        host: NodeId,
    },
    /// Over.
    #[error("the permit list of {conference} expired on {expires}; create a new conference")]
    Expired {
        /// The conference.
        conference: ConferenceId,
        /// When it ended.
        expires: UnixTime,
    },
    /// From the future.
    #[error("the permit list is dated {0}, which is still to come; set the host's clock right")]
    Future(UnixTime),
}

impl PermitList {
    /// Returns the conference's ID.
    #[must_use]
    pub fn conference(&self) -> ConferenceId {
        self.origin.id()
    }

    /// Checks that the conference's own host signed the list and that it holds at `now`.
    ///
    /// # Errors
    /// `PermitError` says what was wrong.
    pub fn verify(
        signed: &Signed<Self>,
        root: &TrustRoot,
        now: UnixTime,
    ) -> Result<Verified<Self>, PermitError> {
        let list = signed.verify(root, now)?;
        let (conference, signer, host) = (list.conference(), list.signer().node, list.origin.host);
        if signer != host {
            return Err(PermitError::NotHost { conference, signer, host });
        }
        if list.expires <= now {
            return Err(PermitError::Expired { conference, expires: list.expires });
        }
        match list.issued.max(list.origin.created) {
            latest if latest > now.after(super::ticket::CLOCK_SKEW) => {
                Err(PermitError::Future(latest))
            }
            _ => Ok(list),
        }
    }
}

impl Payload for PermitList {
    const NAME: &'static str = "permit list";
    const DOMAIN: Domain = Domain::PERMIT_LIST;
    const LEN_MAX: usize = PERMIT_LIST_LEN_MAX;
}

impl Default for ConferenceSettings {
    /// Three talkers, nobody hears themselves, up to 10,000 members, mixed.
    fn default() -> Self {
        Self { talkers_max: 3, self_share_percent: 0, members_max: 10_000, mode: Mode::Mixer }
    }
}

/// Users on one list.
const USERS_MAX: usize = 20_000;
/// Co-hosts of one conference.
const COHOSTS_MAX: usize = 16;
/// Longest list: 20,000 addresses of 50 bytes.
pub(crate) const PERMIT_LIST_LEN_MAX: usize = 1_000_000;
