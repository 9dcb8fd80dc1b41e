//! Why a request is not granted, in words for the person who asked.

use std::time::Duration;

use sabha_core::message::{ConferenceId, Refusal, RefusalCode};
use sabha_core::{UnixTime, UserId};
use sabha_media::leg::LegRole;
use thiserror::Error;

/// Why a request is not granted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CoordinatorError {
    /// No such conference.
    #[error("conference {0} is not held here; it may be over, ask its host for a new link")]
    Unknown(ConferenceId),
    /// Only the host may create it.
    #[error("{0} is not the host of this conference; only the host's own device can create it")]
    NotItsHost(UserId),
    /// Only host and co-hosts may do that.
    #[error("{0} is neither host nor co-host of this conference; ask one of them")]
    NotHost(UserId),
    /// The host muted them.
    #[error("{0} was muted by the host; ask the host to be unmuted")]
    MutedByHost(UserId),
    /// The mode is not served.
    #[error(
        "this node does not serve mode {0:?}; create the conference with mode \"mixer\", \"bridge\" or \"auto\""
    )]
    Mode(String),
    /// The client takes fewer streams than the bridge sends.
    #[error(
        "this conference is forwarded as {streams} streams and this client takes {streams_max}; use a client that mixes them itself, or ask the host for a conference of mode \"mixer\""
    )]
    Streams {
        /// What each member is sent.
        streams: u8,
        /// What the client takes.
        streams_max: u8,
    },
    /// The node became a mixer after the conference was created.
    #[error(
        "this node is a mixer since {since} and may own only conferences created at least {} s later, not one of {created}; wait so long, or choose another node",
        .margin.as_secs()
    )]
    TooYoung {
        /// Since when this node has its mark.
        since: UnixTime,
        /// How much older than the conference that must be.
        margin: Duration,
        /// When the conference was created.
        created: UnixTime,
    },
    /// More talkers than this node mixes.
    #[error("talkers_max is {asked}; this node mixes 1 to {node_max}")]
    Talkers {
        /// What was asked for.
        asked: u16,
        /// The node's limit.
        node_max: u16,
    },
    /// The node is full.
    #[error("this node holds all the {conferences_max} conferences it may; choose another node")]
    Full {
        /// The limit.
        conferences_max: usize,
    },
    /// The conference is full.
    #[error(
        "the conference is full: it admits {members_max} members; ask its host to raise the limit"
    )]
    MembersMax {
        /// The limit.
        members_max: u32,
    },
    /// The host locked the conference.
    #[error("the host has locked the conference; ask the host to unlock it")]
    Locked,
    /// The role is not served.
    #[error("this node does not serve role {0:?}; join as a member")]
    Role(LegRole),
}

impl CoordinatorError {
    /// Returns the refusal for whoever asked.
    pub fn refusal(&self) -> Refusal {
        let code = match self {
            Self::Unknown(_) => RefusalCode::UnknownConference,
            Self::NotItsHost(_) | Self::NotHost(_) | Self::MutedByHost(_) => RefusalCode::NotHost,
            Self::Mode(_) | Self::Streams { .. } | Self::Talkers { .. } | Self::Role(_) => {
                RefusalCode::BadRequest
            }
            Self::TooYoung { .. } => RefusalCode::NotOwner,
            Self::Full { .. } | Self::MembersMax { .. } => RefusalCode::Full,
            Self::Locked => RefusalCode::Locked,
        };
        Refusal::new(code, self)
    }
}
