//! Who may join: tickets, as nodes check them.
//!
//! Pure: certificates were verified by the session, time is an argument.

use sabha_media::leg::LegRole;
use thiserror::Error;

pub use crate::registration::{Ownership, RegisterError, register};
use crate::{
    certificate::{PeerCertificate, TrustRoot},
    identity::{NodeId, UserId},
    message::{
        ConferenceId, Epoch, PermitList, Signed, SignedError, Ticket, Verified, ticket::CLOCK_SKEW,
    },
    unix_time::UnixTime,
};

/// Whose tickets count.
#[derive(Clone, Copy, Debug)]
pub enum TicketIssuer<'a> {
    /// A conference's host and the co-hosts that it named.
    List(&'a Verified<PermitList>),
    /// The host alone, of a conference whose list is not at hand.
    Host {
        /// The conference.
        conference: ConferenceId,
        /// Its host.
        host: NodeId,
    },
}

/// A user's leave to have a leg, after every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The conference.
    pub conference: ConferenceId,
    /// Who.
    pub user: UserId,
    /// With which device.
    pub device: NodeId,
    /// What for.
    pub role: LegRole,
    /// The epoch in which the ticket was made.
    pub epoch: Epoch,
    /// Until when.
    pub expires: UnixTime,
}

/// A ticket does not admit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AdmissionError {
    /// Signature or signer.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// Signed by somebody who may not.
    #[error("the ticket is signed by {0}, who is neither host nor co-host; ask the host for one")]
    Issuer(UserId),
    /// For another user.
    #[error(
        "the ticket is for {ticket}, but {peer} shows it; ask the host for a ticket of your own"
    )]
    User {
        /// Whose ticket it is.
        ticket: UserId,
        /// Who shows it.
        peer: UserId,
    },
    /// For another conference.
    #[error("the ticket is for conference {ticket}, not for {wanted}; ask that one's host")]
    Conference {
        /// The ticket's.
        ticket: ConferenceId,
        /// The one that was asked for.
        wanted: ConferenceId,
    },
    /// For another node.
    #[error("the ticket is for node {ticket}, this is {here}; connect there, or ask the host anew")]
    Node {
        /// The ticket's.
        ticket: NodeId,
        /// This one.
        here: NodeId,
    },
    /// Over.
    #[error("the ticket expired on {0}; ask the host for a new one")]
    Expired(UnixTime),
    /// From the future.
    #[error("the ticket is dated {0}, which is still to come; set the clocks right")]
    Future(UnixTime),
}

/// Verifies `ticket` and checks that it admits `peer`, as `admit` does.
///
/// # Errors
/// `AdmissionError` says what does not fit and whom to ask.
pub fn verify_ticket(
    now: UnixTime,
    root: &TrustRoot,
    issuer: TicketIssuer<'_>,
    node: NodeId,
    ticket: &Signed<Ticket>,
    peer: &PeerCertificate,
) -> Result<Admission, AdmissionError> {
    admit(now, issuer, node, ticket.verify(root, now)?, peer)
}

/// Checks that a ticket whose signature holds admits `peer`, a verified device, to the issuer's
/// conference at `node`. Quick: no cryptography.
///
/// `node` is the node asking, or for a successor the node whose place it takes.
///
/// # Errors
/// `AdmissionError` says what does not fit and whom to ask.
pub fn admit(
    now: UnixTime,
    issuer: TicketIssuer<'_>,
    node: NodeId,
    ticket: Verified<Ticket>,
    peer: &PeerCertificate,
) -> Result<Admission, AdmissionError> {
    let wanted = issuer.conference();
    if ticket.conference != wanted {
        return Err(AdmissionError::Conference { ticket: ticket.conference, wanted });
    }
    if !issuer.trusts(ticket.signer()) {
        return Err(AdmissionError::Issuer(ticket.signer().user.clone()));
    }
    if ticket.user != peer.user {
        return Err(AdmissionError::User { ticket: ticket.user.clone(), peer: peer.user.clone() });
    }
    if ticket.node != node {
        return Err(AdmissionError::Node { ticket: ticket.node, here: node });
    }
    if ticket.expires.min(issuer.expires()) <= now {
        return Err(AdmissionError::Expired(ticket.expires.min(issuer.expires())));
    }
    if ticket.issued > now.after(CLOCK_SKEW) {
        return Err(AdmissionError::Future(ticket.issued));
    }
    let Ticket { conference, user, role, epoch, expires, .. } = ticket.into_value();
    Ok(Admission { conference, user, device: peer.node, role, epoch, expires })
}

impl TicketIssuer<'_> {
    fn conference(&self) -> ConferenceId {
        match self {
            Self::List(list) => list.conference(),
            Self::Host { conference, .. } => *conference,
        }
    }

    fn trusts(&self, signer: &PeerCertificate) -> bool {
        match self {
            Self::List(list) => {
                signer.node == list.origin.host || list.cohosts.contains(&signer.user)
            }
            Self::Host { host, .. } => signer.node == *host,
        }
    }

    fn expires(&self) -> UnixTime {
        match self {
            Self::List(list) => list.expires,
            Self::Host { .. } => UnixTime::from_secs(u64::MAX),
        }
    }
}
