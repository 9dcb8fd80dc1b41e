//! The conference table: engines with the legs that belong to them.
//!
//! A conference knows its legs' slots and each leg its place among them, so that adding and
//! removing one costs the same however many there are.

use super::keep_alive::MediaEpoch;
use super::{ConferenceKey, ShardError};

/// All conferences of a shard.
pub(super) struct ConferenceTable<E> {
    /// Boxed, so that the table can grow beside a running tick without moving engines.
    slots: Vec<Option<Box<Conference<E>>>>,
    free: Vec<u32>,
    conferences_max: usize,
}

/// One conference of a shard.
pub(super) struct Conference<E> {
    pub(super) engine: E,
    pub(super) epoch: MediaEpoch,
    /// The slots of its legs, in no order.
    pub(super) legs: Vec<u16>,
    pub(super) promoted: Promoted,
}

/// The slots of legs that may send voice while the conference's others send probes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Promoted {
    slots: [u16; PROMOTED_MAX],
    count: usize,
}

impl<E> ConferenceTable<E> {
    pub(super) fn new(conferences_max: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), conferences_max }
    }

    /// Takes a conference in.
    ///
    /// # Errors
    /// `ConferencesFull` at the limit.
    pub(super) fn insert(
        &mut self,
        engine: E,
        epoch: MediaEpoch,
    ) -> Result<ConferenceKey, ShardError> {
        let conferences_max = self.conferences_max;
        let key = match self.free.pop() {
            Some(key) => key,
            None if self.slots.len() < conferences_max => {
                self.slots.push(None);
                self.slots.len() as u32 - 1
            }
            None => return Err(ShardError::ConferencesFull { conferences_max }),
        };
        let promoted = Promoted::default();
        let conference = Conference { engine, epoch, legs: Vec::new(), promoted };
        self.slots[key as usize] = Some(Box::new(conference));
        Ok(ConferenceKey(key))
    }

    pub(super) fn remove(&mut self, key: ConferenceKey) -> Option<Box<Conference<E>>> {
        let conference = self.slots.get_mut(key.0 as usize)?.take()?;
        self.free.push(key.0);
        Some(conference)
    }

    pub(super) fn get(&self, key: ConferenceKey) -> Option<&Conference<E>> {
        self.slots.get(key.0 as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, key: ConferenceKey) -> Option<&mut Conference<E>> {
        self.slots.get_mut(key.0 as usize)?.as_deref_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Conference<E>> {
        self.slots.iter().flatten().map(|conference| &**conference)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Conference<E>> {
        self.slots.iter_mut().flatten().map(|conference| &mut **conference)
    }
}

impl<E> Conference<E> {
    /// Takes a leg's slot in and returns its place among them.
    pub(super) fn add_leg(&mut self, slot: u16) -> u16 {
        self.legs.push(slot);
        // A slot has 16 bits and is in the list once, so there are never more places.
        (self.legs.len() - 1) as u16
    }

    /// Forgets the leg at a place; returns the slot of the leg that moved to this place, if one
    /// did.
    pub(super) fn remove_leg(&mut self, place: u16) -> Option<u16> {
        let place = usize::from(place);
        self.promoted.remove(self.legs.swap_remove(place));
        self.legs.get(place).copied()
    }
}

impl Promoted {
    /// Takes a slot in; false if all places are taken.
    pub(super) fn add(&mut self, slot: u16) -> bool {
        let is_free = self.count < PROMOTED_MAX;
        if is_free {
            self.slots[self.count] = slot;
            self.count += 1;
        }
        is_free
    }

    /// Forgets a slot; one that is not in the list changes nothing.
    pub(super) fn remove(&mut self, slot: u16) {
        let Some(place) = self.slots().iter().position(|own| *own == slot) else { return };
        self.count -= 1;
        self.slots.swap(place, self.count);
    }

    pub(super) fn slots(&self) -> &[u16] {
        &self.slots[..self.count]
    }
}

/// Legs of a conference that may send voice while the others send probes only. Chosen: twice the
/// talkers of a usual conference, so that one who begins need not wait for another to end.
pub const PROMOTED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_leg_leaves_its_place_to_the_last() {
        let mut table = ConferenceTable::new(1);
        let key = table.insert((), MediaEpoch::default()).unwrap();
        assert!(table.insert((), MediaEpoch::default()).is_err());
        let conference = table.get_mut(key).unwrap();
        let places: Vec<_> = [7, 8, 9].map(|slot| conference.add_leg(slot)).into();
        assert_eq!(places, [0, 1, 2]);
        assert_eq!(conference.remove_leg(0), Some(9));
        assert_eq!(conference.remove_leg(1), None, "the last moves nobody");
        assert_eq!(conference.legs, [9]);
    }

    #[test]
    fn promoted_legs_are_bounded_and_leave_with_the_leg() {
        let mut promoted = Promoted::default();
        for slot in 0..PROMOTED_MAX as u16 {
            assert!(promoted.add(slot));
        }
        assert!(!promoted.add(99));
        promoted.remove(99);
        promoted.remove(3);
        assert_eq!(promoted.slots().len(), PROMOTED_MAX - 1);
        assert!(!promoted.slots().contains(&3) && promoted.add(99));
    }
}
