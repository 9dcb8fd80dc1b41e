//! Memory for payloads of one size, taken in chunks as it is needed and never given back.

/// Slots of `slot_size` octets each.
pub(super) struct Slab {
    slot_size: usize,
    chunks: Vec<Box<[u8]>>,
    free: Vec<u32>,
}

impl Slab {
    pub(super) fn new(slot_size: usize) -> Self {
        Self { slot_size, chunks: Vec::new(), free: Vec::new() }
    }

    /// Takes a free slot, or memory for more if there is none and `may_grow`.
    pub(super) fn take(&mut self, may_grow: bool) -> Option<u32> {
        if self.free.is_empty() && may_grow {
            let first = (self.chunks.len() * SLOTS_PER_CHUNK) as u32;
            self.chunks.push(vec![0; SLOTS_PER_CHUNK * self.slot_size].into_boxed_slice());
            self.free.reserve(self.slots());
            self.free.extend((first..first + SLOTS_PER_CHUNK as u32).rev());
        }
        self.free.pop()
    }

    pub(super) fn put_back(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Returns a slot's octets.
    pub(super) fn slot(&self, slot: u32) -> &[u8] {
        let (chunk, start) = self.place_of(slot);
        &self.chunks[chunk][start..start + self.slot_size]
    }

    /// Returns a slot's octets, to be written.
    pub(super) fn slot_mut(&mut self, slot: u32) -> &mut [u8] {
        let (chunk, start) = self.place_of(slot);
        &mut self.chunks[chunk][start..start + self.slot_size]
    }

    /// Returns the slots that there is memory for.
    pub(super) fn slots(&self) -> usize {
        self.chunks.len() * SLOTS_PER_CHUNK
    }

    fn place_of(&self, slot: u32) -> (usize, usize) {
        let slot = slot as usize;
        (slot / SLOTS_PER_CHUNK, slot % SLOTS_PER_CHUNK * self.slot_size)
    }
}

/// Slots for which memory is taken at once: a few pages.
pub(super) const SLOTS_PER_CHUNK: usize = 64;
