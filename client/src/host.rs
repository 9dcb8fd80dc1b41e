//! Holding a conference: registers it with a node and gives tickets to those on its list.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sabha_core::admission::{Ownership, register};
use sabha_core::message::{
    Answer, ConferenceId, ConferenceOrigin, ConferenceSettings, JoinLink, MessageError,
    NoRandomness, PermitList, Refusal, RefusalCode, Request, Signed,
};
use sabha_core::quic::LinkError;
use sabha_core::signalling::{
    ClientCredentials, EndpointError, IncomingSession, Responder, Session, SignallingEndpoint,
    SignallingSettings,
};
use sabha_core::{Clock, Identity, NodeId, UnixTime, UserId};
use thiserror::Error;

/// What a host decides.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Where members register.
    pub listen: SocketAddr,
    /// Addresses for the join link; with port 0 the port of `listen` is written.
    pub advertise: Vec<SocketAddr>,
    /// The node that is to carry the conference.
    pub node: NodeId,
    /// Where its signalling listens.
    pub node_address: SocketAddr,
    /// Who may join, beside the host.
    pub users: BTreeSet<UserId>,
    /// Who may sign tickets in the host's stead.
    pub cohosts: BTreeSet<UserId>,
    /// How the conference is to be run.
    pub settings: ConferenceSettings,
    /// How long it may last.
    pub lasts: Duration,
}

/// A conference could not be held.
#[derive(Debug, Error)]
pub enum HostError {
    /// The socket could not be opened.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The node could not be reached, or the session broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The conference could not be named.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The permit list is over its limit.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The node may not carry conferences.
    #[error(
        "{0} has no mixer mark, so it may not carry conferences; have its operator enrol it with --mixer"
    )]
    NoMixer(NodeId),
    /// The node's mark is younger than the conference.
    #[error("{0} was marked as a mixer only after this conference was created; try another node")]
    MarkTooYoung(NodeId),
    /// The node refused.
    #[error("the node refused the conference: {}", .0.message)]
    Refused(Refusal),
    /// The node answered something else.
    #[error("the node answered something unexpected; upgrade this program or the node")]
    Unexpected,
}

/// A conference that is held.
pub struct Host {
    endpoint: SignallingEndpoint,
    node: Session,
    office: Arc<Office>,
    link: JoinLink,
}

/// What every registration needs.
struct Office {
    identity: Identity,
    clock: Clock,
    list: PermitList,
    ownership: Ownership,
    registered: AtomicU64,
    refused: AtomicU64,
}

