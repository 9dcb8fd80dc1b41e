//! What is asked of a node or a host: one request on one bidirectional stream.

use sabha_media::leg::{LegId, LegRole};
use serde::{Deserialize, Serialize};

use crate::{
    identity::UserId,
    message::{
        ConferenceId, PermitList, Signed, Ticket,
        codec::Message,
        limit,
        permit_list::PERMIT_LIST_LEN_MAX,
        wire::{WireLegId, WireLegRole},
    },
};

/// A request. All but `Register` go to a node; `Register` and `Ping` go to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Take over a conference; only its host may ask. Answer: `Created`.
    CreateConference {
        /// The conference.
        permit_list: Signed<PermitList>,
    },
    /// Make a leg. Answer: `Joined`.
    Join(JoinRequest),
    /// Remove a leg of one's own. Answer: `Done`.
    Leave {
        /// The leg.
        #[serde(with = "WireLegId")]
        leg: LegId,
    },
    /// Mute or unmute: oneself, or as host anybody. Answer: `Done`.
    Mute {
        /// The conference.
        conference: ConferenceId,
        /// Who.
        user: UserId,
        /// Muted from now on, or not.
        muted: bool,
    },
    /// As host, let nobody else in, or let them in again. Answer: `Done`.
    Lock {
        /// The conference.
        conference: ConferenceId,
        /// Locked from now on, or not.
        locked: bool,
    },
    /// As host, end the conference. Answer: `Done`.
    End {
        /// The conference.
        conference: ConferenceId,
    },
    /// Ask a host for a ticket. Answer: `Registered`.
    Register {
        /// The conference.
        conference: ConferenceId,
        /// What the ticket is for.
        #[serde(with = "WireLegRole")]
        role: LegRole,
    },
    /// Ask whether anybody is there. Answer: `Pong`.
    Ping {},
}

/// The fields of `Request::Join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The host's leave.
    pub ticket: Signed<Ticket>,
    /// What the leg is for.
    #[serde(with = "WireLegRole")]
    pub role: LegRole,
    /// SRTP protection profiles that the client can use, best first (IANA's numbers).
    #[serde(deserialize_with = "limit::list::<SUITES_MAX, _, _>")]
    pub suites: Vec<u16>,
    /// The client's name and version, for logs.
    #[serde(deserialize_with = "limit::text::<CLIENT_VERSION_LEN_MAX, _>")]
    pub client_version: String,
    /// Whether the client takes redundant audio in (RFC 2198).
    #[serde(default)]
    pub red: bool,
    /// How many streams the client takes in at once and mixes itself; a bridge sends several.
    #[serde(default = "one_stream")]
    pub streams_max: u8,
}

/// What a client takes that does not say.
const fn one_stream() -> u8 {
    1
}

impl Message for Request {
    const NAME: &'static str = "request";
    const KINDS: &'static [(&'static str, usize)] = &[
        ("create_conference", PERMIT_LIST_LEN_MAX + SIGNATURE_LEN_MAX),
        ("join", 24 * 1024),
        ("leave", 1024),
        ("mute", 1024),
        ("lock", 1024),
        ("end", 1024),
        ("register", 1024),
        ("ping", 1024),
    ];
}

/// Suites that a client offers.
const SUITES_MAX: usize = 16;
/// Longest name and version of a client, in bytes.
const CLIENT_VERSION_LEN_MAX: usize = 64;
/// What signing adds to a payload: three certificates of 4 KiB, signature and framing.
const SIGNATURE_LEN_MAX: usize = 16 * 1024;
