//! Datagrams on their way out, gathered for one system call.
//!
//! Pure: bytes, lengths and addresses in fixed arrays. `raw::send` turns them into `mmsghdr`s.

use std::net::{Ipv4Addr, SocketAddr};

use sabha_media::transmit::DATAGRAM_SIZE_MAX;

/// A fixed slab of outgoing datagrams, all from one socket. They lie one behind the other, so that
/// what was just written is near when the kernel copies it.
#[derive(Debug)]
pub(crate) struct SendBatch {
    slab: Box<[u8]>,
    targets: Box<[Target]>,
    count: usize,
    /// Where the next datagram begins in the slab.
    end: usize,
}

/// Where one datagram goes, and where it lies in the slab.
#[derive(Clone, Copy, Debug)]
struct Target {
    to: SocketAddr,
    start: usize,
    len: usize,
}

impl SendBatch {
    /// Makes an empty batch; this is its only allocation.
    pub(crate) fn new() -> Self {
        let to = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let nowhere = Target { to, start: 0, len: 0 };
        Self {
            slab: vec![0; DATAGRAMS_MAX * DATAGRAM_ROOM].into_boxed_slice(),
            targets: vec![nowhere; DATAGRAMS_MAX].into_boxed_slice(),
            count: 0,
            end: 0,
        }
    }

    /// Offers the next slot; a datagram of length 0 is not kept. The batch must not be full.
    pub(crate) fn push(&mut self, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        assert!(self.count < DATAGRAMS_MAX, "the caller flushes a full batch first");
        let start = self.end;
        let slot = &mut self.slab[start..start + DATAGRAM_SIZE_MAX];
        let len = write(slot).min(DATAGRAM_SIZE_MAX);
        if len > 0 {
            self.targets[self.count] = Target { to, start, len };
            self.count += 1;
            self.end = start + len.next_multiple_of(CACHE_LINE);
        }
    }

    /// Forgets all datagrams.
    pub(crate) fn clear(&mut self) {
        (self.count, self.end) = (0, 0);
    }

    /// Says whether the batch is to leave before a datagram to that address is pushed: when there is
    /// no room, or enough and the datagram is no part of the last run.
    pub(crate) fn is_full_for(&self, to: SocketAddr) -> bool {
        let is_new = || self.targets[self.count - 1].to != to;
        self.count == DATAGRAMS_MAX || self.count >= DATAGRAMS_ENOUGH && is_new()
    }
}

impl Datagrams for SendBatch {
    fn len(&self) -> usize {
        self.count
    }

    fn datagram(&self, index: usize) -> (SocketAddr, &[u8]) {
        assert!(index < self.count, "index of a datagram in this batch");
        let Target { to, start, len } = self.targets[index];
        (to, &self.slab[start..][..len])
    }
}

/// Datagrams in the order in which they are to leave.
pub(crate) trait Datagrams {
    /// Returns the number of datagrams.
    fn len(&self) -> usize;

    /// Returns target and payload of the datagram at `index`, which is below `len`.
    fn datagram(&self, index: usize) -> (SocketAddr, &[u8]);

    /// Returns how many datagrams from `first` on may leave as one message that the kernel cuts
    /// (GSO): to one address and as long as the first, but for the last, which may be shorter.
    ///
    /// At least 1, at most `SEGMENTS_MAX`.
    fn run_len(&self, first: usize) -> usize {
        let (to, bytes) = self.datagram(first);
        let (size, end) = (bytes.len(), self.len().min(first + SEGMENTS_MAX));
        for index in first + 1..end {
            let (other, bytes) = self.datagram(index);
            if other != to || bytes.len() > size || bytes.is_empty() {
                return index - first;
            }
            if bytes.len() < size {
                return index + 1 - first;
            }
        }
        end - first
    }
}

impl Datagrams for [(SocketAddr, &[u8])] {
    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn datagram(&self, index: usize) -> (SocketAddr, &[u8]) {
        self[index]
    }
}

/// Datagrams in a batch at most: so many that runs, which are a bridge's three or four, are whole.
pub(crate) const DATAGRAMS_MAX: usize = DATAGRAMS_ENOUGH + 32;

/// Datagrams for which a batch is sent: chosen because 16 already gain what batching gains, and what
/// 64 read and write stays in a cache of 256 KiB until the kernel copies it. (With 256 in slots of
/// full length that copy took twice as long.)
const DATAGRAMS_ENOUGH: usize = 64;

/// Datagrams in a message that the kernel cuts: 43 of full length still fit an IPv4 packet of
/// 65,535 bytes. The kernel takes 64 (UDP_MAX_SEGMENTS).
const SEGMENTS_MAX: usize = (65_535 - 20 - 8) / DATAGRAM_SIZE_MAX;

/// Bytes that a datagram takes of the slab at most.
const DATAGRAM_ROOM: usize = DATAGRAM_SIZE_MAX.next_multiple_of(CACHE_LINE);

/// Each datagram begins at a multiple of so many bytes.
const CACHE_LINE: usize = 64;

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

    /// Returns the lengths of all runs of such datagrams, given as port and length.
    fn runs(datagrams: &[(u16, usize)]) -> Vec<usize> {
        let mut batch = SendBatch::new();
        for (port, len) in datagrams {
            batch.push(to(*port), |_| *len);
        }
        let (mut first, mut runs) = (0, vec![]);
        while first < batch.len() {
            runs.push(batch.run_len(first));
            first += runs[runs.len() - 1];
        }
        runs
    }

    #[test]
    fn run_goes_to_one_address() {
        assert_eq!(runs(&[(1, 9), (1, 9), (2, 9), (2, 9), (2, 9), (1, 9)]), [2, 3, 1]);
    }

    #[test]
    fn run_ends_with_a_shorter_datagram_and_before_a_longer_one() {
        assert_eq!(runs(&[(1, 9), (1, 9), (1, 8), (1, 8), (1, 9)]), [3, 1, 1]);
        assert_eq!(runs(&[(1, 8), (1, 9), (1, 9)]), [1, 2]);
    }

    #[test]
    fn run_fits_an_ip_packet() {
        assert_eq!(runs(&[(1, DATAGRAM_SIZE_MAX); 60]), [43, 17]);
    }

    #[test]
    fn batch_ends_between_two_runs_if_they_are_short() {
        let mut batch = SendBatch::new();
        for _ in 0..DATAGRAMS_ENOUGH {
            assert!(!batch.is_full_for(to(1)) && !batch.is_full_for(to(2)));
            batch.push(to(1), |_| 9);
        }
        assert!(batch.is_full_for(to(2)) && !batch.is_full_for(to(1)));
        for _ in DATAGRAMS_ENOUGH..DATAGRAMS_MAX {
            assert!(!batch.is_full_for(to(1)));
            batch.push(to(1), |_| 9);
        }
        assert!(batch.is_full_for(to(1)), "there is no room");
    }

    #[test]
    fn empty_datagram_of_a_slice_is_no_part_of_a_run() {
        let datagrams: [(SocketAddr, &[u8]); 4] =
            [(to(1), b"x"), (to(1), b""), (to(1), b""), (to(1), b"x")];
        for first in 0..4 {
            assert_eq!(datagrams[..].run_len(first), 1);
        }
    }
}
