//! Keeps the last squelched packets of each leg, so that no onset is lost.
//!
//! The store is shared by all conferences of a shard; a leg holds at most `KEPT_MAX` packets of
//! it. A quiet room's packets are short, so most lie in small slots.

mod slab;

use crate::codec::{PACKET_SAMPLES_MAX, PAYLOAD_SIZE_MAX};
use crate::extension::LevelDbov;
use crate::jitter_buffer::BufferedPacket;
use crate::rtp::RtpTimestamp;
use crate::time::Instant;

use slab::{SLOTS_PER_CHUNK, Slab};

/// Packets kept for each leg: 60 ms, longer than the rise of any syllable.
pub const KEPT_MAX: usize = 3;

/// The shared store. Grows to its limit and never shrinks.
pub struct LookbackStore {
    /// Slots for short payloads, then for any.
    slabs: [Slab; 2],
    /// What is in the slots of each slab.
    entries: [Vec<Entry>; 2],
    slots_max: usize,
}

/// A kept packet without its payload.
#[derive(Clone, Copy)]
struct Entry {
    index: u64,
    received_at: Instant,
    timestamp: RtpTimestamp,
    samples: u16,
    length: u16,
    level: LevelDbov,
}

/// One leg's kept packets, newest last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lookback {
    slots: [SlotId; KEPT_MAX],
    count: u8,
}

/// A slot's place in its slab, and in the highest bit which slab that is.
#[derive(Clone, Copy, Debug, Default)]
struct SlotId(u32);

/// What became of a packet that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It took a free place.
    Added,
    /// It took the place of the oldest.
    Replaced,
    /// The store is full.
    Refused,
}

impl LookbackStore {
    /// Makes an empty store for at most so many packets, in steps of 64.
    pub fn new(slots_max: usize) -> Self {
        Self {
            slabs: [Slab::new(SHORT_SIZE_MAX), Slab::new(PAYLOAD_SIZE_MAX)],
            entries: [Vec::new(), Vec::new()],
            slots_max,
        }
    }

    /// Keeps a packet for a leg, forgetting its oldest if it has `KEPT_MAX` already.
    pub fn keep(&mut self, lookback: &mut Lookback, packet: &BufferedPacket<'_>) -> Kept {
        let replaces = usize::from(lookback.count) == KEPT_MAX;
        if replaces {
            self.put_back(lookback.slots[0]);
            lookback.slots.rotate_left(1);
            lookback.count -= 1;
        }
        let Some(slot) = self.take(packet.payload.len()) else { return Kept::Refused };
        self.write(slot, packet);
        lookback.slots[usize::from(lookback.count)] = slot;
        lookback.count += 1;
        if replaces { Kept::Replaced } else { Kept::Added }
    }

    /// Gives out, oldest first, the kept packets that lead up to `next` without a gap, and
    /// forgets all of them. Of a packet kept with 0 samples the length is not known.
    pub fn release(
        &mut self,
        lookback: &mut Lookback,
        next: Option<&BufferedPacket<'_>>,
        mut take: impl FnMut(&BufferedPacket<'_>),
    ) {
        let kept = &mut lookback.slots[..usize::from(lookback.count)];
        kept.sort_unstable_by_key(|slot| self.entry(*slot).index);
        let mut first = kept.len();
        let mut expected = next.map(|packet| (packet.index, packet.timestamp));
        while let Some((index, timestamp)) = expected
            && first > 0
        {
            let before = self.entry(kept[first - 1]);
            let leads_up = before.index.wrapping_add(1) == index && before.ends_at(timestamp);
            expected = leads_up.then_some((before.index, before.timestamp));
            first -= usize::from(leads_up);
        }
        for slot in &kept[first..] {
            take(&self.read(*slot));
        }
        for slot in kept {
            self.put_back(*slot);
        }
        lookback.count = 0;
    }

    /// Takes a slot for a payload of this length: a small one if that will do and one is left.
    fn take(&mut self, length: usize) -> Option<SlotId> {
        if length > PAYLOAD_SIZE_MAX {
            return None;
        }
        (usize::from(length > SHORT_SIZE_MAX)..2).find_map(|slab| self.take_of(slab))
    }

    fn take_of(&mut self, slab: usize) -> Option<SlotId> {
        let slots: usize = self.slabs.iter().map(Slab::slots).sum();
        let place = self.slabs[slab].take(slots + SLOTS_PER_CHUNK <= self.slots_max)?;
        self.entries[slab].resize(self.slabs[slab].slots(), EMPTY);
        Some(SlotId(place | (slab as u32) << SLAB_SHIFT))
    }

    fn put_back(&mut self, slot: SlotId) {
        self.slabs[slot.slab()].put_back(slot.place());
    }

    fn write(&mut self, slot: SlotId, packet: &BufferedPacket<'_>) {
        let payload = self.slabs[slot.slab()].slot_mut(slot.place());
        payload[..packet.payload.len()].copy_from_slice(packet.payload);
        self.entries[slot.slab()][slot.place() as usize] = Entry {
            index: packet.index,
            received_at: packet.received_at,
            timestamp: packet.timestamp,
            samples: packet.samples as u16,
            length: packet.payload.len() as u16,
            level: packet.level,
        };
    }

    fn read(&self, slot: SlotId) -> BufferedPacket<'_> {
        let Entry { index, received_at, timestamp, samples, length, level } = *self.entry(slot);
        let payload = &self.slabs[slot.slab()].slot(slot.place())[..usize::from(length)];
        BufferedPacket { index, timestamp, samples: samples.into(), level, received_at, payload }
    }

