//! Whether datagrams to one address may leave as one message that the kernel cuts (UDP GSO).
//!
//! Pure, one for each socket. A kernel may refuse it for one destination (IPsec, a segment above
//! the path's MTU) or, for want of checksum offload, for a whole device; so a refusal is not for
//! good, but each in a row doubles the number of batches until the next attempt.

use std::io;

use crate::batch::{Datagrams, SendBatch};

/// A socket's word on GSO.
#[derive(Debug)]
pub(crate) struct Gso {
    is_known: bool,
    /// Refusals since a message was taken.
    refusals: u32,
    /// Batches to be sent singly, the current one included.
    pause: u32,
    is_told: bool,
}

impl Gso {
    /// Begins with GSO on, if the kernel knows it.
    pub(crate) fn new(is_known: bool) -> Self {
        Self { is_known, refusals: 0, pause: 0, is_told: false }
    }

    /// Begins a batch, which may be the first after a pause.
    pub(crate) fn begin_batch(&mut self) {
        self.pause = self.pause.saturating_sub(1);
    }

    /// Notes that the kernel took a message to cut.
    pub(crate) fn accept(&mut self) {
        self.refusals = 0;
    }

    /// Notes that the kernel refused a message only because it was to be cut: off for this batch,
    /// and for 1, 3, 7 and so on after it.
    pub(crate) fn refuse(&mut self, errno: i32) {
        self.refusals = (self.refusals + 1).min(REFUSALS_COUNTED_MAX);
        self.pause = 1 << self.refusals;
        if !std::mem::replace(&mut self.is_told, true) {
            let error = io::Error::from_raw_os_error(errno);
            tracing::warn!(%error, "the kernel refuses GSO; datagrams leave singly for a while");
        }
    }

    /// Says whether runs of datagrams are to leave as one message.
    pub(crate) fn is_on(&self) -> bool {
        self.is_known && self.pause == 0
    }

    /// Returns how many datagrams from `first` on are to leave as one message.
    pub(crate) fn run_len(&self, batch: &SendBatch, first: usize) -> usize {
        if self.is_on() { batch.run_len(first) } else { 1 }
    }
}

/// Refusals that still lengthen the pause: 2^14 batches are 5 min of a mixer's ticks.
const REFUSALS_COUNTED_MAX: u32 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many batches pass until the next attempt.
    fn pause(gso: &mut Gso) -> u32 {
        let mut batches = 0;
        gso.begin_batch();
        while !gso.is_on() {
            batches += 1;
            gso.begin_batch();
        }
        batches
    }

    #[test]
    fn refusals_in_a_row_double_the_pause_up_to_a_limit() {
        let mut gso = Gso::new(true);
        let pauses: Vec<u32> = (0..20)
            .map(|_| {
                gso.refuse(libc::EIO);
                assert!(!gso.is_on(), "off for the rest of the batch");
                pause(&mut gso)
            })
            .collect();
        assert_eq!(pauses[..4], [1, 3, 7, 15]);
        assert_eq!(pauses[13..], [16_383; 7]);
    }

    #[test]
    fn message_that_is_taken_shortens_the_next_pause() {
        let mut gso = Gso::new(true);
        gso.refuse(libc::EIO);
        gso.refuse(libc::EIO);
        gso.accept();
        gso.refuse(libc::EIO);
        assert_eq!(pause(&mut gso), 1);
    }

    #[test]
    fn kernel_without_gso_is_never_asked() {
        let mut gso = Gso::new(false);
        gso.begin_batch();
        assert!(!gso.is_on());
    }
}
