//! The legs of one conference: what is read for each packet in, and what for each packet out.
//!
//! A tick passes over what goes out of every leg, so that lies dense, apart from the rest.

use sabha_media::engine::LegKey;
use sabha_media::jitter_buffer::Delays;
use sabha_media::leg::{LegId, LegRole, Ssrc};
use sabha_media::lookback::Lookback;
use sabha_media::outbox::Outbox;
use sabha_media::red::{CopyChoice, CopyOrder, RedArrivals};
use sabha_media::reordering::Reordering;
use sabha_media::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber};
use sabha_media::shard::OwnVoice;
use sabha_media::time::Instant;

use crate::squelch::Squelch;

/// All legs, by key.
#[derive(Default)]
pub(crate) struct Legs {
    legs: Vec<Option<Leg>>,
    /// What each leg is sent; where there is no leg, nobody who is sent anything.
    streams: Vec<Stream>,
    free: Vec<u32>,
}

/// What the mixer keeps of a leg, whether it talks or not.
pub(crate) struct Leg {
    pub(crate) send_ssrc: Ssrc,
    pub(crate) muted: bool,
    pub(crate) own_voice: OwnVoice,
    pub(crate) squelch: Squelch,
    pub(crate) lookback: Lookback,
    /// Whether its member takes redundant audio, and may send it.
    pub(crate) red: bool,
    /// What its member reports of loss, and how many copies that takes.
    pub(crate) choice: CopyChoice,
    /// What its member sends of copies.
    pub(crate) arrivals: RedArrivals,
    pub(crate) reordering: Reordering,
    /// Probes that its member was sent, `PROBES_MAX` at most.
    pub(crate) probes: u8,
    /// How late its packets come, once it has sent sound; while it is heard, its playout has that
    /// and this is of no meaning.
    pub(crate) delays: Option<Box<Delays>>,
}

/// What a leg is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) id: LegId,
    /// From when on the leg may be sent packs.
    pub(crate) packs_from: Instant,
    pub(crate) ssrc: Ssrc,
    pub(crate) timestamp_offset: u32,
    /// The spurt of the conference that its last packet belonged to; 0 before the first.
    pub(crate) spurt: u16,
    pub(crate) sequence_number: SequenceNumber,
    pub(crate) role: LegRole,
    pub(crate) is_packed: bool,
    /// Which copies of what was sent before its packets are to carry.
    pub(crate) copies: CopyOrder,
}

impl Legs {
    /// Adds a leg and returns its key.
    pub(crate) fn add(&mut self, leg: Leg, stream: Stream) -> LegKey {
        if let Some(key) = self.free.pop() {
            self.legs[key as usize] = Some(leg);
            self.streams[key as usize] = stream;
            return LegKey(key);
        }
        self.legs.push(Some(leg));
        self.streams.push(stream);
        self.free.reserve(self.legs.len());
        LegKey(self.legs.len() as u32 - 1)
    }

    /// Removes a leg.
    pub(crate) fn remove(&mut self, key: LegKey) -> Option<Leg> {
        let leg = self.legs.get_mut(key.0 as usize)?.take()?;
        let stream = &mut self.streams[key.0 as usize];
        (stream.role, stream.is_packed) = (LegRole::Standby, false);
        self.free.push(key.0);
        Some(leg)
    }

    /// Returns a leg with what it is sent.
    pub(crate) fn get_mut(&mut self, key: LegKey) -> Option<(&mut Leg, &mut Stream)> {
        let leg = self.legs.get_mut(key.0 as usize)?.as_mut()?;
        Some((leg, &mut self.streams[key.0 as usize]))
    }

    /// Returns a leg.
    pub(crate) fn leg_mut(&mut self, key: LegKey) -> Option<&mut Leg> {
        self.legs.get_mut(key.0 as usize)?.as_mut()
    }

    /// Returns how much of the own voice a leg hears, where the conference's share is `share`.
    pub(crate) fn own_share(&self, key: LegKey, share: f32) -> f32 {
        match self.legs.get(key.0 as usize).and_then(Option::as_ref) {
            Some(Leg { own_voice: OwnVoice::LeftOut, .. }) => 0.0,
            _ => share,
        }
    }

    /// Gives what each leg is sent, by key, free places included.
    pub(crate) fn streams_mut(&mut self) -> &mut [Stream] {
        &mut self.streams
    }

    /// Returns how many legs are sent packs.
    pub(crate) fn packed(&self) -> usize {
        self.streams.iter().filter(|stream| stream.is_packed).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.legs.len() - self.free.len()
    }
}

impl Stream {
    /// Answers a packet of a newcomer by one without sound, at the stream's time `samples`: so its
    /// member learns how late packets come before there is anything to hear.
    pub(crate) fn send_probe(
        &mut self,
        now: Instant,
        samples: u64,
        payload_type: PayloadType,
        outbox: &mut Outbox,
    ) {
        let Some(body) = outbox.store(&[], &[], &[]) else { return };
        let header = RtpHeader {
            marker: false,
            payload_type,
            sequence_number: self.sequence_number,
            timestamp: RtpTimestamp((samples as u32).wrapping_add(self.timestamp_offset)),
            ssrc: self.ssrc,
        };
        self.sequence_number = self.sequence_number.next();
        outbox.send(self.id, header, body, now);
    }
}

/// Probes that a leg is sent in its life. Chosen: of so many packets the latest is, with normally
/// distributed delays, within a fifth of the latest of a hundred.
pub(crate) const PROBES_MAX: u8 = 32;

/// Ten thousand who listen fit a second-level cache.
const _: () = assert!(size_of::<Stream>() <= 32);

/// What a silent leg takes here, besides kept packets.
const _: () = assert!(size_of::<Option<Leg>>() + size_of::<Stream>() + size_of::<u32>() <= 168);
