//! Why a shard refuses.

use super::ConferenceKey;
use crate::engine::AddLegError;
use crate::srtp::StreamsError;

/// Why a shard refuses a conference or a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// All slots for legs are taken.
    #[error("this shard holds all the {legs_max} legs it may; try another node")]
    LegsFull {
        /// The limit.
        legs_max: usize,
    },
    /// All slots for conferences are taken.
    #[error("this shard holds all the {conferences_max} conferences it may; try another node")]
    ConferencesFull {
        /// The limit.
        conferences_max: usize,
    },
    /// No such conference here.
    #[error("conference {0:?} is not on this shard")]
    UnknownConference(ConferenceKey),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] AddLegError),
    /// The keys cannot serve these streams.
    #[error(transparent)]
    Streams(#[from] StreamsError),
}