    fn entry(&self, slot: SlotId) -> &Entry {
        &self.entries[slot.slab()][slot.place() as usize]
    }
}

impl Entry {
    /// Tells whether a packet with this timestamp may follow without a pause.
    fn ends_at(&self, timestamp: RtpTimestamp) -> bool {
        let distance = timestamp.distance_from(self.timestamp);
        match self.samples {
            0 => (1..=PACKET_SAMPLES_MAX as i32).contains(&distance),
            samples => distance == i32::from(samples),
        }
    }
}

impl SlotId {
    fn slab(self) -> usize {
        (self.0 >> SLAB_SHIFT) as usize
    }

    fn place(self) -> u32 {
        self.0 & !(1 << SLAB_SHIFT)
    }
}

const EMPTY: Entry = Entry {
    index: 0,
    received_at: Instant::ZERO,
    timestamp: RtpTimestamp(0),
    samples: 0,
    length: 0,
    level: LevelDbov(127),
};

/// The longest payload in a small slot: 20 ms of a quiet room at 32 kbit/s take 60 to 110 octets,
/// at a constant 64 kbit/s 160.
const SHORT_SIZE_MAX: usize = 160;

/// Which bit of a slot's name tells the slab.
const SLAB_SHIFT: u32 = 31;

/// With its payload a short packet takes under 200 octets.
const _: () = assert!(size_of::<Entry>() + SHORT_SIZE_MAX <= 192);
const _: () = assert!(size_of::<Lookback>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(index: u64) -> BufferedPacket<'static> {
        let timestamp = RtpTimestamp(index as u32 * 960);
        let (level, received_at) = (LevelDbov(90), Instant::ZERO);
        BufferedPacket { index, timestamp, samples: 960, level, received_at, payload: b"kept" }
    }

    fn released(store: &mut LookbackStore, lookback: &mut Lookback, next: u64) -> Vec<u64> {
        let mut all = Vec::new();
        store.release(lookback, Some(&packet(next)), |kept| {
            assert_eq!(kept.payload, b"kept");
            all.push(kept.index);
        });
        all
    }

    #[test]
    fn last_three_packets_are_given_out_in_order() {
        let (mut store, mut lookback) = (LookbackStore::new(SLOTS_PER_CHUNK), Lookback::default());
        for index in [5, 6, 8, 7] {
            store.keep(&mut lookback, &packet(index));
        }
        assert_eq!(released(&mut store, &mut lookback, 9), [6, 7, 8]);
        assert!(released(&mut store, &mut lookback, 9).is_empty());
    }

    #[test]
    fn packets_from_before_a_gap_are_forgotten() {
        let (mut store, mut lookback) = (LookbackStore::new(SLOTS_PER_CHUNK), Lookback::default());
        for index in [3, 4, 6] {
            store.keep(&mut lookback, &packet(index));
        }
        assert_eq!(released(&mut store, &mut lookback, 7), [6]);
    }

    #[test]
    fn packets_of_unknown_length_lead_up_unless_a_pause_lies_between() {
        let (mut store, mut lookback) = (LookbackStore::new(SLOTS_PER_CHUNK), Lookback::default());
        for (index, timestamp) in [(3, 0), (4, 9_600), (5, 10_080)] {
            let timestamp = RtpTimestamp(timestamp);
            store.keep(&mut lookback, &BufferedPacket { timestamp, samples: 0, ..packet(index) });
        }
        let next = BufferedPacket { timestamp: RtpTimestamp(11_040), ..packet(6) };
        let mut all = Vec::new();
        store.release(&mut lookback, Some(&next), |kept| all.push(kept.index));
        assert_eq!(all, [4, 5]);
    }

    #[test]
    fn long_packets_lie_beside_short_ones() {
        let (mut store, mut lookback) = (LookbackStore::new(256), Lookback::default());
        let long = [7; PAYLOAD_SIZE_MAX];
        for index in 0..100 {
            let payload = if index % 2 == 0 { &long[..] } else { b"kept" };
            let kept = store.keep(&mut lookback, &BufferedPacket { payload, ..packet(index) });
            assert_ne!(kept, Kept::Refused);
        }
        let mut lengths = Vec::new();
        store.release(&mut lookback, Some(&packet(100)), |kept| lengths.push(kept.payload.len()));
        assert_eq!(lengths, [4, PAYLOAD_SIZE_MAX, 4]);
        assert_eq!(
            store.slabs.each_ref().map(Slab::slots),
            [SLOTS_PER_CHUNK; 2],
            "they are reused"
        );
    }

    #[test]
    fn full_store_refuses_until_packets_are_released() {
        let mut store = LookbackStore::new(SLOTS_PER_CHUNK);
        let mut legs = [Lookback::default(); SLOTS_PER_CHUNK + 1];
        let (last, others) = legs.split_last_mut().unwrap();
        for leg in others.iter_mut() {
            assert_eq!(store.keep(leg, &packet(1)), Kept::Added);
        }
        assert_eq!(store.keep(last, &packet(1)), Kept::Refused);
        store.release(&mut others[0], None, |_| unreachable!("nothing leads up to nothing"));
        assert_eq!(store.keep(last, &packet(1)), Kept::Added);
    }
}
