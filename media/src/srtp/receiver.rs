//! Unprotecting what one leg sends.

use std::fmt;

use crate::drop_reason::DropReason;
use crate::leg::Ssrc;
use crate::rtp::header::stream_position;
use crate::rtp::{FIXED_HEADER_LEN, HeaderLayout, VERSION, read_u32};
use crate::srtp::replay::ReplayWindow;
use crate::srtp::session::SessionKey;
use crate::srtp::streams::Streams;
use crate::srtp::{
    MasterKey, PacketIndex, RTCP_CLEAR_LEN, RTCP_ENCRYPTED_BIT, SrtpSuite, StreamsError,
};

/// A packet that was authenticated and decrypted, in front of the buffer that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Unprotected {
    /// Length of the plain packet, in octets.
    pub length: usize,
    /// The packet's place in its stream.
    pub index: PacketIndex,
}

/// Unprotects RTP and RTCP of a few streams under one master key.
///
/// The replay check comes before decryption. Nothing changes unless the packet is authentic.
pub struct SrtpReceiver {
    suite: SrtpSuite,
    rtp: Box<SessionKey>,
    rtcp: Box<SessionKey>,
    streams: Streams<ReceiveStream>,
}

#[derive(Debug, Default)]
struct ReceiveStream {
    rtp: ReplayWindow,
    rtcp: ReplayWindow,
}

impl SrtpReceiver {
    /// Derives the session keys and makes replay windows for each stream.
    ///
    /// # Errors
    /// `TooMany` above `STREAMS_MAX` streams, `Repeated` if one is listed twice.
    pub fn new(master: &MasterKey, ssrcs: &[Ssrc]) -> Result<Self, StreamsError> {
        Ok(Self {
            suite: master.suite(),
            rtp: Box::new(SessionKey::rtp(master)),
            rtcp: Box::new(SessionKey::rtcp(master)),
            streams: Streams::new(ssrcs)?,
        })
    }

    /// Authenticates and decrypts an SRTP packet in place.
    ///
    /// # Errors
    /// `TooShort`, `MalformedRtp`, `UnknownSsrc`, `TooOld`, `Replayed`, `IndexExhausted` for an
    /// index beyond `PacketIndex::RTP_MAX`, or `Unauthentic`, after which the payload is spoilt.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<Unprotected, DropReason> {
        let overhead = self.suite.rtp_overhead();
        if packet.len() < FIXED_HEADER_LEN + overhead {
            return Err(DropReason::TooShort);
        }
        let layout = HeaderLayout::of(packet)?;
        if packet.len() - layout.header_len < overhead {
            return Err(DropReason::TooShort);
        }
        let (ssrc, number) = stream_position(packet).ok_or(DropReason::MalformedRtp)?;
        let stream = self.streams.stream_mut(ssrc).ok_or(DropReason::UnknownSsrc)?;
        let index = PacketIndex::estimate(stream.rtp.newest(), number)?;
        stream.rtp.check(index)?;

        let (header, sealed) = packet.split_at_mut(layout.header_len);
        let nonce = self.rtp.rtp_nonce(ssrc, index);
        self.rtp.open(nonce, header, sealed).map_err(|_| DropReason::Unauthentic)?;
        stream.rtp.accept(index);
        Ok(Unprotected { length: packet.len() - overhead, index })
    }

    /// Authenticates and decrypts an SRTCP packet in place.
    ///
    /// Packets that are authenticated but not encrypted (E bit 0) are refused as `Unauthentic`:
    /// no sender of ours makes them. Source: RFC 7714 section 9.
    ///
    /// # Errors
    /// `TooShort`, `MalformedRtcp`, `UnknownSsrc`, `TooOld`, `Replayed`, or `Unauthentic`, after
    /// which the body is spoilt.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<Unprotected, DropReason> {
        let overhead = self.suite.rtcp_overhead();
        if packet.len() < RTCP_CLEAR_LEN + overhead {
            return Err(DropReason::TooShort);
        }
        if packet[0] >> 6 != VERSION {
            return Err(DropReason::MalformedRtcp);
        }
        let ssrc = Ssrc(read_u32(packet, 4).ok_or(DropReason::TooShort)?);
        let stream = self.streams.stream_mut(ssrc).ok_or(DropReason::UnknownSsrc)?;
        let (sealed, index_word) = packet.split_last_chunk_mut().ok_or(DropReason::TooShort)?;
        let word = u32::from_be_bytes(*index_word);
        if word & RTCP_ENCRYPTED_BIT == 0 {
            return Err(DropReason::Unauthentic);
        }
        let index = PacketIndex(u64::from(word & !RTCP_ENCRYPTED_BIT));
        stream.rtcp.check(index)?;

        let (header, sealed) = sealed.split_at_mut(RTCP_CLEAR_LEN);
        let mut aad = [0; RTCP_CLEAR_LEN + 4];
        aad[..RTCP_CLEAR_LEN].copy_from_slice(header);
        aad[RTCP_CLEAR_LEN..].copy_from_slice(index_word);
        let nonce = self.rtcp.rtcp_nonce(ssrc, index);
        self.rtcp.open(nonce, &aad, sealed).map_err(|_| DropReason::Unauthentic)?;
        stream.rtcp.accept(index);
        Ok(Unprotected { length: packet.len() - overhead, index })
    }

    /// Returns the newest authenticated RTP index of a stream.
    ///
    /// A packet was its stream's newest if its own index equals this right after `unprotect_rtp`.
    pub fn newest_index(&self, ssrc: Ssrc) -> Option<PacketIndex> {
        self.streams.stream(ssrc)?.rtp.newest()
    }

    /// Returns the newest authenticated RTCP index of a stream, as `newest_index` does for RTP.
    pub fn newest_rtcp_index(&self, ssrc: Ssrc) -> Option<PacketIndex> {
        self.streams.stream(ssrc)?.rtcp.newest()
    }
}

impl fmt::Debug for SrtpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpReceiver")
            .field("suite", &self.suite)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl SrtpReceiver {
    /// Uses session keys as they are, for test vectors that do not derive them.
    pub(super) fn from_session_keys(rtp: SessionKey, rtcp: SessionKey, ssrc: Ssrc) -> Self {
        let streams = Streams::new(&[ssrc]).expect("one stream");
        let (rtp, rtcp) = (Box::new(rtp), Box::new(rtcp));
        Self { suite: SrtpSuite::AeadAes128Gcm, rtp, rtcp, streams }
    }

    /// Puts a stream's newest RTP index where a test needs it.
    pub(super) fn seek(&mut self, ssrc: Ssrc, newest: PacketIndex) {
        self.streams.stream_mut(ssrc).expect("a stream of this receiver").rtp.accept(newest);
    }
}
