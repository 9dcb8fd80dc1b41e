//! What an engine wants sent: one body to many legs, each with its own header.
//!
//! Engines fill it; the shard drains it, sealing each packet straight into a send slot. A packet
//! that is due later waits here: its body is copied into a bounded slab, shared by all the legs
//! that it goes to. Neither keys nor addresses are known here.

mod deferred;

use deferred::Deferred;

use crate::extension::{ElementWriter, LevelDbov, MixerLevels};
use crate::leg::{LegId, Ssrc};
use crate::rtp::{RtpHeader, write_csrcs};
use crate::time::Instant;
use crate::transmit::DATAGRAM_SIZE_MAX;

/// What follows a packet's twelve fixed octets: CSRC list, header extension, payload.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// Sources in the CSRC list, at most 15.
    pub csrc_count: u8,
    /// Whether a header extension block follows the CSRC list.
    pub has_extension: bool,
    /// The octets themselves.
    pub bytes: &'a [u8],
    /// Octets of padding that follow them, the count included (RFC 3550 section 5.1); 0 is none.
    pub padding: u8,
}

/// Names a body until the outbox is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyId(u16);

/// Packets on their way from an engine to a shard. Bounded; counts what it refuses.
pub struct Outbox {
    limits: OutboxLimits,
    bytes: Vec<u8>,
    bodies: Vec<StoredBody>,
    packets: Vec<OutPacket>,
    deferred: Deferred,
    refused: u64,
}

/// How much an outbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Bodies between two drains, at most 65,535.
    pub bodies_max: usize,
    /// Packets between two drains, and again as many deferred.
    pub packets_max: usize,
    /// Deferred bodies.
    pub deferred_bodies_max: usize,
}

#[derive(Clone, Copy)]
struct StoredBody {
    csrc_count: u8,
    has_extension: bool,
    start: usize,
    end: usize,
    /// Where its copy is, once a packet of it was deferred.
    copy: Copied,
}

/// A packet that is given out, and those queued behind it.
#[derive(Clone, Copy)]
pub struct Queue<'a>(&'a [OutPacket]);

impl Queue<'_> {
    /// Returns the leg that comes `places` later, if another leg comes just before it: so a run of
    /// packets to one leg names it once.
    #[inline]
    pub fn leg_ahead(&self, places: usize) -> Option<LegId> {
        let (leg, before) = (self.0.get(places)?.leg, self.0.get(places.checked_sub(1)?)?.leg);
        (before != leg).then_some(leg)
    }
}

/// Whether a body is in the slab of deferred ones.
#[derive(Clone, Copy)]
enum Copied {
    NotYet,
    At(usize),
    Refused,
}

#[derive(Clone, Copy)]
struct OutPacket {
    leg: LegId,
    header: RtpHeader,
    body: u16,
    padding: u8,
    due: Instant,
}

