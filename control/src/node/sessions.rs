//! One signalling session: its requests, its events, its legs.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sabha_core::message::{Answer, Event, RefusalCode};
use sabha_core::signalling::{IncomingSession, LinkError, Session};
use sabha_media::leg::LegId;
use tokio::sync::mpsc;

use super::requests::answer;
use super::{Inner, RequestKind};
use crate::coordinator::SessionId;

/// A session of this node.
pub(crate) struct NodeSession {
    pub(crate) id: SessionId,
    pub(crate) session: Session,
    /// Legs made on this session so far; the next one's generation is one more.
    generations: AtomicU32,
    /// `None` once the session is over.
    legs: Mutex<Option<Vec<LegId>>>,
    events: mpsc::Sender<Arc<Event>>,
}

/// Serves a caller from handshake to goodbye.
///
/// The handshake is boxed: a session lasts for hours, and need not keep room for how it began.
pub(crate) fn serve_session(
    inner: Arc<Inner>,
    id: SessionId,
    incoming: IncomingSession,
) -> impl Future<Output = ()> {
    let caller = incoming.remote_address();
    let handshake = Box::pin(incoming.handshake());
    serve(inner, id, caller, handshake)
}

async fn serve(
    inner: Arc<Inner>,
    id: SessionId,
    caller: SocketAddr,
    handshake: Pin<Box<impl Future<Output = Result<Session, LinkError>>>>,
) {
    let session = match handshake.await {
        Ok(session) => session,
        Err(error) => {
            inner.requests.handshake_refused();
            tracing::info!(%caller, %error, "caller refused");
            return;
        }
    };
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let session = Arc::new(NodeSession {
        id,
        session,
        generations: AtomicU32::new(0),
        legs: Mutex::new(Some(Vec::new())),
        events: sender,
    });
    tracing::info!(user = %session.session.peer().user, %caller, "session begins");
    inner.sessions.insert(id, session.clone());
    let ended = tokio::select! {
        ended = serve_requests(&inner, &session) => ended,
        ended = tell_events(&session, events) => ended,
    };
    inner.sessions.remove(&id);
    let legs = session.legs().take();
    for leg in legs.into_iter().flatten() {
        inner.remove_leg(leg, "its session ended").await;
    }
    tracing::info!(user = %session.session.peer().user, %ended, "session over");
}

async fn serve_requests(inner: &Arc<Inner>, session: &Arc<NodeSession>) -> LinkError {
    loop {
        let (request, responder) = match session.session.accept_request().await {
            Ok(accepted) => accepted,
            Err(error) => return error,
        };
        // In a task of its own, so that a session that ends leaves nothing half done.
        let kind = RequestKind::of(&request);
        let work = tokio::spawn(answer(inner.clone(), session.clone(), request));
        let answer = work.await.unwrap_or_else(|failure| {
            tracing::error!(%failure, "a request failed");
            Answer::refuse(RefusalCode::Internal, "the node failed inside; try again")
        });
        inner.requests.answered(kind, &answer);
        if let Err(error) = responder.answer(&answer).await {
            tracing::debug!(%error, "answer not delivered");
        }
    }
}

async fn tell_events(session: &NodeSession, mut events: mpsc::Receiver<Arc<Event>>) -> LinkError {
    while let Some(event) = events.recv().await {
        if let Err(error) = session.session.notify(&event).await {
            return error;
        }
    }
    session.session.closed().await
}

impl NodeSession {
    /// Returns the next leg's generation; it never returns, whatever becomes of the leg.
    pub(crate) fn next_generation(&self) -> Option<u32> {
        let next = |newest: u32| newest.checked_add(1);
        let taken = self.generations.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.ok().map(|newest| newest + 1)
    }

    /// Returns whether the session may have another leg.
    pub(crate) fn has_room(&self) -> bool {
        self.legs().as_ref().is_some_and(|legs| legs.len() < LEGS_MAX)
    }

    /// Adds a leg; false if the session is over.
    pub(crate) fn add_leg(&self, leg: LegId) -> bool {
        self.legs().as_mut().map(|legs| legs.push(leg)).is_some()
    }

    /// Forgets a leg; returns whether it was this session's.
    pub(crate) fn forget_leg(&self, leg: LegId) -> bool {
        let mut legs = self.legs();
        let Some(legs) = legs.as_mut() else { return false };
        let before = legs.len();
        legs.retain(|known| *known != leg);
        legs.len() < before
    }

    /// Queues an event, which all who are told share; a session that does not keep up is closed.
    pub(crate) fn queue_event(&self, event: Arc<Event>) {
        if self.events.try_send(event).is_err() {
            self.session.close("events are not taken in time");
        }
    }

    /// Returns whether no event waits in the queue.
    pub(crate) fn has_taken_events(&self) -> bool {
        self.events.capacity() == self.events.max_capacity()
    }

    fn legs(&self) -> MutexGuard<'_, Option<Vec<LegId>>> {
        self.legs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events that wait for a slow session.
const EVENTS_MAX: usize = 256;

/// Legs of one session at once. Chosen: a device in a few conferences.
const LEGS_MAX: usize = 16;
