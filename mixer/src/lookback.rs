//! Keeps the last squelched packets of each leg, so that no onset is lost.
//!
//! The store is shared by all conferences of a shard; a leg holds at most `KEPT_MAX` slots of it.

use sabha_media::codec::PAYLOAD_SIZE_MAX;
use sabha_media::jitter_buffer::BufferedPacket;

/// Packets kept for each leg: 60 ms, longer than the rise of any syllable.
pub(crate) const KEPT_MAX: usize = 3;

/// The shared store. Grows to its limit and never shrinks.
pub(crate) struct LookbackStore {
    slots: Vec<Slot>,
    free: Vec<u32>,
    slots_max: usize,
}

struct Slot {
    packet: BufferedPacket<'static>,
    length: usize,
    payload: Box<[u8]>,
}

/// One leg's kept packets, newest last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lookback {
    slots: [u32; KEPT_MAX],
    count: usize,
}

/// What became of a packet that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It took a free place.
    Added,
    /// It took the place of the oldest.
    Replaced,
    /// The store is full.
    Refused,
}

impl LookbackStore {
    pub(crate) fn new(slots_max: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), slots_max }
    }

    /// Keeps a packet for a leg, forgetting its oldest if it has `KEPT_MAX` already.
    pub(crate) fn keep(&mut self, lookback: &mut Lookback, packet: &BufferedPacket<'_>) -> Kept {
        let mut outcome = Kept::Added;
        let slot = if lookback.count == KEPT_MAX {
            outcome = Kept::Replaced;
            let oldest = lookback.slots[0];
            lookback.slots.rotate_left(1);
            lookback.count -= 1;
            oldest
        } else {
            let Some(slot) = self.take() else { return Kept::Refused };
            slot
        };
        let entry = &mut self.slots[slot as usize];
        entry.length = packet.payload.len().min(PAYLOAD_SIZE_MAX);
        entry.payload[..entry.length].copy_from_slice(&packet.payload[..entry.length]);
        entry.packet = BufferedPacket { payload: &[], ..*packet };
        lookback.slots[lookback.count] = slot;
        lookback.count += 1;
        outcome
    }

    /// Gives out, oldest first, the kept packets that lead up to `next` without a gap, and
    /// forgets all of them.
    pub(crate) fn release(
        &mut self,
        lookback: &mut Lookback,
        next: Option<&BufferedPacket<'_>>,
        mut take: impl FnMut(&BufferedPacket<'_>),
    ) {
        let kept = &mut lookback.slots[..lookback.count];
        kept.sort_unstable_by_key(|slot| self.slots[*slot as usize].packet.index);
        let mut first = kept.len();
        let mut expected = next.map(|packet| (packet.index, packet.timestamp));
        while let Some((index, timestamp)) = expected
            && first > 0
        {
            let before = &self.slots[kept[first - 1] as usize].packet;
            let leads_up = before.index.wrapping_add(1) == index
                && before.timestamp.wrapping_add(before.samples) == timestamp;
            expected = leads_up.then_some((before.index, before.timestamp));
            first -= usize::from(leads_up);
        }
        for slot in &kept[first..] {
            let entry = &self.slots[*slot as usize];
            take(&BufferedPacket { payload: &entry.payload[..entry.length], ..entry.packet });
        }
        self.free.extend_from_slice(kept);
        lookback.count = 0;
    }

    fn take(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if self.slots.len() == self.slots_max {
            return None;
        }
        let payload = vec![0; PAYLOAD_SIZE_MAX].into_boxed_slice();
        self.slots.push(Slot { packet: EMPTY, length: 0, payload });
        self.free.reserve(self.slots.len());
        Some(self.slots.len() as u32 - 1)
    }
}

const EMPTY: BufferedPacket<'static> = BufferedPacket {
    index: 0,
    timestamp: sabha_media::rtp::RtpTimestamp(0),
    samples: 0,
    level: sabha_media::extension::LevelDbov(127),
    received_at: sabha_media::time::Instant::ZERO,
    payload: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use sabha_media::rtp::RtpTimestamp;

    fn packet(index: u64) -> BufferedPacket<'static> {
        let timestamp = RtpTimestamp(index as u32 * 960);
        BufferedPacket { index, timestamp, samples: 960, payload: b"kept", ..EMPTY }
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
        let (mut store, mut lookback) = (LookbackStore::new(8), Lookback::default());
        for index in [5, 6, 8, 7] {
            store.keep(&mut lookback, &packet(index));
        }
        assert_eq!(released(&mut store, &mut lookback, 9), [6, 7, 8]);
        assert!(released(&mut store, &mut lookback, 9).is_empty());
    }

    #[test]
    fn packets_from_before_a_gap_are_forgotten() {
        let (mut store, mut lookback) = (LookbackStore::new(8), Lookback::default());
        for index in [3, 4, 6] {
            store.keep(&mut lookback, &packet(index));
        }
        assert_eq!(released(&mut store, &mut lookback, 7), [6]);
    }

    #[test]
    fn full_store_refuses() {
        let (mut store, mut one, mut other) =
            (LookbackStore::new(1), Lookback::default(), Lookback::default());
        assert_eq!(store.keep(&mut one, &packet(1)), Kept::Added);
        assert_eq!(store.keep(&mut other, &packet(1)), Kept::Refused);
        store.release(&mut one, None, |_| unreachable!("nothing leads up to nothing"));
        assert_eq!(store.keep(&mut other, &packet(1)), Kept::Added);
    }
}
