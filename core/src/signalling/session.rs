//! A session with one verified device.

use std::{fmt, net::SocketAddr, sync::Arc};

use quinn::{Connection, SendStream};
use tokio::{sync::Mutex, time::timeout};
use zeroize::Zeroizing;

use crate::{
    certificate::PeerCertificate,
    fingerprint::Fingerprint,
    message::{
        Answer, Event, MessageError, RefusalCode, Request,
        codec::{Message, printable},
    },
    quic::{self, LinkError, MESSAGE_TIMEOUT, MessageReader, Peer},
};

/// A session. Clones share it; it ends when it is closed or the last clone is dropped.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    connection: Connection,
    certificate: PeerCertificate,
    local: Fingerprint,
    peer: Peer,
    /// The request that is being read, kept here so that a cancelled wait loses nothing.
    request: Mutex<Option<(SendStream, MessageReader)>>,
    /// The event that is being read.
    event: Mutex<Option<MessageReader>>,
}

/// The way back to whoever asked. Dropping it unanswered breaks the request off.
pub struct Responder {
    send: SendStream,
    peer: Peer,
}

impl Session {
    /// Wraps a connection whose handshake verified the peer's certificate.
    pub(crate) fn new(
        connection: Connection,
        local: Fingerprint,
        peer: Peer,
    ) -> Result<Self, LinkError> {
        let chain = quic::peer_chain(&connection);
        let leaf = chain.first().map_or(&[][..], AsRef::as_ref);
        let certificate = PeerCertificate::parse(leaf).map_err(|error| {
            connection.close(0u32.into(), printable(&error.to_string()).as_bytes());
            LinkError::NoDevice { peer, error }
        })?;
        let peer = Peer::Device(certificate.node, connection.remote_address());
        let (request, event) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { connection, certificate, local, peer, request, event })))
    }

    /// Asks and waits for the answer; a refusal is an answer.
    ///
    /// # Errors
    /// `LinkError` if the session broke, the peer took too long, or a message was over its limit.
    pub async fn request(&self, request: &Request) -> Result<Answer, LinkError> {
        quic::ask(&self.0.connection, request, self.0.peer).await
    }

    /// Waits for the peer's next request. Cancelling loses nothing.
    ///
    /// A request that cannot be read is refused in here; the next one is then waited for.
    ///
    /// # Errors
    /// `LinkError` once the session is over.
    pub async fn accept_request(&self) -> Result<(Request, Responder), LinkError> {
        let Inner { connection, peer, .. } = &*self.0;
        let mut slot = self.0.request.lock().await;
        loop {
            if slot.is_none() {
                let accepted = connection.accept_bi().await;
                let (send, receive) = accepted.map_err(|error| LinkError::broken(*peer, error))?;
                *slot = Some((send, MessageReader::new(receive)));
            }
            let Some((_, reader)) = slot.as_mut() else { continue };
            let read = reader.read::<Request>(*peer).await;
            let Some((send, _)) = slot.take() else { continue };
            let responder = Responder { send, peer: *peer };
            match read {
                Ok(request) => return Ok((request, responder)),
                Err(error) => responder.refuse_unreadable(error).await,
            }
        }
    }

    /// Tells the peer something; returns once it is handed to QUIC.
    ///
    /// # Errors
    /// `LinkError` if the session broke or the peer takes no more events.
    pub async fn notify(&self, event: &Event) -> Result<(), LinkError> {
        let peer = self.0.peer;
        let bytes = event.encode()?;
        let opened = timeout(MESSAGE_TIMEOUT, self.0.connection.open_uni()).await;
        let opened = opened.map_err(|_| quic::timed_out(peer))?;
        let mut send = opened.map_err(|error| LinkError::broken(peer, error))?;
        quic::write_message(&mut send, &bytes, peer).await
    }

    /// Waits for the peer's next event, in the order in which they were sent.
    ///
    /// Events of a later version are skipped. Cancelling loses nothing.
    ///
    /// # Errors
    /// `LinkError` once the session is over, or for an event that cannot be read.
    pub async fn accept_event(&self) -> Result<Event, LinkError> {
        let Inner { connection, peer, .. } = &*self.0;
        let mut slot = self.0.event.lock().await;
        loop {
            if slot.is_none() {
                let accepted = connection.accept_uni().await;
                let receive = accepted.map_err(|error| LinkError::broken(*peer, error))?;
                *slot = Some(MessageReader::new(receive));
            }
            let Some(reader) = slot.as_mut() else { continue };
            let read = reader.read::<Event>(*peer).await;
            *slot = None;
            match read {
                Err(LinkError::Message(MessageError::UnknownKind { kind, .. })) => {
                    tracing::debug!(%kind, %peer, "event of a later version skipped");
                }
                read => return read,
            }
        }
    }

    /// Derives secret bytes that both ends of this session, and nobody else, can derive.
    ///
    /// Source: RFC 8446 section 7.5. Fills `length` bytes.
    ///
    /// # Errors
    /// `LinkError::Transport` if more is asked for than TLS can export.
    pub fn export(
        &self,
        label: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        let mut output = Zeroizing::new(vec![0; length]);
        self.0
            .connection
            .export_keying_material(&mut output, label, context)
            .map_err(|_| self.failed(&format_args!("TLS exports no {length} bytes")))?;
        Ok(output)
    }

    /// Returns what the peer's verified certificate says.
    #[must_use]
    pub fn peer(&self) -> &PeerCertificate {
        &self.0.certificate
    }

    /// Returns the fingerprint of this side's certificate in this session.
    #[must_use]
    pub fn local_fingerprint(&self) -> Fingerprint {
        self.0.local
    }

    /// Returns where the peer is now; it may move.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.0.connection.remote_address()
    }

    /// Returns a number that no other session of this process has at the same time.
    #[must_use]
    pub fn stable_id(&self) -> usize {
        self.0.connection.stable_id()
    }

    /// Ends the session, telling the peer why.
    pub fn close(&self, reason: &str) {
        self.0.connection.close(0u32.into(), reason.as_bytes());
    }

    /// Waits until the session is over, and says why.
    pub async fn closed(&self) -> LinkError {
        LinkError::broken(self.0.peer, self.0.connection.closed().await)
    }

    pub(crate) fn failed(&self, error: &dyn fmt::Display) -> LinkError {
        LinkError::Transport { peer: self.0.peer, reason: error.to_string() }
    }
}

impl Responder {
    /// Sends the answer.
    ///
    /// # Errors
    /// `LinkError` if the session broke, or the answer is over its limit.
    pub async fn answer(mut self, answer: &Answer) -> Result<(), LinkError> {
        quic::write_message(&mut self.send, &answer.encode()?, self.peer).await
    }

    async fn refuse_unreadable(self, error: LinkError) {
        let LinkError::Message(error) = error else { return };
        tracing::info!(peer = %self.peer, %error, "request refused unread");
        let code = match error {
            MessageError::UnknownKind { .. } => RefusalCode::UnknownRequest,
            _ => RefusalCode::BadRequest,
        };
        let _ = self.answer(&Answer::refuse(code, &error)).await;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} {})", self.0.certificate.user, self.0.peer)
    }
}