impl Outbox {
    /// Makes an empty outbox and takes all the memory it will ever use.
    pub fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            bytes: Vec::with_capacity(limits.bodies_max * DATAGRAM_SIZE_MAX),
            bodies: Vec::with_capacity(limits.bodies_max),
            packets: Vec::with_capacity(limits.packets_max),
            deferred: Deferred::new(limits),
            refused: 0,
        }
    }

    /// Stores a body: the sources in it with their levels, and the payload.
    ///
    /// `levels` are the RFC 6465 levels of `csrcs`, in the same order; without sources there is
    /// neither list nor extension. Returns `None`, and counts, if the outbox is full or the body
    /// larger than a datagram.
    pub fn store(
        &mut self,
        csrcs: &[Ssrc],
        levels: &[LevelDbov],
        payload: &[u8],
    ) -> Option<BodyId> {
        let mut prefix = [0; PREFIX_SIZE_MAX];
        let list = write_csrcs(csrcs, &mut prefix);
        let mut end = list;
        if !levels.is_empty() {
            let Ok(mut writer) = ElementWriter::new(&mut prefix[list..]) else {
                return self.refuse();
            };
            if MixerLevels::write(levels, &mut writer).is_err() {
                return self.refuse();
            }
            end += writer.finish();
        }
        let csrc_count = (list / size_of::<Ssrc>()) as u8;
        self.store_bytes(csrc_count, end > list, &[&prefix[..end], payload])
    }

    /// Stores a body given as pieces, as a bridge does that passes a payload on unchanged.
    pub fn store_bytes(
        &mut self,
        csrc_count: u8,
        has_extension: bool,
        pieces: &[&[u8]],
    ) -> Option<BodyId> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let bodies_max = self.limits.bodies_max.min(u16::MAX.into());
        if self.bodies.len() >= bodies_max || length > BODY_SIZE_MAX {
            return self.refuse();
        }
        let start = self.bytes.len();
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
        let end = self.bytes.len();
        self.bodies.push(StoredBody {
            csrc_count,
            has_extension,
            start,
            end,
            copy: Copied::NotYet,
        });
        Some(BodyId(self.bodies.len() as u16 - 1))
    }

    /// Queues one packet: `body` with `header`, to `leg`, not before `due`.
    ///
    /// Refused, and counted, if the outbox is full or was drained since the body was stored.
    pub fn send(&mut self, leg: LegId, header: RtpHeader, body: BodyId, due: Instant) {
        self.send_padded(leg, header, body, 0, due);
    }

    /// As `send`, with so many octets of padding behind the body: datagrams of one size to one
    /// receiver can leave in one call. Left out where the datagram has no room for them.
    pub fn send_padded(
        &mut self,
        leg: LegId,
        header: RtpHeader,
        body: BodyId,
        padding: u8,
        due: Instant,
    ) {
        let is_full = self.packets.len() == self.limits.packets_max;
        let Some(size) = self.body_size(body).filter(|_| !is_full) else {
            self.refused += 1;
            return;
        };
        let padding = if size + usize::from(padding) > BODY_SIZE_MAX { 0 } else { padding };
        self.packets.push(OutPacket { leg, header, body: body.0, padding, due });
    }

    /// Returns a stored body's length in octets, without padding; `None` if it is gone.
    pub fn body_size(&self, body: BodyId) -> Option<usize> {
        self.bodies.get(usize::from(body.0)).map(|stored| stored.end - stored.start)
    }

    /// Gives out every packet due at `now`, in the order queued, earlier deferred ones first, and
    /// keeps the others.
    pub fn drain(
        &mut self,
        now: Instant,
        mut take: impl FnMut(LegId, RtpHeader, Body<'_>, Queue<'_>),
    ) {
        self.deferred.drain(now, &mut |leg, header, body| take(leg, header, body, Queue(&[])));
        for (index, packet) in self.packets.iter().enumerate() {
            let stored = &mut self.bodies[usize::from(packet.body)];
            let bytes = &self.bytes[stored.start..stored.end];
            let StoredBody { csrc_count, has_extension, .. } = *stored;
            let body = Body { csrc_count, has_extension, bytes, padding: packet.padding };
            if packet.due <= now {
                take(packet.leg, packet.header, body, Queue(&self.packets[index..]));
                continue;
            }
            if let Copied::NotYet = stored.copy {
                stored.copy = self.deferred.copy(&body).map_or(Copied::Refused, Copied::At);
            }
            let kept = match stored.copy {
                Copied::At(slot) => self.deferred.push(packet, slot),
                Copied::NotYet | Copied::Refused => false,
            };
            self.refused += u64::from(!kept);
        }
        for stored in &self.bodies {
            if let Copied::At(slot) = stored.copy {
                self.deferred.release_unused(slot);
            }
        }
        self.packets.clear();
        self.bodies.clear();
        self.bytes.clear();
    }

    /// Returns when the next deferred packet is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deferred.poll_timeout()
    }

    /// Returns the number of packets queued since the last drain.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Returns true if there is nothing to drain: neither packet nor body since the last time.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.bodies.is_empty()
    }

    /// Returns how many bodies and packets were refused because a limit was reached.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn refuse(&mut self) -> Option<BodyId> {
        self.refused += 1;
        None
    }
}

