//! Datagrams on their way out, gathered for one system call.
//!
//! Pure: bytes, lengths and addresses in fixed arrays. `raw::send` turns them into `mmsghdr`s.

use std::net::{Ipv4Addr, SocketAddr};

use sabha_media::transmit::DATAGRAM_SIZE_MAX;

/// A fixed slab of outgoing datagrams, all from one socket.
#[derive(Debug)]
pub(crate) struct SendBatch {
    slab: Box<[u8]>,
    targets: Box<[(SocketAddr, usize)]>,
    count: usize,
}

impl SendBatch {
    /// Makes an empty batch; this is its only allocation.
    pub(crate) fn new() -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self {
            slab: vec![0; DATAGRAMS_MAX * SLOT_STRIDE].into_boxed_slice(),
            targets: vec![(nowhere, 0); DATAGRAMS_MAX].into_boxed_slice(),
            count: 0,
        }
    }

    /// Offers the next slot; a datagram of length 0 is not kept. The batch must not be full.
    pub(crate) fn push(&mut self, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        assert!(!self.is_full(), "the caller flushes a full batch first");
        let start = self.count * SLOT_STRIDE;
        let slot = &mut self.slab[start..start + DATAGRAM_SIZE_MAX];
        let len = write(slot).min(DATAGRAM_SIZE_MAX);
        if len > 0 {
            self.targets[self.count] = (to, len);
            self.count += 1;
        }
    }

    /// Forgets all datagrams.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// Returns target and payload of the datagram at `index`.
    pub(crate) fn datagram(&self, index: usize) -> (SocketAddr, &[u8]) {
        assert!(index < self.count, "index of a datagram in this batch");
        let (to, len) = self.targets[index];
        (to, &self.slab[index * SLOT_STRIDE..][..len])
    }

    /// Returns the number of datagrams.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Says whether the next `push` would panic.
    pub(crate) fn is_full(&self) -> bool {
        self.count == DATAGRAMS_MAX
    }
}

/// Datagrams in a batch: chosen because 16 already gain what batching gains, and 256 (384 KiB)
/// still fit an L2 cache.
pub(crate) const DATAGRAMS_MAX: usize = 256;

/// Distance of two slots in bytes: `DATAGRAM_SIZE_MAX` rounded up to a cache line.
const SLOT_STRIDE: usize = DATAGRAM_SIZE_MAX.next_multiple_of(64);

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    #[test]
    fn datagrams_keep_order_target_and_bytes() {
        let mut batch = SendBatch::new();
        for port in 1..=3 {
            batch.push(to(port), |slot| {
                slot[..2].copy_from_slice(&port.to_be_bytes());
                2
            });
        }
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.datagram(1), (to(2), &[0, 2][..]));
        batch.clear();
        assert_eq!(batch.len(), 0);
    }

    #[test]
    fn empty_datagram_is_not_kept_and_length_is_clamped() {
        let mut batch = SendBatch::new();
        batch.push(to(1), |_| 0);
        assert_eq!(batch.len(), 0);
        batch.push(to(1), |slot| {
            assert_eq!(slot.len(), DATAGRAM_SIZE_MAX);
            usize::MAX
        });
        assert_eq!(batch.datagram(0).1.len(), DATAGRAM_SIZE_MAX);
    }
}
