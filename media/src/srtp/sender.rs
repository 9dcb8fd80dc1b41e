//! Protecting what one leg is sent.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::leg::Ssrc;
use crate::rtp::header::stream_position;
use crate::rtp::{HeaderLayout, SequenceNumber, VERSION, read_u32};
use crate::srtp::session::SessionKey;
use crate::srtp::streams::Streams;
use crate::srtp::{
    KeyUse, MasterKey, PacketIndex, ProtectTap, RTCP_CLEAR_LEN, RTCP_ENCRYPTED_BIT, SrtpSuite,
    StreamsError,
};

/// Why a packet was not protected. It must not be sent, and no index was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtectError {
    /// Not an RTP packet, or not an RTCP compound.
    #[error("the packet of {0} octets has no complete header of version 2")]
    Malformed(usize),
    /// The buffer ends before the protected packet would.
    #[error("the protected packet needs {needed} octets and has room for {room}")]
    NoRoom {
        /// Octets of the protected packet.
        needed: usize,
        /// Octets of the buffer.
        room: usize,
    },
    /// The sender was not made for this stream.
    #[error("stream {0} is not among the sender's")]
    UnknownSsrc(Ssrc),
    /// The sequence number was used, which would repeat a nonce, or lies too far back to tell.
    #[error("sequence number {} of stream {ssrc} was used or is too far behind {}", number.0, last.0)]
    NotAhead {
        /// The stream.
        ssrc: Ssrc,
        /// The sequence number in the packet.
        number: SequenceNumber,
        /// The newest sequence number that was protected.
        last: SequenceNumber,
    },
    /// The stream has used every index of its key: the leg needs new keys.
    #[error("stream {0} has used every index of its key")]
    IndexExhausted(Ssrc),
}

/// Protects RTP and RTCP of a few streams under one master key.
///
/// Keeps the roll-over counters itself, from the sequence numbers it is given. They may skip up to
/// 32,767, and lie behind the newest by less than 64 if they were not used: what a bridge passes
/// on comes in the order in which it came. A stream should begin below 32,768: a receiver that
/// misses its first packets could otherwise not tell the cycle (RFC 3711 section 3.3.1).
pub struct SrtpSender {
    suite: SrtpSuite,
    /// In place, as each packet needs it; what only reports need is not to take room beside it.
    rtp: SessionKey,
    rtcp: Box<SessionKey>,
    streams: Streams<SendStream>,
    tap: Option<Arc<dyn ProtectTap>>,
}

#[derive(Debug, Default)]
struct SendStream {
    /// The newest index protected.
    rtp_newest: Option<PacketIndex>,
    /// Bit n tells whether the index n before the newest was used.
    rtp_used: u64,
    /// The next index, from 0. RFC 3711 section 3.4.
    rtcp_next: u64,
}

impl SrtpSender {
    /// Derives the session keys and makes a counter for each stream.
    ///
    /// # Errors
    /// `TooMany` above `STREAMS_MAX` streams, `Repeated` if one is listed twice.
    pub fn new(master: &MasterKey, ssrcs: &[Ssrc]) -> Result<Self, StreamsError> {
        Ok(Self {
            suite: master.suite(),
            rtp: SessionKey::rtp(master),
            rtcp: Box::new(SessionKey::rtcp(master)),
            streams: Streams::new(ssrcs)?,
            tap: None,
        })
    }

