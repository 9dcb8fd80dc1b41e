//! What a node or host answers, on the stream of the request.

use std::net::SocketAddr;

use sabha_media::{
    leg::{LegId, Ssrc},
    srtp::SrtpSuite,
};
use serde::{Deserialize, Serialize};

use crate::message::{
    ConferenceId, Epoch, Mode, Signed, Ticket,
    codec::{Message, printable},
    limit,
    open_enum::open_enum,
    wire::{self, WireLegId},
};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The conference is there.
    Created {
        /// Its ID.
        conference: ConferenceId,
        /// Its present epoch.
        epoch: Epoch,
    },
    /// The leg is there.
    Joined(JoinAnswer),
    /// The host's leave.
    Registered {
        /// To be shown to the node that it names.
        ticket: Signed<Ticket>,
    },
    /// Done as asked.
    Done {},
    /// To `Ping`.
    Pong {},
    /// Not done.
    Refused(Refusal),
}

/// The fields of `Answer::Joined`: all that a member needs for its media.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// The leg, for `Leave`.
    #[serde(with = "WireLegId")]
    pub leg: LegId,
    /// Which leg of this session it is; goes into the media keys.
    pub leg_generation: u32,
    /// The conference's epoch; goes into the media keys.
    pub epoch: Epoch,
    /// The chosen SRTP protection profile, as IANA's number.
    #[serde(with = "wire::suite")]
    pub suite: SrtpSuite,
    /// Where the shard's media socket listens.
    #[serde(with = "wire::addresses")]
    pub media_addresses: Vec<SocketAddr>,
    /// The SSRC to send with.
    #[serde(with = "wire::ssrc")]
    pub send_ssrc: Ssrc,
    /// The SSRCs that will be received: one from a mixer, several from a bridge.
    #[serde(with = "wire::ssrcs")]
    pub receive_ssrcs: Vec<Ssrc>,
    /// RTP payload type of Opus, both ways.
    #[serde(deserialize_with = "limit::within::<0, 127, _>")]
    pub payload_type: u8,
    /// RTP payload type of redundant audio (RFC 2198), both ways; absent unless it was offered.
    #[serde(
        default,
        deserialize_with = "limit::optional_within::<0, 127, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub red_payload_type: Option<u8>,
    /// Header extension ID of the client's level. Source: RFC 6464.
    #[serde(deserialize_with = "limit::within::<1, 14, _>")]
    pub client_level_extension: u8,
    /// Header extension ID of the mixer's levels. Source: RFC 6465.
    #[serde(deserialize_with = "limit::within::<1, 14, _>")]
    pub mixer_level_extension: u8,
    /// How much sound a packet of the member holds, in milliseconds; it may be sent up to 60.
    pub packet_ms: u16,
    /// How the node carries the conference.
    pub mode: Mode,
    /// The name of this member's sources in RTCP.
    #[serde(deserialize_with = "limit::text::<CNAME_LEN_MAX, _>")]
    pub cname: String,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For the person who asked.
    #[serde(deserialize_with = "limit::text::<REFUSAL_LEN_MAX, _>")]
    pub message: String,
}

open_enum! {
    /// Why something was not done; later versions may add more.
    pub enum RefusalCode {
        /// The request could not be read.
        BadRequest = "bad_request",
        /// This version does not know the request.
        UnknownRequest = "unknown_request",
        /// The ticket does not admit this device here; a new one may.
        BadTicket = "bad_ticket",
        /// The host's list does not have this user.
        NotPermitted = "not_permitted",
        /// Nothing is known of that conference here.
        UnknownConference = "unknown_conference",
        /// There is no such leg of this session.
        UnknownLeg = "unknown_leg",
        /// Only the host or a co-host may do that.
        NotHost = "not_host",
        /// This node may not own that conference.
        NotOwner = "not_owner",
        /// The host let nobody else in.
        Locked = "locked",
        /// Conference or node has all the members that it can take.
        Full = "full",
        /// None of the offered suites will do.
        NoCommonSuite = "no_common_suite",
        /// Too much was asked in too short a time.
        RateLimited = "rate_limited",
        /// Something failed inside.
        Internal = "internal",
    }
}

impl Answer {
    /// Refuses, with a text for the person who asked.
    #[must_use]
    pub fn refuse(code: RefusalCode, message: &(impl ToString + ?Sized)) -> Self {
        Self::Refused(Refusal::new(code, message))
    }
}

impl Refusal {
    /// Makes a refusal; control characters are left out and a long text is cut.
    #[must_use]
    pub fn new(code: RefusalCode, message: &(impl ToString + ?Sized)) -> Self {
        Self { code, message: printable(&message.to_string()) }
    }
}

impl Message for Answer {
    const NAME: &'static str = "answer";
    const KINDS: &'static [(&'static str, usize)] = &[
        ("created", 1024),
        ("joined", 4096),
        ("registered", 20 * 1024),
        ("done", 1024),
        ("pong", 1024),
        ("refused", 4096),
    ];
}

/// Longest CNAME, in bytes. Source: RFC 3550 section 6.5.
const CNAME_LEN_MAX: usize = 255;
/// Longest text of a refusal, in bytes: 300 characters in UTF-8.
const REFUSAL_LEN_MAX: usize = 1200;
