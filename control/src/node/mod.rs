//! A running node: signalling in front, shards behind, the coordinator between.
//!
//! Everything asynchronous about a node is here. No packet passes through.

mod engine;
mod housekeeping;
pub mod load;
mod newcomers;
mod observation;
mod refusal_log;
mod report;
mod request_counters;
mod requests;
mod sessions;
mod settings;
mod shard_endpoint;
mod shards;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

pub use engine::{ConferenceEngine, ConferenceResources, EngineFigures, EngineGauges};
pub use observation::{Observation, ShardObservation};
pub use report::NodeReport;
pub use request_counters::{REFUSAL_REASONS, RequestCounts, RequestKind};
pub use settings::NodeSettings;
pub use shard_endpoint::{ShardCommand, ShardEndpoint, ShardReport};

use dashmap::DashMap;
use sabha_core::message::{ConferenceId, Event};
use sabha_core::signalling::{
    CallersRefused, EndpointError, IncomingSession, SignallingEndpoint, SignallingSettings,
};
use sabha_core::{Clock, Identity, NodeId};
use sabha_media::leg::LegId;
use sabha_media::shard::{ConferenceKey, ShardEvent};
use sabha_media::srtp::KeyUseLog;
use sabha_transport::{BindError, DriverName, StartError};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::coordinator::{Conference, Coordinator, CoordinatorSettings, SessionId};
use housekeeping::Housekeeping;
use newcomers::Newcomers;
use refusal_log::RefusalLog;
use request_counters::RequestCounters;
use sessions::{NodeSession, serve_session};
use shards::Shards;

