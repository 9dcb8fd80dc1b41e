//! One message on one stream, ended by FIN.

use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt, WriteError};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    message::MessageError,
    message::codec::{HEAD_LEN_MAX, Message, limit_of},
    quic::link_error::{LinkError, Peer},
};

/// Reads one message; what has arrived stays in here when a wait is cancelled.
pub(crate) struct MessageReader {
    receive: RecvStream,
    buffer: Vec<u8>,
    deadline: Instant,
}

impl MessageReader {
    pub(crate) fn new(receive: RecvStream) -> Self {
        Self { receive, buffer: Vec::new(), deadline: Instant::now() + MESSAGE_TIMEOUT }
    }

    /// Reads to the end of the stream and decodes; refuses as soon as the kind's limit is passed.
    pub(crate) async fn read<M: Message>(&mut self, peer: Peer) -> Result<M, LinkError> {
        let outcome = timeout_at(self.deadline, self.fill::<M>(peer)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(timed_out(peer)));
        if outcome.is_err() {
            let _ = self.receive.stop(UNWANTED);
        }
        outcome?;
        Ok(M::decode(&self.buffer)?)
    }

    async fn fill<M: Message>(&mut self, peer: Peer) -> Result<(), LinkError> {
        let mut max = limit_of::<M>(&self.buffer)?;
        loop {
            let room = max.unwrap_or(HEAD_LEN_MAX) + 1;
            let chunk = self.receive.read_chunk(room, true).await;
            let Some(chunk) = chunk.map_err(|error| LinkError::read(peer, error))? else {
                return Ok(());
            };
            self.buffer.extend_from_slice(&chunk.bytes);
            max = max.or(limit_of::<M>(&self.buffer)?);
            if let Some(max) = max.filter(|max| self.buffer.len() > *max) {
                let len = self.buffer.len();
                return Err(MessageError::TooLong { what: M::NAME, len, max }.into());
            }
        }
    }
}

/// Reads one message.
pub(crate) async fn read_message<M: Message>(
    receive: RecvStream,
    peer: Peer,
) -> Result<M, LinkError> {
    MessageReader::new(receive).read(peer).await
}

/// Writes one encoded message and ends the stream.
///
/// A reader that has seen enough is not an error: its answer says why.
pub(crate) async fn write_message(
    send: &mut SendStream,
    bytes: &[u8],
    peer: Peer,
) -> Result<(), LinkError> {
    let written = timeout(MESSAGE_TIMEOUT, send.write_all(bytes)).await;
    match written.map_err(|_| timed_out(peer))? {
        Ok(()) => {
            let _ = send.finish();
            Ok(())
        }
        Err(WriteError::Stopped(_)) => Ok(()),
        Err(error) => Err(LinkError::write(peer, error)),
    }
}

/// Sends a request on a new stream and reads the answer from it.
pub(crate) async fn ask<Q: Message, A: Message>(
    connection: &Connection,
    request: &Q,
    peer: Peer,
) -> Result<A, LinkError> {
    let bytes = request.encode()?;
    let opened = timeout(MESSAGE_TIMEOUT, connection.open_bi()).await;
    let opened = opened.map_err(|_| timed_out(peer))?;
    let (mut send, receive) = opened.map_err(|error| LinkError::broken(peer, error))?;
    write_message(&mut send, &bytes, peer).await?;
    read_message(receive, peer).await
}

pub(crate) fn timed_out(peer: Peer) -> LinkError {
    LinkError::Timeout { peer, secs: MESSAGE_TIMEOUT.as_secs() }
}

/// How long one message may take from its first byte to its last, and an answer to begin.
pub(crate) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Application error code that stops a stream whose message is refused.
const UNWANTED: VarInt = VarInt::from_u32(1);
