//! Who gets a ticket: a host's answer to `Register`.
//!
//! Pure: the session verified the asker's certificate, time is an argument.

use std::net::SocketAddr;

use sabha_media::leg::LegRole;
use thiserror::Error;

use crate::{
    certificate::PeerCertificate,
    identity::{Identity, NodeId, UserId},
    message::{ConferenceId, Epoch, MessageError, PermitList, Signed, Ticket},
    unix_time::UnixTime,
};

/// Where a conference is held, as its host knows it; goes into every ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The node that owns the conference.
    pub node: NodeId,
    /// Where its signalling listens.
    pub addresses: Vec<SocketAddr>,
    /// The present epoch.
    pub epoch: Epoch,
}

/// A host gives no ticket.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegisterError {
    /// Not the conference of this list.
    #[error("this host does not hold conference {0}; check the join link")]
    UnknownConference(ConferenceId),
    /// Not on the list.
    #[error("{0} is not on the list of this conference; ask its host to be added")]
    NotPermitted(UserId),
    /// Trunks are for nodes.
    #[error("only a node with the mixer mark may ask for a trunk; join as a member")]
    NoMixer,
    /// The conference is over.
    #[error("the conference ended on {0}; ask its host for a new one")]
    Ended(UnixTime),
    /// The ticket is over its limit.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// As host or co-host `identity`, makes a ticket for a verified device whose user is on the list.
///
/// # Errors
/// `RegisterError` says why there is none.
pub fn register(
    now: UnixTime,
    identity: &Identity,
    list: &PermitList,
    ownership: &Ownership,
    (conference, role): (ConferenceId, LegRole),
    peer: &PeerCertificate,
) -> Result<Signed<Ticket>, RegisterError> {
    if conference != list.conference() {
        return Err(RegisterError::UnknownConference(conference));
    }
    if list.expires <= now {
        return Err(RegisterError::Ended(list.expires));
    }
    let is_host = peer.node == list.origin.host || list.cohosts.contains(&peer.user);
    if role == LegRole::Trunk && peer.mixer.is_none() {
        return Err(RegisterError::NoMixer);
    }
    let is_permitted = is_host || list.users.contains(&peer.user);
    if !is_permitted {
        return Err(RegisterError::NotPermitted(peer.user.clone()));
    }
    let Ownership { node, addresses, epoch } = ownership.clone();
    let (user, expires) = (peer.user.clone(), list.expires);
    let ticket = Ticket { conference, user, role, node, addresses, epoch, issued: now, expires };
    Ok(Signed::sign(&ticket, identity)?)
}
