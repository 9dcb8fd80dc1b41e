//! What a member keeps of one received stream: a mixer's only one, or a slot of a bridge.
//!
//! Knows whose packets a stream carries now and which of them were kept back before an onset; holds
//! no sound.

use std::time::Duration;

use sabha_media::leg::Ssrc;
use sabha_media::reception::Reception;
use sabha_media::red::RedArrivals;
use sabha_media::reordering::Reordering;
use sabha_media::rtp::RtpPacket;
use sabha_media::time::Instant;

/// One stream.
pub(in crate::media) struct Stream {
    pub(in crate::media) ssrc: Ssrc,
    pub(in crate::media) reception: Reception,
    pub(in crate::media) arrivals: RedArrivals,
    reordering: Reordering,
    /// Whether it carries one talker at a time, named by CSRC; else it is a mix.
    is_slot: bool,
    /// The newest packet, and whose it is.
    newest: Option<(u64, Ssrc)>,
    heard_at: Instant,
    /// Whether all packets since the spurt began came at once.
    is_onset: bool,
    /// Whether the spurt began with a change of hands.
    was_taken_over: bool,
}

/// Whose packet came, and how it stands to those before it in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) struct Arrival {
    pub(super) stream: Ssrc,
    pub(super) index: u64,
    pub(super) received_at: Instant,
    /// The talker; of a mix, the stream itself.
    pub(super) source: Ssrc,
    /// By how many packets it is ahead of the newest; 0 if it is older.
    pub(super) ahead: u64,
    /// Whether its talker takes the stream over with it.
    pub(super) takes_over: bool,
    /// Whether it was kept back until there was something to hear, so that it says nothing of
    /// delays. After a change of hands all times are new, and it does.
    pub(super) is_kept_back: bool,
}

impl Stream {
    pub(in crate::media) fn new(ssrc: Ssrc, is_slot: bool) -> Self {
        Self {
            ssrc,
            reception: Reception::default(),
            arrivals: RedArrivals::default(),
            reordering: Reordering::default(),
            is_slot,
            newest: None,
            heard_at: Instant::ZERO,
            is_onset: false,
            was_taken_over: false,
        }
    }

    /// Counts a packet.
    pub(in crate::media) fn handle_packet(
        &mut self,
        index: u64,
        packet: &RtpPacket<'_>,
        received_at: Instant,
    ) -> Arrival {
        let talker = packet.csrcs().next().filter(|_| self.is_slot);
        let source = talker.unwrap_or(self.ssrc);
        let ahead = self.newest.map_or(1, |(newest, _)| index.saturating_sub(newest));
        let takes_over = ahead > 0 && self.newest.is_none_or(|(_, talker)| talker != source);
        let begins = self.is_slot && (packet.marker() || takes_over);
        let at_once = received_at.saturating_since(self.heard_at) < AT_ONCE;
        if begins {
            self.was_taken_over = takes_over;
        }
        self.is_onset = begins || (self.is_onset && at_once);
        self.heard_at = received_at;
        if self.is_onset {
            self.reception.forget_transit();
        }
        self.reception.count(index, packet.timestamp(), received_at);
        let (stream, is_kept_back) = (self.ssrc, self.is_onset && !self.was_taken_over);
        Arrival { stream, index, received_at, source, ahead, takes_over, is_kept_back }
    }

    /// Takes note of what is missing; packets overtake each other within `disorder`.
    pub(in crate::media) fn see(&mut self, arrival: &Arrival, disorder: Duration) {
        for index in self.reordering.push(arrival.index, disorder) {
            self.arrivals.see(arrival.received_at, index);
        }
    }

    /// Takes note that a packet could be read: whoever said it has the stream.
    pub(in crate::media) fn accept(&mut self, arrival: &Arrival) {
        if arrival.ahead > 0 {
            self.newest = Some((arrival.index, arrival.source));
        }
    }
}

/// Packets that come closer than this were not sent as they were spoken: half a frame.
const AT_ONCE: Duration = Duration::from_millis(10);
