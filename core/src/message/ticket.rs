//! A host's leave for one user to join one conference at one node.

use std::{net::SocketAddr, time::Duration};

use sabha_media::leg::LegRole;
use serde::{Deserialize, Serialize};

use crate::{
    domain::Domain,
    identity::{NodeId, UserId},
    message::{
        ConferenceId, Epoch,
        signed::Payload,
        wire::{self, WireLegRole},
    },
    unix_time::UnixTime,
};

/// What a ticket says; `Signed<Ticket>` is what travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The conference.
    pub conference: ConferenceId,
    /// Whose devices may use it.
    pub user: UserId,
    /// What for.
    #[serde(with = "WireLegRole")]
    pub role: LegRole,
    /// The node that owns the conference.
    pub node: NodeId,
    /// Where that node's signalling listens.
    #[serde(with = "wire::addresses")]
    pub addresses: Vec<SocketAddr>,
    /// The epoch in which the ticket was made.
    pub epoch: Epoch,
    /// When it was signed.
    pub issued: UnixTime,
    /// Until when it admits.
    pub expires: UnixTime,
}

impl Payload for Ticket {
    const NAME: &'static str = "ticket";
    const DOMAIN: Domain = Domain::TICKET;
    const LEN_MAX: usize = 2048;
}

/// How far a signer's clock may run ahead. Source: the network's margin for clock skew.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(60);
