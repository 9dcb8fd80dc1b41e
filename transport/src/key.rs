//! Names of endpoints on one driver.

use std::fmt;

/// Names an endpoint on its driver.
///
/// The generation grows each time an index is used again, so a stale key reaches nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey {
    /// Place in the driver's table.
    pub(crate) index: u32,
    /// Which use of the place this is; the first is 1.
    pub(crate) generation: u32,
}

impl EndpointKey {
    /// Packs the key into epoll's 64 bits of user data.
    pub(crate) fn token(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Unpacks what `token` packed.
    pub(crate) fn from_token(token: u64) -> Self {
        let index = u32::try_from(token & u64::from(u32::MAX)).expect("masked to 32 bits");
        let generation = u32::try_from(token >> 32).expect("shifted to 32 bits");
        Self { index, generation }
    }
}

impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Hands out keys, at most `endpoints_max` at a time.
#[derive(Debug)]
pub(crate) struct KeyAllocator {
    generations: Vec<u32>,
    free: Vec<u32>,
    endpoints_max: usize,
}

impl KeyAllocator {
    /// Makes an allocator that holds at most `endpoints_max` live keys.
    pub(crate) fn new(endpoints_max: usize) -> Self {
        // u32::MAX is the waker's index, see `raw::poller`.
        let endpoints_max = endpoints_max.min(u32::MAX as usize - 1);
        Self { generations: Vec::new(), free: Vec::new(), endpoints_max }
    }

    /// Takes a key, or `None` if all are in use.
    pub(crate) fn allocate(&mut self) -> Option<EndpointKey> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.generations.len() < self.endpoints_max => {
                self.generations.push(0);
                u32::try_from(self.generations.len() - 1).expect("endpoints_max fits u32")
            }
            None => return None,
        };
        let generation = &mut self.generations[index as usize];
        *generation = generation.wrapping_add(1).max(1);
        Some(EndpointKey { index, generation: *generation })
    }

    /// Gives a key back; its index may be used again.
    pub(crate) fn release(&mut self, key: EndpointKey) {
        self.free.push(key.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reused_index_gets_a_new_generation() {
        let mut keys = KeyAllocator::new(1);
        let first = keys.allocate().unwrap();
        assert_eq!(keys.allocate(), None, "limit is kept");
        keys.release(first);
        let second = keys.allocate().unwrap();
        assert_eq!(first.index, second.index);
        assert_ne!(first, second);
    }

    #[test]
    fn token_round_trips() {
        let key = EndpointKey { index: 7, generation: u32::MAX };
        assert_eq!(EndpointKey::from_token(key.token()), key);
    }
}
