//! The last payloads of an encoder, from which packs and redundant packets are made.
//!
//! Taken from a pool when an encode begins, given back when it ends.

use sabha_media::codec::{Codec, PAYLOAD_SIZE_MAX};
use sabha_media::leg::Ssrc;
use sabha_media::outbox::{BodyId, Outbox};
use sabha_media::red::{Copies, DISTANCE_MAX, RED_SIZE_MAX, RedPacket};
use sabha_media::rtp::PayloadType;

use crate::effort::ListenerPacket;
use crate::sources::Sources;

/// The payloads of the last ticks, with who is heard in them.
pub(crate) struct Recent {
    frames: [RecentFrame; KEPT_MAX],
    /// Where the newest is; the one before it is before it, around the end.
    newest: usize,
}

struct RecentFrame {
    length: usize,
    payload: [u8; PAYLOAD_SIZE_MAX],
    sources: Sources,
}

impl Recent {
    pub(crate) fn new() -> Self {
        let frame =
            || RecentFrame { length: 0, payload: [0; PAYLOAD_SIZE_MAX], sources: Sources::NONE };
        Self { frames: std::array::from_fn(|_| frame()), newest: 0 }
    }

    /// Takes in this tick's payload, of at most `PAYLOAD_SIZE_MAX` octets.
    pub(crate) fn push(&mut self, payload: &[u8], sources: Sources) {
        self.newest = (self.newest + 1) % KEPT_MAX;
        let frame = &mut self.frames[self.newest];
        frame.length = payload.len();
        frame.payload[..payload.len()].copy_from_slice(payload);
        frame.sources = sources;
    }

    /// Takes the newest payload once more as this tick's, with nobody heard.
    pub(crate) fn repeat(&mut self) {
        let before = self.newest;
        self.newest = (self.newest + 1) % KEPT_MAX;
        let RecentFrame { length, payload, .. } = self.frames[before];
        self.frames[self.newest] = RecentFrame { length, payload, sources: Sources::NONE };
    }

    /// Becomes a copy of another encoder's payloads: what follows is heard behind them.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.newest = other.newest;
        for (frame, other) in self.frames.iter_mut().zip(&other.frames) {
            frame.length = other.length;
            frame.payload[..other.length].copy_from_slice(other.payload());
            frame.sources = other.sources;
        }
    }

    /// Returns the newest payload.
    pub(crate) fn newest(&self) -> &[u8] {
        self.at(0).payload()
    }

    /// Returns whether the newest payload can stand in one pack behind the `count` before it.
    pub(crate) fn newest_fits<C: Codec>(&self, codec: &C, count: usize) -> bool {
        count < FRAMES_MAX && codec.can_pack(&self.payloads(count + 1, 0)[..=count])
    }

    /// Stores a pack of `count` frames, of which the last is `age` ticks old; `None` if the codec
    /// or the outbox refuses.
    ///
    /// It names all who are heard in any of its frames, each at their loudest.
    pub(crate) fn store<C: Codec>(
        &self,
        codec: &C,
        count: usize,
        age: usize,
        outbox: &mut Outbox,
    ) -> Option<BodyId> {
        if count + age > FRAMES_MAX {
            return None;
        }
        let mut sources = Sources::NONE;
        for age in age..age + count {
            sources.merge(&self.at(age).sources);
        }
        let mut packet = [0; PAYLOAD_SIZE_MAX];
        let length = codec.pack(&self.payloads(count, age)[..count], &mut packet).ok()?;
        sources.store(outbox, &packet[..length], None, 1.0)
    }

    /// Stores the newest payload with these copies, each of one tick; `None` if they do not fit. `own` is reduced to `share` among those who are heard.
    pub(crate) fn store_red(
        &self,
        copies: Copies,
        payload_type: PayloadType,
        (own, share): (Option<Ssrc>, f32),
        outbox: &mut Outbox,
    ) -> Option<BodyId> {
        let red = RedPacket::of_frames(copies, payload_type, |age| self.at(age).payload());
        let mut packet = [0; RED_SIZE_MAX];
        let length = red.write(&mut packet)?;
        self.at(0).sources.store(outbox, &packet[..length], own, share)
    }

    /// Returns `count` payloads, oldest first, of which the last is `age` ticks old.
    fn payloads(&self, count: usize, age: usize) -> [&[u8]; FRAMES_MAX] {
        let mut payloads = [&[][..]; FRAMES_MAX];
        for (payload, age) in payloads.iter_mut().zip((age..age + count).rev()) {
            *payload = self.at(age).payload();
        }
        payloads
    }

    fn at(&self, age: usize) -> &RecentFrame {
        &self.frames[(self.newest + KEPT_MAX - age) % KEPT_MAX]
    }
}

impl RecentFrame {
    fn payload(&self) -> &[u8] {
        &self.payload[..self.length]
    }
}

/// Frames in the longest pack.
pub(crate) const FRAMES_MAX: usize = ListenerPacket::Ms60.frames();

/// The newest payload and those that it may be sent with.
const KEPT_MAX: usize = DISTANCE_MAX + 1;

const _: () = assert!(KEPT_MAX >= FRAMES_MAX);
