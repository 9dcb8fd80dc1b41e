//! Which endpoint's deadline is next: a binary heap that knows where each endpoint stands.
//!
//! One entry an endpoint, moved in place: so it never holds more than the table does, and a
//! deadline that moves with every packet leaves nothing stale behind.

use sabha_media::time::Instant;

/// The deadlines of all endpoints on one thread, earliest first.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: Vec<(Instant, u32)>,
    /// For each endpoint's index its place in `heap`, or `NOWHERE`.
    places: Vec<u32>,
}

impl Deadlines {
    /// Sets, moves or clears the deadline of the endpoint at `index`.
    pub(crate) fn set(&mut self, index: u32, at: Option<Instant>) {
        let slot = index as usize;
        if slot >= self.places.len() {
            self.places.resize(slot + 1, NOWHERE);
        }
        let place = self.places[slot] as usize;
        match (self.places[slot] != NOWHERE, at) {
            (true, Some(at)) if self.heap[place].0 == at => {}
            (true, Some(at)) => {
                self.heap[place].0 = at;
                self.restore(place);
            }
            (true, None) => self.remove(place),
            (false, Some(at)) => {
                self.heap.push((at, index));
                self.restore(self.heap.len() - 1);
            }
            (false, None) => {}
        }
    }

    /// Returns the earliest deadline and its endpoint's index.
    pub(crate) fn next(&self) -> Option<(Instant, u32)> {
        self.heap.first().copied()
    }

    fn remove(&mut self, place: usize) {
        let (_, index) = self.heap.swap_remove(place);
        self.places[index as usize] = NOWHERE;
        if place < self.heap.len() {
            self.restore(place);
        }
    }

    /// Moves the entry at `place` up or down to where it belongs, and notes its place.
    fn restore(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 && entry < self.heap[(place - 1) / 2] {
            self.put(place, self.heap[(place - 1) / 2]);
            place = (place - 1) / 2;
        }
        while let Some(child) = self.earlier_child(place) {
            if entry <= self.heap[child] {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }

    fn earlier_child(&self, place: usize) -> Option<usize> {
        let left = 2 * place + 1;
        let right = left + 1;
        if right < self.heap.len() && self.heap[right] < self.heap[left] {
            return Some(right);
        }
        (left < self.heap.len()).then_some(left)
    }

    fn put(&mut self, place: usize, entry: (Instant, u32)) {
        self.heap[place] = entry;
        self.places[entry.1 as usize] = u32::try_from(place).expect("indices are u32");
    }
}

/// The place of an endpoint without a deadline.
const NOWHERE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moved_deadline_leaves_nothing_stale() {
        let mut deadlines = Deadlines::default();
        for millis in 0..1_000 {
            deadlines.set(3, Some(Instant::from_millis(millis)));
        }
        assert_eq!(deadlines.heap.len(), 1);
        assert_eq!(deadlines.next(), Some((Instant::from_millis(999), 3)));
        deadlines.set(3, None);
        assert_eq!(deadlines.next(), None);
    }

    proptest! {
        #[test]
        fn next_is_always_the_earliest(
            steps in prop::collection::vec((0u32..20, prop::option::of(0u64..50)), 0..300)
        ) {
            let mut deadlines = Deadlines::default();
            let mut model = [None; 20];
            for (index, at) in steps {
                let at = at.map(Instant::from_nanos);
                deadlines.set(index, at);
                model[index as usize] = at;
                let earliest = model
                    .iter()
                    .enumerate()
                    .filter_map(|(index, at)| Some(((*at)?, u32::try_from(index).unwrap())))
                    .min();
                prop_assert_eq!(deadlines.next(), earliest);
            }
        }
    }
}
