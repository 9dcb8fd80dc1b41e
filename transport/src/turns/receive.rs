//! A turn's reading of ready sockets: batch by batch, with a look at deadlines in between.

use std::io;

use sabha_media::time::Instant;

use super::Turns;
use crate::clock::ClockReading;
use crate::endpoint::Endpoint;
use crate::intake;
use crate::key::EndpointKey;
use crate::raw::receive::MESSAGES_MAX;
use crate::table::Slot;

impl<E: Endpoint> Turns<E> {
    /// Reads a ready socket, one of a crowd or of a few: at most `BATCHES_PER_TURN` batches.
    ///
    /// What is left makes the next wait return at once; so that wait must not begin with a pause
    /// unless the socket is known to be empty.
    pub(super) fn receive(&mut self, key: EndpointKey, is_crowd: bool) {
        for _ in 0..BATCHES_PER_TURN {
            // A key that is not in the table yet: its addition is still in the queue.
            let Some(slot) = self.table.slot(key) else { return };
            self.shared.counters.syscalls_in.add(1);
            let asked = if is_crowd { self.appetite.next() } else { MESSAGES_MAX };
            match self.slab.receive(&slot.parts.0, asked) {
                Ok(count) => {
                    self.appetite.record(asked, count);
                    self.handle_batch(key.index, count);
                    if count < asked {
                        return;
                    }
                    if asked < MESSAGES_MAX {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.count_receive_error(&error),
            }
        }
        self.may_gather = false;
    }

    /// Reads a part of the sockets, if it is time to and nothing tells which are ready.
    pub(super) fn go_round(&mut self) {
        let Some(round) = &mut self.round else { return };
        for index in round.take(self.clock.now(), self.table.places()) {
            if let Some(key) = self.table.at(index).map(|slot| slot.key) {
                self.receive(key, true);
            }
        }
    }

    /// Hands a batch to its endpoint; looks at deadlines in between if that is much work.
    fn handle_batch(&mut self, index: u32, count: usize) {
        let mut reading = self.clock.reading();
        for place in 0..count {
            let mut next = Some(0);
            while let Some(first) = next {
                next = self.hand_over(index, place, first, reading);
                if self.sender.is_share_done() {
                    self.settle_and_fire(index);
                    // Timeouts may have seen a later `now`, and time never runs back.
                    reading = self.clock.reading();
                }
            }
        }
        self.settle(index, Instant::ZERO);
    }

    fn hand_over(
        &mut self,
        index: u32,
        place: usize,
        first: usize,
        reading: ClockReading,
    ) -> Option<usize> {
        let Slot { parts, overflows_seen, gso, .. } = self.table.at(index)?;
        let (socket, endpoint) = &mut **parts;
        let message = self.slab.message(place);
        let mut outgoing = self.sender.outgoing(socket, gso, &self.shared.counters);
        intake::count_overflows(&message, overflows_seen, &self.shared.counters);
        intake::hand_over(message, first, reading, endpoint, &mut outgoing)
    }

    /// Calls the endpoints that are due, if any; what is written so far goes first. What they
    /// write is no part of the work of reading: packets that came meanwhile are read before the
    /// next call, however late it is, or they would be missed that were in time.
    fn settle_and_fire(&mut self, index: u32) {
        if self.deadlines.next().is_some_and(|(deadline, _)| deadline <= self.clock.now()) {
            self.settle(index, Instant::ZERO);
            self.fire_due();
        }
        self.sender.begin_share();
    }

    fn count_receive_error(&self, error: &io::Error) {
        let counters = &self.shared.counters;
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH) => {
                counters.icmp_errors.add(1);
            }
            _ => counters.receive_errors.add(1),
        }
    }
}

/// Receive batches for a socket in a turn: chosen because a busy socket then still fills its
/// batches, and a flooded one yields after 128 messages.
const BATCHES_PER_TURN: usize = 4;
