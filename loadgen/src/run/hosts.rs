//! The host of all conferences of a run: one device, one session with the node, one door.
//!
//! As `sabha_client::host::Host`, which holds one conference; ten thousand of them would need as
//! many sockets and sessions.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sabha_core::admission::{Ownership, register};
use sabha_core::message::{
    Answer, ConferenceId, ConferenceOrigin, ConferenceSettings, JoinLink, MessageError, Mode,
    NoRandomness, PermitList, RefusalCode, Request, Signed,
};
use sabha_core::quic::LinkError;
use sabha_core::signalling::{
    ClientCredentials, EndpointError, IncomingSession, Session, SignallingEndpoint,
    SignallingSettings,
};
use sabha_core::{Clock, Identity, NodeId, UserId};
use thiserror::Error;
use tokio::task::JoinSet;

/// Conferences cannot be held.
#[derive(Debug, Error)]
pub enum HostError {
    /// No socket.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The node cannot be reached.
    #[error("the host cannot reach the node: {0}")]
    Link(#[from] LinkError),
    /// No name for a conference.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// A list over its limits.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The node does not take a conference.
    #[error("the node refused conference {number}: {reason}")]
    Refused {
        /// Which, from 0.
        number: u32,
        /// The node's words.
        reason: String,
    },
}

/// How the conferences of a run are.
#[derive(Clone, Debug)]
pub struct ConferencePlan {
    /// How many.
    pub conferences: u32,
    /// Members in each.
    pub members_each: u32,
    /// Talkers that are heard at once.
    pub talkers_max: u16,
    /// Mixed or forwarded.
    pub mode: Mode,
}

/// A host with its door open.
pub struct Hosts {
    endpoint: SignallingEndpoint,
    node: Session,
    links: Vec<JoinLink>,
}

/// What every registration needs.
struct Office {
    identity: Identity,
    clock: Clock,
    held: HashMap<ConferenceId, (PermitList, Ownership)>,
}

impl Hosts {
    /// Creates the conferences at the node and lets members register.
    ///
    /// `users` are all members' names in the order of their numbers.
    ///
    /// # Errors
    /// `HostError`.
    pub async fn open(
        identity: Identity,
        (node, node_address): (NodeId, SocketAddr),
        plan: ConferencePlan,
        users: &[UserId],
    ) -> Result<Self, HostError> {
        let clock = Clock::system();
        let local = SocketAddr::new(local_ip(node_address), 0);
        let settings = SignallingSettings { sessions_max: SESSIONS_MAX, ..Default::default() };
        let endpoint = SignallingEndpoint::server(local, &clock, &identity, settings)?;
        let credentials =
            ClientCredentials::new(&clock, &identity).map_err(EndpointError::Config)?;
        let session = endpoint.connect(&credentials, node_address, node).await?;
        let mut tasks = JoinSet::new();
        let mut held = HashMap::new();
        let mut links: Vec<(u32, JoinLink)> = Vec::new();
        let addresses = endpoint.local_addr().map(|address| vec![address]).unwrap_or_default();
        for number in 0..plan.conferences {
            let list = permit_list(&clock, &identity, number, &plan, users)?;
            let session = session.clone();
            let permit_list = Signed::sign(&list, &identity)?;
            tasks.spawn(async move { (number, list, create(&session, number, permit_list).await) });
            while tasks.len() >= CREATIONS_MAX || number + 1 == plan.conferences {
                let Some(done) = tasks.join_next().await else { break };
                let Ok((number, list, epoch)) = done else { continue };
                let conference = list.conference();
                let ownership = Ownership { node, addresses: vec![node_address], epoch: epoch? };
                held.insert(conference, (list, ownership));
                let root = identity.root().fingerprint();
                let addresses = addresses.clone();
                links.push((
                    number,
                    JoinLink { conference, host: identity.node(), root, addresses },
                ));
            }
        }
        links.sort_by_key(|(number, _)| *number);
        let office = Arc::new(Office { identity, clock, held });
        tokio::spawn(serve(endpoint.clone(), office));
        tokio::spawn(drain_events(session.clone()));
        let links = links.into_iter().map(|(_, link)| link).collect();
        Ok(Self { endpoint, node: session, links })
    }