    /// Sets who is told of each use of a key; `None` tells nobody.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn ProtectTap>>) {
        self.tap = tap;
    }

    /// Asks for what `protect_rtp` will read beyond the sender itself.
    #[inline]
    pub(crate) fn prefetch_streams(&self) {
        self.streams.prefetch();
    }

    /// Protects the RTP packet in `buffer[..length]` in place and returns its new length.
    ///
    /// The header stays readable, the payload is encrypted, the tag follows it: the suite's
    /// `rtp_overhead()` octets more.
    ///
    /// # Errors
    /// As `ProtectError` says; the buffer then holds what it held.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, ProtectError> {
        let (packet, tag) = split_packet(buffer, length, self.suite.rtp_overhead())?;
        let layout = HeaderLayout::of(packet).map_err(|_| ProtectError::Malformed(length))?;
        let (ssrc, number) = stream_position(packet).ok_or(ProtectError::Malformed(length))?;
        let stream = self.streams.stream_mut(ssrc).ok_or(ProtectError::UnknownSsrc(ssrc))?;
        let index = stream.use_rtp(ssrc, number)?;

        let (header, payload) = packet.split_at_mut(layout.header_len);
        self.rtp.seal(self.rtp.rtp_nonce(ssrc, index), header, payload, tag);
        self.tell_tap(&self.rtp, ssrc, index, false);
        Ok(length + self.suite.rtp_overhead())
    }

    /// Protects the RTCP compound in `buffer[..length]` in place and returns its new length.
    ///
    /// Its first eight octets stay readable; tag, E bit and index follow: the suite's
    /// `rtcp_overhead()` octets more. Source: RFC 7714 section 9.
    ///
    /// # Errors
    /// As `ProtectError` says; the buffer then holds what it held.
    pub fn protect_rtcp(
        &mut self,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<usize, ProtectError> {
        let (packet, trailer) = split_packet(buffer, length, self.suite.rtcp_overhead())?;
        let ssrc = rtcp_ssrc(packet).ok_or(ProtectError::Malformed(length))?;
        let stream = self.streams.stream_mut(ssrc).ok_or(ProtectError::UnknownSsrc(ssrc))?;
        let index = PacketIndex(stream.rtcp_next);
        if index > PacketIndex::RTCP_MAX {
            return Err(ProtectError::IndexExhausted(ssrc));
        }
        stream.rtcp_next += 1;

        let (header, body) = packet.split_at_mut(RTCP_CLEAR_LEN);
        let (tag, index_word) = trailer.split_at_mut(self.suite.tag_len());
        index_word.copy_from_slice(&(RTCP_ENCRYPTED_BIT | index.0 as u32).to_be_bytes());
        let mut aad = [0; RTCP_CLEAR_LEN + 4];
        aad[..RTCP_CLEAR_LEN].copy_from_slice(header);
        aad[RTCP_CLEAR_LEN..].copy_from_slice(index_word);
        self.rtcp.seal(self.rtcp.rtcp_nonce(ssrc, index), &aad, body, tag);
        self.tell_tap(&self.rtcp, ssrc, index, true);
        Ok(length + self.suite.rtcp_overhead())
    }

    fn tell_tap(&self, key: &SessionKey, ssrc: Ssrc, index: PacketIndex, rtcp: bool) {
        if let Some(tap) = &self.tap {
            tap.protected(KeyUse { key_hash: key.hash(), ssrc, index: index.0, rtcp });
        }
    }
}

impl fmt::Debug for SrtpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpSender")
            .field("suite", &self.suite)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

impl SendStream {
    /// Uses the index of a sequence number, once.
    fn use_rtp(&mut self, ssrc: Ssrc, number: SequenceNumber) -> Result<PacketIndex, ProtectError> {
        let Some(newest) = self.rtp_newest else {
            let first = PacketIndex(u64::from(number.0));
            (self.rtp_newest, self.rtp_used) = (Some(first), 1);
            return Ok(first);
        };
        let last = newest.sequence_number();
        let ahead = number.distance_from(last);
        if ahead > 0 {
            let index = PacketIndex(newest.0 + u64::from(ahead.unsigned_abs()));
            if index > PacketIndex::RTP_MAX {
                return Err(ProtectError::IndexExhausted(ssrc));
            }
            self.rtp_used = self.rtp_used.checked_shl(ahead.unsigned_abs().into()).unwrap_or(0) | 1;
            self.rtp_newest = Some(index);
            return Ok(index);
        }
        let behind = u32::from(ahead.unsigned_abs());
        let index = newest.0.checked_sub(behind.into());
        let unused = |_: &u64| behind < u64::BITS && self.rtp_used >> behind & 1 == 0;
        let index = index.filter(unused).ok_or(ProtectError::NotAhead { ssrc, number, last })?;
        self.rtp_used |= 1 << behind;
        Ok(PacketIndex(index))
    }
}

/// Splits the packet from the room for what protection adds.
fn split_packet(
    buffer: &mut [u8],
    length: usize,
    overhead: usize,
) -> Result<(&mut [u8], &mut [u8]), ProtectError> {
    let (needed, room) = (length.saturating_add(overhead), buffer.len());
    if room < needed {
        return Err(ProtectError::NoRoom { needed, room });
    }
    Ok(buffer[..needed].split_at_mut(length))
}

fn rtcp_ssrc(packet: &[u8]) -> Option<Ssrc> {
    if packet.first()? >> 6 != VERSION {
        return None;
    }
    read_u32(packet, 4).map(Ssrc)
}

#[cfg(test)]
impl SrtpSender {
    /// Uses session keys as they are, for test vectors that do not derive them.
    pub(super) fn from_session_keys(rtp: SessionKey, rtcp: SessionKey, ssrc: Ssrc) -> Self {
        let streams = Streams::new(&[ssrc]).expect("one stream");
        let rtcp = Box::new(rtcp);
        Self { suite: SrtpSuite::AeadAes128Gcm, rtp, rtcp, streams, tap: None }
    }

    /// Puts a stream's counters where a test needs them.
    pub(super) fn seek(&mut self, ssrc: Ssrc, rtp_last: PacketIndex, rtcp_next: u64) {
        let stream = self.streams.stream_mut(ssrc).expect("a stream of this sender");
        *stream = SendStream { rtp_newest: Some(rtp_last), rtp_used: 1, rtcp_next };
    }
}