impl Host {
    /// Registers a new conference with the node and opens the door for registrations.
    ///
    /// # Errors
    /// `HostError` says what was wrong, and with whom.
    pub async fn open(
        clock: Clock,
        identity: Identity,
        settings: HostSettings,
    ) -> Result<Self, HostError> {
        let endpoint = SignallingEndpoint::server(
            settings.listen,
            &clock,
            &identity,
            SignallingSettings::default(),
        )?;
        let credentials =
            ClientCredentials::new(&clock, &identity).map_err(EndpointError::Config)?;
        let node = endpoint.connect(&credentials, settings.node_address, settings.node).await?;
        let now = clock.now();
        let list = permit_list(now, &identity, &settings)?;
        check_mixer(&node, &list)?;
        let permit_list = Signed::sign(&list, &identity)?;
        let epoch = match node.request(&Request::CreateConference { permit_list }).await? {
            Answer::Created { epoch, .. } => epoch,
            Answer::Refused(refusal) => return Err(HostError::Refused(refusal)),
            _ => return Err(HostError::Unexpected),
        };
        let addresses = vec![settings.node_address];
        let ownership = Ownership { node: settings.node, addresses, epoch };
        let link = JoinLink {
            conference: list.conference(),
            host: identity.node(),
            root: identity.root().fingerprint(),
            addresses: advertised(&settings, &endpoint),
        };
        let (registered, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        let office = Office { identity, clock, list, ownership, registered, refused };
        Ok(Self { endpoint, node, office: Arc::new(office), link })
    }

    /// Returns what members need to join.
    pub fn link(&self) -> &JoinLink {
        &self.link
    }

    /// Returns the conference's name.
    pub fn conference(&self) -> ConferenceId {
        self.link.conference
    }

    /// Returns how many were given a ticket, and how many were refused one.
    pub fn registrations(&self) -> (u64, u64) {
        let Office { registered, refused, .. } = &*self.office;
        (registered.load(Ordering::Relaxed), refused.load(Ordering::Relaxed))
    }

    /// Serves registrations until the session with the node ends, and says why it did.
    ///
    /// Cancelling loses nothing but registrations that are under way.
    pub async fn serve(&self) -> LinkError {
        loop {
            tokio::select! {
                incoming = self.endpoint.accept() => {
                    let Some(incoming) = incoming else { return self.node.closed().await };
                    tokio::spawn(attend(incoming, self.office.clone()));
                }
                event = self.node.accept_event() => {
                    match event {
                        Ok(event) => tracing::info!(?event, "the node tells"),
                        Err(error) => return error,
                    }
                }
            }
        }
    }

    /// Mutes a member, or lets them speak again.
    ///
    /// # Errors
    /// `HostError::Refused` if the node did not do it.
    pub async fn mute(&self, user: UserId, muted: bool) -> Result<(), HostError> {
        let conference = self.conference();
        self.order(Request::Mute { conference, user, muted }).await
    }

    /// Lets nobody else in, or lets them in again.
    ///
    /// # Errors
    /// `HostError::Refused` if the node did not do it.
    pub async fn lock(&self, locked: bool) -> Result<(), HostError> {
        let conference = self.conference();
        self.order(Request::Lock { conference, locked }).await
    }

    /// Ends the conference and closes the door.
    ///
    /// # Errors
    /// `HostError` if the node could not be told; it ends the conference when its time is over.
    pub async fn end(self) -> Result<(), HostError> {
        let ended = self.order(Request::End { conference: self.conference() }).await;
        self.node.close("the conference is over");
        self.endpoint.close("the conference is over");
        self.endpoint.wait_idle().await;
        ended
    }

    async fn order(&self, request: Request) -> Result<(), HostError> {
        match self.node.request(&request).await? {
            Answer::Done {} => Ok(()),
            Answer::Refused(refusal) => Err(HostError::Refused(refusal)),
            _ => Err(HostError::Unexpected),
        }
    }
}

/// Serves one caller, for as long as they stay.
async fn attend(incoming: IncomingSession, office: Arc<Office>) {
    let session = match incoming.handshake().await {
        Ok(session) => session,
        Err(error) => {
            office.refused.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%error, "caller refused");
            return;
        }
    };
    while let Ok((request, responder)) = session.accept_request().await {
        if office.answer(&session, &request, responder).await.is_err() {
            return;
        }
    }
}

impl Office {
    async fn answer(
        &self,
        session: &Session,
        request: &Request,
        responder: Responder,
    ) -> Result<(), LinkError> {
        let answer = match request {
            Request::Register { conference, role } => {
                let wanted = (*conference, *role);
                let now = self.clock.now();
                let (list, ownership) = (&self.list, &self.ownership);
                match register(now, &self.identity, list, ownership, wanted, session.peer()) {
                    Ok(ticket) => {
                        self.registered.fetch_add(1, Ordering::Relaxed);
                        tracing::info!(user = %session.peer().user, "registered");
                        Answer::Registered { ticket }
                    }
                    Err(error) => {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        tracing::info!(user = %session.peer().user, %error, "refused");
                        Answer::refuse(RefusalCode::NotPermitted, &error)
                    }
                }
            }
            Request::Ping {} => Answer::Pong {},
            _ => Answer::refuse(
                RefusalCode::UnknownRequest,
                "this is the conference's host, which gives tickets only; ask its node",
            ),
        };
        responder.answer(&answer).await
    }
}

fn permit_list(
    now: UnixTime,
    identity: &Identity,
    settings: &HostSettings,
) -> Result<PermitList, NoRandomness> {
    let mut users = settings.users.clone();
    users.insert(identity.user().clone());
    Ok(PermitList {
        origin: ConferenceOrigin::new(now, identity.node(), now.date(), 1)?,
        issued: now,
        expires: now.after(settings.lasts),
        users,
        cohosts: settings.cohosts.clone(),
        settings: settings.settings.clone(),
    })
}

/// Checks that the node may own the conference: it has the mark, and had it before.
fn check_mixer(node: &Session, list: &PermitList) -> Result<(), HostError> {
    let peer = node.peer();
    let Some(mark) = &peer.mixer else { return Err(HostError::NoMixer(peer.node)) };
    if mark.node_since > list.origin.created {
        return Err(HostError::MarkTooYoung(peer.node));
    }
    Ok(())
}

fn advertised(settings: &HostSettings, endpoint: &SignallingEndpoint) -> Vec<SocketAddr> {
    let port = endpoint.local_addr().map_or(0, |address| address.port());
    let with_port = |address: &SocketAddr| {
        let port = if address.port() == 0 { port } else { address.port() };
        SocketAddr::new(address.ip(), port)
    };
    settings.advertise.iter().map(with_port).collect()
}
