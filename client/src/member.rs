//! Joining a conference: a ticket from its host, a leg and keys from its node.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;

use sabha_core::admission::{AdmissionError, TicketIssuer, admit};
use sabha_core::message::{
    Answer, ConferenceId, Event, JoinAnswer, JoinLink, JoinRequest, Mode, Refusal, Request, Signed,
    Ticket,
};
use sabha_core::quic::LinkError;
use sabha_core::signalling::{ClientCredentials, Session, SignallingEndpoint};
use sabha_core::{Clock, Direction, Fingerprint, Identity, MediaKeyContext, NodeId, media_key};
use sabha_media::engine::RECEIVE_STREAMS_MAX;
use sabha_media::extension::{CLIENT_LEVEL_ID, MIXER_LEVEL_ID};
use sabha_media::leg::{LegId, LegRole};
use sabha_media::srtp::{MasterKey, SrtpSuite};
use thiserror::Error;

/// A member could not join.
#[derive(Debug, Error)]
pub enum JoinError {
    /// Host or node could not be reached, or the session broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The link names no address.
    #[error("the join link names no address of the host; ask the host for a new one")]
    NoAddress,
    /// The conference belongs to another network.
    #[error(
        "the conference's CA is {theirs}, yours is {ours}; enrol with the conference's CA first"
    )]
    OtherAuthority {
        /// The conference's root.
        theirs: Fingerprint,
        /// The root that this device is certified under.
        ours: Fingerprint,
    },
    /// The host refused.
    #[error("the host refused: {}", .0.message)]
    HostRefused(Refusal),
    /// The node refused.
    #[error("the node refused: {}", .0.message)]
    NodeRefused(Refusal),
    /// The host's ticket does not hold.
    #[error(transparent)]
    Ticket(#[from] AdmissionError),
    /// The node may not carry conferences.
    #[error("{0} has no mixer mark, so it may not carry conferences; tell the conference's host")]
    NoMixer(NodeId),
    /// The answer cannot be used.
    #[error("the node's answer cannot be used: {0}; upgrade this program or the node")]
    Answer(&'static str),
}

/// Makes sessions for one device.
#[derive(Clone)]
pub struct Device {
    endpoint: SignallingEndpoint,
    credentials: ClientCredentials,
    identity: Identity,
    clock: Clock,
}

/// A session with a node, on which legs are made.
pub struct NodeSession {
    session: Session,
    ticket: Signed<Ticket>,
    conference: ConferenceId,
    local: Fingerprint,
    /// The newest leg generation seen: the node must never repeat one.
    newest_generation: Mutex<u32>,
}

/// A leg: what the node allotted, and its keys.
pub struct Leg {
    /// The node's answer.
    pub answer: JoinAnswer,
    /// The node's media address, reachable like its signalling.
    pub media: SocketAddr,
    /// The key of what is sent.
    pub send_key: MasterKey,
    /// The key of what is received.
    pub receive_key: MasterKey,
}

impl Device {
    /// Prepares a device for sessions over an endpoint that many devices may share.
    pub fn new(
        endpoint: SignallingEndpoint,
        credentials: ClientCredentials,
        identity: Identity,
        clock: Clock,
    ) -> Self {
        Self { endpoint, credentials, identity, clock }
    }

    /// Returns who this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Asks the conference's host for a ticket.
    ///
    /// # Errors
    /// `JoinError`; `HostRefused` carries the host's words.
    pub async fn register(
        &self,
        link: &JoinLink,
        role: LegRole,
    ) -> Result<Signed<Ticket>, JoinError> {
        let ours = self.identity.root().fingerprint();
        if link.root != ours {
            return Err(JoinError::OtherAuthority { theirs: link.root, ours });
        }
        let session = self.connect_any(&link.addresses, link.host).await?;
        let conference = link.conference;
        let answer = session.request(&Request::Register { conference, role }).await?;
        session.close("registered");
        match answer {
            Answer::Registered { ticket } => {
                self.check_ticket(&ticket, link)?;
                Ok(ticket)
            }
            Answer::Refused(refusal) => Err(JoinError::HostRefused(refusal)),
            _ => Err(JoinError::Answer("it is no ticket")),
        }
    }

    /// Opens a session with the node that the ticket names.
    ///
    /// # Errors
    /// `JoinError` if the node cannot be reached, or is no mixer.
    pub async fn connect(&self, ticket: Signed<Ticket>) -> Result<NodeSession, JoinError> {
        let verified = ticket.verify(self.identity.root(), self.clock.now());
        let verified = verified.map_err(AdmissionError::Signed)?;
        let (conference, node) = (verified.conference, verified.node);
        let session = self.connect_any(&verified.addresses, node).await?;
        if session.peer().mixer.is_none() {
            return Err(JoinError::NoMixer(node));
        }
        let local = session.local_fingerprint();
        let newest_generation = Mutex::new(0);
        Ok(NodeSession { session, ticket, conference, local, newest_generation })
    }

    /// Checks the host's ticket as the node will: a bad one is better known early.
    fn check_ticket(&self, ticket: &Signed<Ticket>, link: &JoinLink) -> Result<(), JoinError> {
        let (now, root) = (self.clock.now(), self.identity.root());
        let ticket = ticket.verify(root, now).map_err(AdmissionError::Signed)?;
        let node = ticket.node;
        let issuer = TicketIssuer::Host { conference: link.conference, host: link.host };
        admit(now, issuer, node, ticket, self.identity.certificate())?;
        Ok(())
    }

    /// Tries the addresses in order.
    async fn connect_any(
        &self,
        addresses: &[SocketAddr],
        node: NodeId,
    ) -> Result<Session, JoinError> {
        let mut failure = JoinError::NoAddress;
        for address in addresses {
            match self.endpoint.connect(&self.credentials, *address, node).await {
                Ok(session) => return Ok(session),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }
}

impl NodeSession {
    /// Makes a leg; over one session any number may follow each other, each with keys of its own.
    ///
    /// # Errors
    /// `JoinError`; `NodeRefused` carries the node's words.
    pub async fn join(&self, role: LegRole) -> Result<Leg, JoinError> {
        let request = Request::Join(JoinRequest {
            ticket: self.ticket.clone(),
            role,
            suites: SrtpSuite::ALL.iter().map(|suite| suite.id()).collect(),
            client_version: concat!("sabha/", env!("CARGO_PKG_VERSION")).into(),
            red: true,
            streams_max: RECEIVE_STREAMS_MAX as u8,
        });
        let answer = match self.session.request(&request).await? {
            Answer::Joined(answer) => answer,
            Answer::Refused(refusal) => return Err(JoinError::NodeRefused(refusal)),
            _ => return Err(JoinError::Answer("it is no answer to a join")),
        };
        self.check(&answer)?;
        let media = self.media_address(&answer)?;
        let send_key = self.key(&answer, Direction::ToNode)?;
        let receive_key = self.key(&answer, Direction::ToMember)?;
        Ok(Leg { answer, media, send_key, receive_key })
    }

    /// Removes a leg.
    ///
    /// # Errors
    /// `JoinError` if the node does not know it.
    pub async fn leave(&self, leg: LegId) -> Result<(), JoinError> {
        match self.session.request(&Request::Leave { leg }).await? {
            Answer::Done {} => Ok(()),
            Answer::Refused(refusal) => Err(JoinError::NodeRefused(refusal)),
            _ => Err(JoinError::Answer("it is no answer to a leave")),
        }
    }

    /// Waits for what the node tells next.
    ///
    /// # Errors
    /// `LinkError` once the session is over.
    pub async fn event(&self) -> Result<Event, LinkError> {
        self.session.accept_event().await
    }

    /// Returns the session itself.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the conference's name.
    pub fn conference(&self) -> ConferenceId {
        self.conference
    }

    /// Refuses an answer that this client cannot follow, or that would repeat a key.
    fn check(&self, answer: &JoinAnswer) -> Result<(), JoinError> {
        let mut newest = self.newest_generation.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.leg_generation <= *newest {
            return Err(JoinError::Answer("it repeats a leg generation, and so a key"));
        }
        *newest = answer.leg_generation;
        let streams_max = match answer.mode {
            Mode::Mixer => 1,
            Mode::Bridge => RECEIVE_STREAMS_MAX,
            Mode::Auto | Mode::Other(_) => 0,
        };
        if !(1..=streams_max).contains(&answer.receive_ssrcs.len()) {
            return Err(JoinError::Answer("it is of a mode that this version does not know"));
        }
        let extensions = (answer.client_level_extension, answer.mixer_level_extension);
        if extensions != (CLIENT_LEVEL_ID, MIXER_LEVEL_ID) {
            return Err(JoinError::Answer("it numbers the level extensions in another way"));
        }
        if answer.packet_ms != 20 {
            return Err(JoinError::Answer("it wants packets of another length than 20 ms"));
        }
        Ok(())
    }

    /// Takes the media address of the family in which signalling already works.
    fn media_address(&self, answer: &JoinAnswer) -> Result<SocketAddr, JoinError> {
        let signalling = canonical(self.session.remote_address());
        let same = |address: &&SocketAddr| address.is_ipv4() == signalling.is_ipv4();
        let addresses = &answer.media_addresses;
        let chosen = addresses.iter().find(same).or(addresses.first());
        chosen.copied().ok_or(JoinError::Answer("it names no media address"))
    }

    fn key(&self, answer: &JoinAnswer, direction: Direction) -> Result<MasterKey, LinkError> {
        let context = MediaKeyContext {
            conference: self.conference,
            epoch: answer.epoch,
            leg_generation: answer.leg_generation,
            direction,
            member_fingerprint: self.local,
            node_fingerprint: self.session.peer().fingerprint,
            suite: answer.suite,
        };
        media_key(&self.session, &context)
    }
}

/// Returns an IPv4 address that came through a socket for both families as what it is.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