    /// Returns what members need to join, for each conference.
    pub fn links(&self) -> &[JoinLink] {
        &self.links
    }

    /// Closes the door; the node ends the conferences when it ends.
    pub fn close(&self) {
        self.node.close("the run is over");
        self.endpoint.close("the run is over");
    }
}

fn permit_list(
    clock: &Clock,
    identity: &Identity,
    number: u32,
    plan: &ConferencePlan,
    users: &[UserId],
) -> Result<PermitList, NoRandomness> {
    let now = clock.now();
    let first = (number * plan.members_each) as usize;
    let members = users.iter().skip(first).take(plan.members_each as usize);
    let mut users: BTreeSet<_> = members.cloned().collect();
    users.insert(identity.user().clone());
    Ok(PermitList {
        origin: ConferenceOrigin::new(now, identity.node(), now.date(), number + 1)?,
        issued: now,
        expires: now.after(LASTS),
        users,
        cohosts: BTreeSet::new(),
        settings: ConferenceSettings {
            talkers_max: plan.talkers_max,
            self_share_percent: SELF_SHARE_PERCENT,
            members_max: MEMBERS_MAX,
            mode: plan.mode.clone(),
        },
    })
}

async fn create(
    session: &Session,
    number: u32,
    permit_list: Signed<PermitList>,
) -> Result<sabha_core::message::Epoch, HostError> {
    match session.request(&Request::CreateConference { permit_list }).await? {
        Answer::Created { epoch, .. } => Ok(epoch),
        Answer::Refused(refusal) => Err(HostError::Refused { number, reason: refusal.message }),
        _ => Err(HostError::Refused { number, reason: "an unexpected answer".to_owned() }),
    }
}

async fn serve(endpoint: SignallingEndpoint, office: Arc<Office>) {
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(attend(incoming, office.clone()));
    }
}

/// Serves one caller, for as long as they stay.
async fn attend(incoming: IncomingSession, office: Arc<Office>) {
    let Ok(session) = incoming.handshake().await else { return };
    while let Ok((request, responder)) = session.accept_request().await {
        let answer = office.answer(&session, &request);
        if responder.answer(&answer).await.is_err() {
            return;
        }
    }
}

/// What the node tells a host is not needed here, but must be taken.
async fn drain_events(session: Session) {
    while session.accept_event().await.is_ok() {}
}

impl Office {
    fn answer(&self, session: &Session, request: &Request) -> Answer {
        let Request::Register { conference, role } = request else {
            return Answer::refuse(RefusalCode::UnknownRequest, "this host gives tickets only");
        };
        let Some((list, ownership)) = self.held.get(conference) else {
            return Answer::refuse(RefusalCode::UnknownConference, "this host does not hold it");
        };
        let wanted = (*conference, *role);
        match register(self.clock.now(), &self.identity, list, ownership, wanted, session.peer()) {
            Ok(ticket) => Answer::Registered { ticket },
            Err(error) => Answer::refuse(RefusalCode::NotPermitted, &error),
        }
    }
}

/// Returns the address to listen on: loopback for a node there, else any.
fn local_ip(node: SocketAddr) -> IpAddr {
    if node.ip().is_loopback() { node.ip() } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
}

/// Share of their own voice that talkers hear.
pub const SELF_SHARE_PERCENT: u8 = 10;

/// Members of a conference: more than any run has.
const MEMBERS_MAX: u32 = 65_536;

/// Registrations that may be open at once: all members of a run.
const SESSIONS_MAX: usize = 20_000;

/// Creations under way at once. Source: requests that one session may have open.
const CREATIONS_MAX: usize = 8;

/// How long a conference may last; longer than any run.
const LASTS: Duration = Duration::from_secs(2 * 24 * 3_600);