/// A node cannot start.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Its certificate has no mixer mark.
    #[error(
        "this device ({0}) has no mixer mark, so it may not carry conferences; enrol it anew with `sabha enroll --mixer`"
    )]
    NoMixer(NodeId),
    /// Signalling cannot listen.
    #[error(transparent)]
    Signalling(#[from] EndpointError),
    /// A media socket cannot be bound.
    #[error(transparent)]
    Media(#[from] BindError),
    /// A media thread cannot start.
    #[error(transparent)]
    Driver(#[from] StartError),
    /// A media thread did not take its socket.
    #[error("a media thread did not take its socket: {0}; restart the node")]
    Endpoint(String),
}

/// A running node.
pub struct Node {
    inner: Arc<Inner>,
    endpoint: SignallingEndpoint,
    events: mpsc::Receiver<ShardEvent>,
    tasks: JoinSet<()>,
}

/// Reads a node's figures while it runs; does not keep it running.
#[derive(Clone)]
pub struct NodeFigures(Weak<Inner>);

/// What all tasks of a node share.
pub(crate) struct Inner {
    pub(crate) identity: Identity,
    pub(crate) clock: Clock,
    pub(crate) settings: NodeSettings,
    pub(crate) shards: Shards,
    pub(crate) coordinator: Mutex<Coordinator>,
    /// Where each conference is.
    pub(crate) places: DashMap<ConferenceId, Place>,
    pub(crate) sessions: DashMap<SessionId, Arc<NodeSession>>,
    pub(crate) key_uses: Option<Arc<KeyUseLog>>,
    pub(crate) requests: RequestCounters,
    pub(crate) callers_refused: CallersRefused,
    pub(crate) refusal_log: RefusalLog,
    pub(crate) newcomers: Newcomers,
    is_ending: AtomicBool,
}

/// A conference's shard, and its name there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) shard: u16,
    pub(crate) key: ConferenceKey,
}

impl Node {
    /// Binds all sockets and starts the shards' threads.
    ///
    /// # Errors
    /// `NodeError` says what is missing or taken.
    pub fn start(
        settings: NodeSettings,
        identity: Identity,
        clock: Clock,
    ) -> Result<Self, NodeError> {
        let Some(mark) = identity.certificate().mixer else {
            return Err(NodeError::NoMixer(identity.node()));
        };
        let signalling = SignallingSettings {
            sessions_max: settings.sessions_max,
            ..SignallingSettings::default()
        };
        let endpoint = SignallingEndpoint::server(settings.listen, &clock, &identity, signalling)?;
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let key_uses = settings.key_use_log.then(|| Arc::new(KeyUseLog::new(KEY_USES_MAX)));
        let shards = Shards::start(&settings, key_uses.as_ref(), &sender)?;
        let coordinator = Coordinator::new(CoordinatorSettings {
            node_since: mark.node_since,
            mark_margin: settings.mark_margin,
            conferences_max: settings.conferences_max,
            talkers_max: settings.talkers_max,
        });
        let newcomers = Newcomers::new(settings.load_max());
        let inner = Inner {
            identity,
            clock,
            settings,
            shards,
            coordinator: Mutex::new(coordinator),
            places: DashMap::new(),
            sessions: DashMap::new(),
            key_uses,
            requests: RequestCounters::default(),
            callers_refused: endpoint.refused(),
            refusal_log: RefusalLog::default(),
            newcomers,
            is_ending: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner), endpoint, events, tasks: JoinSet::new() })
    }

    /// Returns where signalling listens.
    ///
    /// # Errors
    /// The system's, if the socket is gone.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Returns where the shards' media sockets listen.
    pub fn media_addresses(&self) -> Vec<SocketAddr> {
        self.inner.shards.addresses()
    }

    /// Returns what runs the shards' threads.
    pub fn driver(&self) -> Option<DriverName> {
        self.inner.shards.driver()
    }

    /// Returns a way to the figures, for while the node runs.
    pub fn figures(&self) -> NodeFigures {
        NodeFigures(Arc::downgrade(&self.inner))
    }

    /// Serves until `stop` completes, then says goodbye to everybody and returns the figures.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> NodeReport {
        let mut stop = std::pin::pin!(stop);
        let mut housekeeping = Housekeeping::new(&self.inner);
        let mut house_turns = tokio::time::interval(housekeeping::INTERVAL);
        let mut next_session = 0;
        let mut open_at = None;
        loop {
            tokio::select! {
                () = &mut stop => break,
                incoming = accept(&self.endpoint, open_at) => {
                    let Some(incoming) = incoming else { break };
                    open_at = later(housekeeping.pause());
                    next_session += 1;
                    let id = SessionId(next_session);
                    self.tasks.spawn(serve_session(self.inner.clone(), id, incoming));
                }
                Some(event) = self.events.recv() => self.inner.handle_shard_event(event).await,
                _ = house_turns.tick() => housekeeping.keep_house(&self.inner).await,
                Some(_) = self.tasks.join_next() => {}
            }
        }
        self.finish().await
    }

    async fn finish(self) -> NodeReport {
        let Self { inner, endpoint, mut tasks, .. } = self;
        inner.is_ending.store(true, Ordering::Relaxed);
        let ids: Vec<_> = inner.places.iter().map(|place| *place.key()).collect();
        for id in ids {
            let conference = inner.coordinator().remove(id);
            if let Some(conference) = conference {
                inner.end_conference(id, conference, "the node is shutting down").await;
            }
        }
        let _ = tokio::time::timeout(GOODBYE_MAX, inner.events_taken()).await;
        endpoint.close("the node is shutting down");
        let _ = tokio::time::timeout(GOODBYE_MAX, endpoint.wait_idle()).await;
        tasks.shutdown().await;
        inner.report_of(&inner.shards.shutdown())
    }
}

impl NodeFigures {
    /// Returns what the node did so far; `None` once it has ended.
    pub async fn report(&self) -> Option<NodeReport> {
        let inner = self.0.upgrade()?;
        let shards = inner.shards.reports().await;
        (!shards.is_empty()).then(|| inner.report_of(&shards))
    }
}

impl Inner {
    /// Locks the coordinator; never held over an await.
    pub(crate) fn coordinator(&self) -> MutexGuard<'_, Coordinator> {
        self.coordinator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report_of(&self, shards: &[ShardReport]) -> NodeReport {
        let driver = self.shards.driver().map(|name| name.to_string()).unwrap_or_default();
        let sent = self.shards.drivers();
        let messages: u64 = sent.iter().map(|driver| driver.gso_messages).sum();
        let segments: u64 = sent.iter().map(|driver| driver.gso_segments).sum();
        let gso_segments_mean = segments as f64 / messages.max(1) as f64;
        NodeReport {
            driver,
            gso_segments_mean,
            ..NodeReport::new(shards, self.key_uses.as_deref())
        }
    }