/// What is queued for each leg on each tick.
const _: () = assert!(size_of::<OutPacket>() <= 32);

/// A full CSRC list and a block of levels for it: 60 + 4 + 16 octets, with room for padding.
const PREFIX_SIZE_MAX: usize = 96;

/// A datagram without the fixed header and the largest SRTP authentication tag.
const BODY_SIZE_MAX: usize = DATAGRAM_SIZE_MAX - 12 - 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rtp::{PayloadType, RtpTimestamp, SequenceNumber};

    const LIMITS: OutboxLimits =
        OutboxLimits { bodies_max: 4, packets_max: 8, deferred_bodies_max: 2 };
    const SOON: Instant = Instant::from_millis(10);

    fn leg(index: u16) -> LegId {
        LegId { shard: 0, index, generation: 1 }
    }

    fn header(sequence: u16) -> RtpHeader {
        RtpHeader {
            marker: false,
            payload_type: PayloadType(111),
            sequence_number: SequenceNumber(sequence),
            timestamp: RtpTimestamp(0),
            ssrc: Ssrc(7),
        }
    }

    fn drained(outbox: &mut Outbox, now: Instant) -> Vec<(u16, Vec<u8>)> {
        let mut all = Vec::new();
        outbox.drain(now, |leg, _, body, _| all.push((leg.index, body.bytes.to_vec())));
        all
    }

    #[test]
    fn one_body_goes_to_many_legs() {
        let mut outbox = Outbox::new(LIMITS);
        let body = outbox.store(&[], &[], b"voice").unwrap();
        for index in 0..3 {
            outbox.send(leg(index), header(index), body, Instant::ZERO);
        }
        let all = drained(&mut outbox, Instant::ZERO);
        assert_eq!(all.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(all.iter().all(|(_, bytes)| bytes == b"voice"));
        assert!(drained(&mut outbox, SOON).is_empty());
    }

    #[test]
    fn sources_and_levels_come_before_the_payload() {
        let mut outbox = Outbox::new(LIMITS);
        let body = outbox.store(&[Ssrc(1), Ssrc(2)], &[LevelDbov(20), LevelDbov(30)], b"x");
        outbox.send(leg(0), header(0), body.unwrap(), Instant::ZERO);
        let mut seen = false;
        outbox.drain(Instant::ZERO, |_, _, body, _| {
            seen = true;
            assert_eq!((body.csrc_count, body.has_extension), (2, true));
            assert_eq!(body.bytes[..8], [0, 0, 0, 1, 0, 0, 0, 2]);
            assert_eq!(body.bytes[8..12], [0xbe, 0xde, 0, 1]);
            assert_eq!(body.bytes[12..], [0x21, 20, 30, 0, b'x']);
        });
        assert!(seen);
    }

    #[test]
    fn padding_is_each_packets_own() {
        let mut outbox = Outbox::new(LIMITS);
        let body = outbox.store(&[], &[], b"voice").unwrap();
        outbox.send_padded(leg(0), header(0), body, 7, Instant::ZERO);
        outbox.send(leg(1), header(1), body, Instant::ZERO);
        outbox.send_padded(leg(2), header(2), body, 9, SOON);
        let full = outbox.store(&[], &[], &[0; BODY_SIZE_MAX - 3]).unwrap();
        outbox.send_padded(leg(3), header(3), full, 4, Instant::ZERO);
        let mut padded = Vec::new();
        outbox.drain(Instant::ZERO, |leg, _, body, _| padded.push((leg.index, body.padding)));
        outbox.drain(SOON, |leg, _, body, _| padded.push((leg.index, body.padding)));
        assert_eq!(padded, [(0, 7), (1, 0), (3, 0), (2, 9)], "none where there is no room");
    }

    #[test]
    fn deferred_packet_waits_until_due_and_keeps_its_body() {
        let mut outbox = Outbox::new(LIMITS);
        let body = outbox.store(&[], &[], b"later").unwrap();
        outbox.send(leg(0), header(0), body, SOON);
        outbox.send(leg(1), header(1), body, SOON);
        assert!(drained(&mut outbox, Instant::ZERO).is_empty());
        assert_eq!(outbox.poll_timeout(), Some(SOON));
        outbox.store(&[], &[], b"other").unwrap();
        let all = drained(&mut outbox, SOON);
        assert_eq!(all, [(0, b"later".to_vec()), (1, b"later".to_vec())]);
        assert_eq!(outbox.poll_timeout(), None);
    }

    #[test]
    fn bodies_deferred_in_turns_are_copied_once_each() {
        let mut outbox = Outbox::new(LIMITS);
        let one = outbox.store(&[], &[], b"one").unwrap();
        let other = outbox.store(&[], &[], b"other").unwrap();
        for index in 0..3 {
            outbox.send(leg(index), header(index), one, SOON);
            outbox.send(leg(index), header(index), other, SOON);
        }
        assert!(drained(&mut outbox, Instant::ZERO).is_empty());
        assert_eq!((drained(&mut outbox, SOON).len(), outbox.refused()), (6, 0));
    }

    #[test]
    fn body_that_nobody_is_sent_is_forgotten_at_the_next_drain() {
        let mut outbox = Outbox::new(LIMITS);
        let body = outbox.store(&[], &[], b"for nobody").unwrap();
        assert_eq!((outbox.len(), outbox.is_empty()), (0, false));
        drained(&mut outbox, Instant::ZERO);
        assert!(outbox.is_empty());
        outbox.send(leg(0), header(0), body, Instant::ZERO);
        assert_eq!((outbox.len(), outbox.refused()), (0, 1), "its name went with it");
    }

    #[test]
    fn refused_copy_gives_its_place_back() {
        let limits = OutboxLimits { packets_max: 2, ..LIMITS };
        let mut outbox = Outbox::new(limits);
        let body = outbox.store(&[], &[], b"body").unwrap();
        for index in 0..2 {
            outbox.send(leg(index), header(index), body, SOON);
        }
        drained(&mut outbox, Instant::ZERO);
        for _ in 0..3 {
            let body = outbox.store(&[], &[], b"too many").unwrap();
            outbox.send(leg(2), header(2), body, SOON);
            drained(&mut outbox, Instant::ZERO);
        }
        assert_eq!(outbox.refused(), 3, "the queue holds two packets");
        assert_eq!(drained(&mut outbox, SOON).len(), 2);
        for text in [b"a", b"b"] {
            let body = outbox.store(&[], &[], text).unwrap();
            outbox.send(leg(0), header(0), body, SOON + Duration::from_millis(1));
        }
        drained(&mut outbox, SOON);
        assert_eq!(outbox.refused(), 3, "both places of the slab were free again");
    }

    #[test]
    fn every_limit_refuses_and_counts() {
        let mut outbox = Outbox::new(LIMITS);
        let bodies: Vec<_> = (0..6).map(|_| outbox.store(&[], &[], b"b")).collect();
        assert_eq!(bodies.iter().flatten().count(), 4);
        assert_eq!(outbox.refused(), 2);
        for index in 0..10 {
            outbox.send(leg(index), header(index), bodies[usize::from(index) % 4].unwrap(), SOON);
        }
        assert_eq!((outbox.len(), outbox.refused()), (8, 4));
        drained(&mut outbox, Instant::ZERO);
        assert_eq!(outbox.refused(), 8, "only two bodies fit the deferred slab");
        assert_eq!(drained(&mut outbox, SOON).len(), 4);
        let body = outbox.store(&[], &[], &[0; DATAGRAM_SIZE_MAX]);
        assert_eq!(body, None, "larger than a datagram");
    }
}
