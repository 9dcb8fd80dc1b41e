//! The leg table: slots, generations, and SSRCs that lead straight to their slot.
//!
//! An SSRC names its slot in its low 16 bits, so that finding a packet's leg is one comparison
//! and no hash of anything that the network chose. The rest grows with the slot's generation:
//! no SSRC returns before its slot was used 2^13 times.

use super::leg::Leg;
use crate::engine::RECEIVE_STREAMS_MAX;
use crate::leg::{LegId, Ssrc};
use crate::memory::{prefetch, room_in_large_pages};

/// All legs of a shard.
pub(super) struct LegTable {
    shard: u16,
    slots: Vec<Slot>,
    free: Vec<u16>,
    legs_max: usize,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    leg: Option<Leg>,
}

impl LegTable {
    pub(super) fn new(shard: u16, legs_max: usize) -> Self {
        let legs_max = legs_max.min(SLOTS_MAX);
        Self { shard, slots: room_in_large_pages(legs_max), free: Vec::new(), legs_max }
    }

    /// Takes a slot for a new leg; `None` if all are taken.
    pub(super) fn reserve(&mut self) -> Option<LegId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < self.legs_max => {
                self.slots.push(Slot::default());
                (self.slots.len() - 1) as u16
            }
            None => return None,
        };
        let slot = &mut self.slots[usize::from(index)];
        slot.generation += 1;
        Some(LegId { shard: self.shard, index, generation: slot.generation })
    }

    /// Puts a leg into the slot reserved for it.
    pub(super) fn fill(&mut self, leg: Leg) {
        let index = usize::from(leg.id.index);
        self.slots[index].leg = Some(leg);
    }

    /// Empties a slot, whether its leg was filled in or not; a stale name empties none. The leg ends
    /// where it lies, and its keys with it.
    pub(super) fn release(&mut self, id: LegId) {
        let slot = self.slots.get_mut(usize::from(id.index));
        let Some(slot) = slot.filter(|slot| slot.generation == id.generation) else { return };
        slot.leg = None;
        self.free.push(id.index);
    }

    pub(super) fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        let slot = self.slots.get_mut(usize::from(id.index))?;
        slot.leg.as_mut().filter(|leg| leg.id == id)
    }

    /// Asks for what sending reads of one leg, and for the further streams of another whose leg was
    /// asked for before.
    #[inline]
    pub(super) fn prefetch(&self, leg: Option<LegId>, streams: Option<LegId>) {
        if let Some(slot) = leg.and_then(|id| self.slots.get(usize::from(id.index))) {
            prefetch(slot);
        }
        if let Some(leg) = streams.and_then(|id| self.at(id.index)) {
            leg.sender.prefetch_streams();
            leg.sent.prefetch();
        }
    }

    pub(super) fn leg(&self, id: LegId) -> Option<&Leg> {
        let slot = self.slots.get(usize::from(id.index))?;
        slot.leg.as_ref().filter(|leg| leg.id == id)
    }

    /// Returns the leg of a slot.
    pub(super) fn at(&self, slot: u16) -> Option<&Leg> {
        self.slots.get(usize::from(slot))?.leg.as_ref()
    }

    /// Returns the leg of a slot, for change.
    pub(super) fn at_mut(&mut self, slot: u16) -> Option<&mut Leg> {
        self.slots.get_mut(usize::from(slot))?.leg.as_mut()
    }

    /// Finds the leg that sends with `ssrc`.
    pub(super) fn by_send_ssrc(&mut self, ssrc: Ssrc) -> Option<&mut Leg> {
        let slot = self.slots.get_mut((ssrc.0 & 0xffff) as usize)?;
        slot.leg.as_mut().filter(|leg| leg.send_ssrc == ssrc)
    }

    /// Gives every `stride`th leg, from `first` on.
    pub(super) fn stride(&self, first: usize, stride: usize) -> impl Iterator<Item = LegId> {
        let slots = self.slots.iter().skip(first).step_by(stride.max(1));
        slots.filter_map(|slot| slot.leg.as_ref().map(|leg| leg.id))
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// Returns the SSRC that a leg's member sends with.
pub(super) fn send_ssrc(id: LegId) -> Ssrc {
    Ssrc((id.generation & 0x7fff) << 16 | u32::from(id.index))
}

/// Returns the SSRC of the leg's receive stream `slot`.
pub(super) fn receive_ssrc(id: LegId, slot: usize) -> Ssrc {
    let slot = (slot % RECEIVE_STREAMS_MAX) as u32;
    Ssrc(1 << 31 | slot << 29 | (id.generation & 0x1fff) << 16 | u32::from(id.index))
}

/// Slots that 16 bits can name.
const SLOTS_MAX: usize = 1 << 16;

const _: () = assert!(RECEIVE_STREAMS_MAX <= 4, "a receive SSRC has two bits for its slot");

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ssrcs_of_a_port_are_unique() {
        let mut all = HashSet::new();
        for index in [0, 1, 0x7fff, 0xffff] {
            for generation in 1..1_000 {
                let id = LegId { shard: 0, index, generation };
                assert!(all.insert(send_ssrc(id)));
                for slot in 0..RECEIVE_STREAMS_MAX {
                    assert!(all.insert(receive_ssrc(id, slot)));
                }
            }
        }
    }

    #[test]
    fn slot_is_reused_under_a_new_generation() {
        let mut table = LegTable::new(3, 1);
        let first = table.reserve().unwrap();
        assert_eq!(table.reserve(), None);
        table.release(first);
        let second = table.reserve().unwrap();
        assert_eq!((first.index, first.generation + 1), (second.index, second.generation));
        table.release(first);
        assert_eq!(table.reserve(), None, "a stale name frees nothing");
    }
}
