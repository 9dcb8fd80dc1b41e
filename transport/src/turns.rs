//! A driver's thread on epoll: what it does in which order, and how much of it at most.
//!
//! Fair by bounds: a flood on one socket delays neither deadlines nor the other sockets by more
//! than a few hundred datagrams.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use sabha_media::time::Instant;

use crate::clock::{Clock, ClockReading};
use crate::deadlines::Deadlines;
use crate::endpoint::Endpoint;
use crate::handle::{Message, Shared};
use crate::intake;
use crate::key::EndpointKey;
use crate::outgoing::{Outgoing, Sender};
use crate::raw::poller::Events;
use crate::raw::receive::{MESSAGES_MAX, ReceiveSlab};
use crate::table::{EndpointTable, Slot};

/// The thread's state. A turn: messages, due timeouts, wait, receive.
pub(crate) struct Turns<E: Endpoint> {
    shared: Arc<Shared>,
    messages: Receiver<Message<E>>,
    clock: Clock,
    table: EndpointTable<E>,
    deadlines: Deadlines,
    slab: ReceiveSlab,
    sender: Sender,
}

impl<E: Endpoint> Turns<E> {
    /// Makes the state of a thread without endpoints.
    pub(crate) fn new(shared: Arc<Shared>, messages: Receiver<Message<E>>, clock: Clock) -> Self {
        Self {
            shared,
            messages,
            clock,
            table: EndpointTable::new(),
            deadlines: Deadlines::default(),
            slab: ReceiveSlab::new(),
            sender: Sender::new(),
        }
    }

    /// Turns until it is told to stop; returns all endpoints.
    pub(crate) fn run(mut self) -> Vec<(EndpointKey, E)> {
        let mut events = Events::new();
        while !self.shared.is_stopping() {
            self.sender.begin_turn();
            let has_backlog = self.handle_messages() == MESSAGES_PER_TURN;
            self.fire_due();
            let timeout = if has_backlog { Some(Duration::ZERO) } else { self.time_left() };
            if let Err(error) = self.shared.poller.wait(&mut events, timeout) {
                tracing::error!(%error, "epoll failed, the media thread ends");
                break;
            }
            self.shared.counters.wakeups.add(1);
            for index in 0..events.len() {
                match events.token(index) {
                    WAKE => self.shared.waker.clear(),
                    token => self.receive(EndpointKey::from_token(token)),
                }
            }
        }
        self.finish()
    }

    /// Handles what was queued before the end, and gives all endpoints back.
    fn finish(mut self) -> Vec<(EndpointKey, E)> {
        for _ in 0..self.shared.commands_max {
            let Ok(message) = self.messages.try_recv() else { break };
            self.handle_message(message);
        }
        self.table.drain()
    }

    fn time_left(&self) -> Option<Duration> {
        let (deadline, _) = self.deadlines.next()?;
        Some(deadline.saturating_since(self.clock.now()))
    }

    fn handle_messages(&mut self) -> usize {
        for count in 0..MESSAGES_PER_TURN {
            let Ok(message) = self.messages.try_recv() else { return count };
            self.handle_message(message);
        }
        MESSAGES_PER_TURN
    }

    fn handle_message(&mut self, message: Message<E>) {
        match message {
            Message::Add(key, parts) => {
                self.table.insert(key, parts);
                self.arm(key.index, Instant::ZERO);
            }
            Message::Command(key, command) => {
                if self.table.slot(key).is_none() {
                    self.shared.counters.commands_unknown.add(1);
                    return;
                }
                self.shared.counters.commands.add(1);
                let now = self.clock.now();
                self.call(key.index, Instant::ZERO, |endpoint, outgoing| {
                    endpoint.handle_command(now, command, outgoing);
                });
            }
            Message::Remove(key, reply) => {
                let Some(parts) = self.table.remove(key) else { return };
                self.deadlines.set(key.index, None);
                self.shared.release(key, parts.0.raw_fd());
                let (socket, endpoint) = *parts;
                // First, so that the port is free once the caller has the endpoint.
                drop(socket);
                // The caller may have lost interest; then the endpoint is dropped here.
                let _ = reply.send(endpoint);
            }
        }
    }

