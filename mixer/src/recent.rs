//! The last shared payloads of a conference, from which packs are made.
//!
//! Taken from a pool when a mix begins, given back when it ends.

use sabha_media::codec::{Codec, PAYLOAD_SIZE_MAX};
use sabha_media::outbox::{BodyId, Outbox};

use crate::effort::ListenerPacket;
use crate::sources::Sources;

/// The shared payloads of the last ticks, with who is heard in them.
pub(crate) struct Recent {
    frames: [SharedFrame; FRAMES_MAX],
    /// Where the newest is; the one before it is before it, around the end.
    newest: usize,
}

struct SharedFrame {
    length: usize,
    payload: [u8; PAYLOAD_SIZE_MAX],
    sources: Sources,
}

impl Recent {
    pub(crate) fn new() -> Self {
        let frame =
            || SharedFrame { length: 0, payload: [0; PAYLOAD_SIZE_MAX], sources: Sources::NONE };
        Self { frames: std::array::from_fn(|_| frame()), newest: 0 }
    }

    /// Takes in this tick's payload, of at most `PAYLOAD_SIZE_MAX` octets.
    pub(crate) fn push(&mut self, payload: &[u8], sources: Sources) {
        self.newest = (self.newest + 1) % FRAMES_MAX;
        let frame = &mut self.frames[self.newest];
        frame.length = payload.len();
        frame.payload[..payload.len()].copy_from_slice(payload);
        frame.sources = sources;
    }

    /// Takes the newest payload once more as this tick's, with nobody heard.
    pub(crate) fn repeat(&mut self) {
        let before = self.newest;
        self.newest = (self.newest + 1) % FRAMES_MAX;
        let SharedFrame { length, payload, .. } = self.frames[before];
        self.frames[self.newest] = SharedFrame { length, payload, sources: Sources::NONE };
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

    /// Returns `count` payloads, oldest first, of which the last is `age` ticks old.
    fn payloads(&self, count: usize, age: usize) -> [&[u8]; FRAMES_MAX] {
        let mut payloads = [&[][..]; FRAMES_MAX];
        for (payload, age) in payloads.iter_mut().zip((age..age + count).rev()) {
            *payload = self.at(age).payload();
        }
        payloads
    }

    fn at(&self, age: usize) -> &SharedFrame {
        &self.frames[(self.newest + FRAMES_MAX - age) % FRAMES_MAX]
    }
}

impl SharedFrame {
    fn payload(&self) -> &[u8] {
        &self.payload[..self.length]
    }
}

/// Frames in the longest pack.
pub(crate) const FRAMES_MAX: usize = ListenerPacket::Ms60.frames();
