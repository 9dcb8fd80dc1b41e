//! The endpoints of one thread.

use crate::endpoint::Endpoint;
use crate::gso::Gso;
use crate::key::EndpointKey;
use crate::raw::socket::MediaSocket;

/// One endpoint with its socket.
pub(crate) struct Slot<E> {
    pub(crate) key: EndpointKey,
    pub(crate) parts: Box<(MediaSocket, E)>,
    /// The socket's overflow count as last seen, to count its growth.
    pub(crate) overflows_seen: u32,
    /// Whether datagrams to one address leave together.
    pub(crate) gso: Gso,
}

/// Endpoints by index; at most as many as the key allocator hands out.
pub(crate) struct EndpointTable<E> {
    slots: Vec<Option<Slot<E>>>,
}

impl<E: Endpoint> EndpointTable<E> {
    /// Makes an empty table.
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// Puts an endpoint in the place that its key names.
    pub(crate) fn insert(&mut self, key: EndpointKey, parts: Box<(MediaSocket, E)>) {
        let index = key.index as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        debug_assert!(self.slots[index].is_none(), "the allocator hands out free places");
        let gso = Gso::new(parts.0.is_gso());
        self.slots[index] = Some(Slot { key, parts, overflows_seen: 0, gso });
    }

    /// Takes an endpoint out, if the key is live.
    pub(crate) fn remove(&mut self, key: EndpointKey) -> Option<Box<(MediaSocket, E)>> {
        self.slot(key)?;
        self.slots[key.index as usize].take().map(|slot| slot.parts)
    }

    /// Takes all endpoints out, by index.
    pub(crate) fn drain(&mut self) -> Vec<(EndpointKey, E)> {
        self.slots.drain(..).flatten().map(|slot| (slot.key, slot.parts.1)).collect()
    }

    /// Returns the endpoint of a key, if the key is live.
    pub(crate) fn slot(&mut self, key: EndpointKey) -> Option<&mut Slot<E>> {
        self.at(key.index).filter(|slot| slot.key == key)
    }

    /// Returns the number of places: every endpoint's index is below it.
    pub(crate) fn places(&self) -> u32 {
        u32::try_from(self.slots.len()).expect("indices are u32")
    }

    /// Returns the endpoint at an index.
    pub(crate) fn at(&mut self, index: u32) -> Option<&mut Slot<E>> {
        self.slots.get_mut(index as usize)?.as_mut()
    }
}
