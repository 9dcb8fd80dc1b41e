//! What a node tells its members unasked: one event on one unidirectional stream, in order.

use sabha_media::leg::Ssrc;
use serde::{Deserialize, Serialize};

use crate::{
    identity::UserId,
    message::{ConferenceId, codec::Message, limit, wire},
};

/// An event. Kinds that a later version adds are skipped by the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Members came or went.
    Roster {
        /// The conference.
        conference: ConferenceId,
        /// Whether this begins the roster anew: forget who was known before it.
        #[serde(default)]
        complete: bool,
        /// At most `Event::ROSTER_CHANGES_MAX`, in order.
        #[serde(deserialize_with = "limit::list::<{ Event::ROSTER_CHANGES_MAX }, _, _>")]
        changes: Vec<RosterChange>,
    },
    /// Somebody was muted or unmuted.
    Muted {
        /// The conference.
        conference: ConferenceId,
        /// Who.
        user: UserId,
        /// Muted now, or not.
        muted: bool,
    },
    /// The conference is over.
    Ended {
        /// The conference.
        conference: ConferenceId,
        /// Why, for people.
        #[serde(deserialize_with = "limit::text::<REASON_LEN_MAX, _>")]
        reason: String,
    },
}

/// One member's coming or going.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterChange {
    /// Who.
    pub user: UserId,
    /// The source that they are in CSRC lists and level extensions.
    #[serde(with = "wire::ssrc")]
    pub ssrc: Ssrc,
    /// Present now, or gone.
    pub joined: bool,
}

impl Event {
    /// Changes in one `Roster`; more are split over several events.
    pub const ROSTER_CHANGES_MAX: usize = 128;
}

impl Message for Event {
    const NAME: &'static str = "event";
    const KINDS: &'static [(&'static str, usize)] =
        &[("roster", 64 * 1024), ("muted", 1024), ("ended", 2048)];
}

/// Longest reason, in bytes; chosen to fit a few lines.
const REASON_LEN_MAX: usize = 1200;