    /// Says why newcomers had better go elsewhere; `None` if they are welcome.
    pub(crate) fn unready(&self) -> Option<String> {
        if self.is_ending.load(Ordering::Relaxed) {
            return Some("the node is shutting down".into());
        }
        let NodeSettings { sessions_max, legs_max, .. } = self.settings;
        if self.sessions.len() >= sessions_max {
            return Some(format!("all {sessions_max} sessions are taken"));
        }
        if !self.shards.has_room(legs_max) {
            return Some(format!("all {legs_max} legs of every shard are taken"));
        }
        self.newcomers.check(&self.shards).err().map(|overload| overload.to_string())
    }

    async fn handle_shard_event(&self, event: ShardEvent) {
        match event {
            ShardEvent::Goodbye(leg) => self.remove_leg(leg, "said goodbye").await,
            ShardEvent::MediaLost(leg) => self.remove_leg(leg, "was not heard any more").await,
            ShardEvent::Engine(conference, output) => {
                tracing::trace!(?conference, ?output, "talkers changed");
            }
        }
    }

    /// Removes a leg here and on its shard.
    pub(crate) async fn remove_leg(&self, leg: LegId, why: &str) {
        tracing::info!(%leg, why, "leg removed");
        let entry = self.coordinator().left(leg);
        if let Some(entry) = entry {
            self.forget_leg(entry.session, leg);
            self.shards.discount_leg(leg.shard);
        }
        self.shards.order(leg.shard, ShardCommand::RemoveLeg(leg)).await;
    }

    fn forget_leg(&self, session: SessionId, leg: LegId) {
        if let Some(session) = self.sessions.get(&session) {
            session.forget_leg(leg);
        }
    }

    /// Tells everybody that a conference is over, and removes it from its shard.
    pub(crate) async fn end_conference(
        &self,
        id: ConferenceId,
        conference: Conference,
        reason: &str,
    ) {
        tracing::info!(conference = %id, reason, "conference over");
        let event = Event::Ended { conference: id, reason: reason.into() };
        self.notify(conference.sessions().into_iter(), &event).await;
        for (leg, entry) in conference.roster() {
            self.forget_leg(entry.session, *leg);
            self.shards.discount_leg(leg.shard);
        }
        if let Some((_, place)) = self.places.remove(&id) {
            self.shards.discount_conference(place.shard);
            self.shards.order(place.shard, ShardCommand::RemoveConference(place.key)).await;
        }
    }

    /// Puts an event into each session's queue; a session whose queue is full has fallen behind
    /// and is closed, rather than kept waiting for.
    pub(crate) async fn notify(&self, to: impl Iterator<Item = SessionId>, event: &Event) {
        let event = Arc::new(event.clone());
        for id in to {
            let session = self.sessions.get(&id).map(|session| session.value().clone());
            if let Some(session) = session {
                session.queue_event(event.clone());
            }
        }
    }

    /// Waits until every session has taken its events, and a moment for the last ones to arrive:
    /// closing a session drops what is still on the way.
    async fn events_taken(&self) {
        while !self.sessions.iter().all(|session| session.has_taken_events()) {
            tokio::time::sleep(EVENTS_PAUSE).await;
        }
        if !self.sessions.is_empty() {
            tokio::time::sleep(EVENTS_FLIGHT).await;
        }
    }
}

/// Waits for the next caller, but lets nobody in before `open_at`.
async fn accept(
    endpoint: &SignallingEndpoint,
    open_at: Option<tokio::time::Instant>,
) -> Option<IncomingSession> {
    if let Some(open_at) = open_at {
        tokio::time::sleep_until(open_at).await;
    }
    endpoint.accept().await
}

/// Returns the time after a pause; `None` if there is none.
fn later(pause: Duration) -> Option<tokio::time::Instant> {
    (!pause.is_zero()).then(|| tokio::time::Instant::now() + pause)
}

/// Shard events that wait for the node's task.
const EVENTS_MAX: usize = 65_536;

/// Uses of a key that a demonstration can log: 12 members for an hour.
const KEY_USES_MAX: usize = 4_000_000;

/// How often a node that ends looks whether its events are taken.
const EVENTS_PAUSE: Duration = Duration::from_millis(5);

/// How long the last event may be on the way. Chosen: a long round trip and one retransmission.
const EVENTS_FLIGHT: Duration = Duration::from_millis(300);

/// How long sessions may take to hear the goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