    /// Calls every endpoint that is due, each at most once, earliest first.
    fn fire_due(&mut self) {
        let limit = self.clock.now();
        // One that is due again at once waits until after the others and the sockets.
        let again = limit + Duration::from_nanos(1);
        while let Some((deadline, index)) = self.deadlines.next()
            && deadline <= limit
        {
            let now = self.clock.now();
            self.shared.counters.timeouts.add(1);
            self.shared.counters.lateness.record(now.saturating_since(deadline));
            self.call(index, again, |endpoint, outgoing| endpoint.handle_timeout(now, outgoing));
        }
    }

    /// Reads a ready socket, at most `BATCHES_PER_TURN` batches.
    fn receive(&mut self, key: EndpointKey) {
        for _ in 0..BATCHES_PER_TURN {
            // A key that is not in the table yet: its addition is still in the queue.
            let Some(slot) = self.table.slot(key) else { return };
            self.shared.counters.syscalls_in.add(1);
            match self.slab.receive(&slot.parts.0) {
                Ok(count) => {
                    self.handle_batch(key.index, count);
                    self.fire_due();
                    if count < MESSAGES_MAX {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.count_receive_error(&error),
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
                if self.sender.take_share_done() {
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
        let Slot { parts, overflows_seen, .. } = self.table.at(index)?;
        let (socket, endpoint) = &mut **parts;
        let message = self.slab.message(place);
        let mut outgoing = self.sender.outgoing(socket, &self.shared.counters);
        intake::count_overflows(&message, overflows_seen, &self.shared.counters);
        intake::hand_over(message, first, reading, endpoint, &mut outgoing)
    }

    /// Calls the endpoints that are due, if any; what is written so far goes first.
    fn settle_and_fire(&mut self, index: u32) {
        if self.deadlines.next().is_some_and(|(deadline, _)| deadline <= self.clock.now()) {
            self.settle(index, Instant::ZERO);
            self.fire_due();
        }
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

    /// Makes one call into an endpoint, sends what it wrote, and notes its next deadline.
    fn call(
        &mut self,
        index: u32,
        not_before: Instant,
        call: impl FnOnce(&mut E, &mut Outgoing<'_>),
    ) {
        let Some(slot) = self.table.at(index) else { return self.deadlines.set(index, None) };
        let (socket, endpoint) = &mut *slot.parts;
        call(endpoint, &mut self.sender.outgoing(socket, &self.shared.counters));
        self.settle(index, not_before);
    }

    /// Sends what an endpoint wrote, tells it so, and notes its next deadline.
    fn settle(&mut self, index: u32, not_before: Instant) {
        let Some(slot) = self.table.at(index) else { return };
        let (socket, endpoint) = &mut *slot.parts;
        self.sender.outgoing(socket, &self.shared.counters).flush();
        if self.sender.take_sent() {
            endpoint.handle_sent(self.clock.now());
        }
        self.arm(index, not_before);
    }

    /// Notes an endpoint's next deadline, but none before `not_before`.
    fn arm(&mut self, index: u32, not_before: Instant) {
        let Some(slot) = self.table.at(index) else { return };
        let deadline = slot.parts.1.poll_timeout();
        self.deadlines.set(index, deadline.map(|at| at.max(not_before)));
    }
}

/// The waker's token: no endpoint has this index, see `KeyAllocator`.
pub(crate) const WAKE: u64 = u64::MAX;

/// Queued messages handled in a turn: chosen so that a full queue takes a few turns, each of which
/// looks at deadlines.
const MESSAGES_PER_TURN: usize = 64;

/// Receive batches for a socket in a turn: chosen because a busy socket then still fills its
/// batches, and a flooded one yields after 128 messages.
const BATCHES_PER_TURN: usize = 4;
