//! A driver's thread: what it does in which order, and how much of it at most.
//!
//! Its back end waits, between `prepare` and `resume`; all else is the same for every back end.
//! Fair by bounds: a flood on one socket delays neither deadlines nor the other sockets by more
//! than a few hundred datagrams.

mod receive;
mod round;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use sabha_media::time::Instant;

use self::round::Round;
use crate::appetite::Appetite;
use crate::clock::Clock;
use crate::deadlines::Deadlines;
use crate::driver::DriverConfig;
use crate::endpoint::Endpoint;
use crate::handle::{Message, Shared};
use crate::key::EndpointKey;
use crate::load::LoadMeter;
use crate::outgoing::{Outgoing, Sender};
use crate::raw::poller::Events;
use crate::raw::receive::ReceiveSlab;
use crate::table::EndpointTable;
use crate::wait::Wait;

/// The thread's state. A turn: messages, due timeouts, the load, the wait, receive.
pub(crate) struct Turns<E: Endpoint> {
    shared: Arc<Shared>,
    messages: Receiver<Message<E>>,
    clock: Clock,
    table: EndpointTable<E>,
    deadlines: Deadlines,
    slab: ReceiveSlab,
    appetite: Appetite,
    sender: Sender,
    meter: LoadMeter,
    gather: Duration,
    gather_when_busy: bool,
    /// Whether the next wait may begin with a pause: there was something to read, and nothing is
    /// left of it.
    may_gather: bool,
    /// How long pauses are now: none if the thread had little to do of late or somebody waits for what
    /// it reads.
    pause: Duration,
    /// Set if sockets are read by the clock.
    round: Option<Round>,
}

impl<E: Endpoint> Turns<E> {
    /// Makes the state of a thread without endpoints.
    pub(crate) fn new(
        shared: Arc<Shared>,
        messages: Receiver<Message<E>>,
        clock: Clock,
        config: &DriverConfig,
    ) -> Self {
        Self {
            shared,
            messages,
            clock,
            table: EndpointTable::new(),
            deadlines: Deadlines::default(),
            slab: ReceiveSlab::new(),
            appetite: Appetite::new(),
            sender: Sender::new(),
            meter: LoadMeter::new(clock.now()),
            gather: config.gather,
            gather_when_busy: config.gather_when_busy,
            may_gather: false,
            pause: if config.gather_when_busy { Duration::ZERO } else { config.gather },
            round: config.rounds.map(|every| Round::new(every, clock.now())),
        }
    }

    /// Says whether the thread is to end; then `finish` is to be called.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.is_stopping()
    }

    /// Does all that can be done without the network; returns the wait that is to follow.
    pub(crate) fn prepare(&mut self) -> Wait {
        self.sender.begin_turn();
        let has_backlog = self.handle_messages() == MESSAGES_PER_TURN;
        self.fire_due();
        self.tell_load();
        let until = if has_backlog { Some(Instant::ZERO) } else { self.next_due() };
        let now = self.clock.now();
        self.count_busy(now);
        let timeout = until.map(|until| until.saturating_since(now));
        let pause = if self.may_gather { self.pause } else { Duration::ZERO };
        Wait::new(until, timeout, pause)
    }

    /// Reads the sockets that the wait found ready.
    pub(crate) fn resume(&mut self, wait: Wait, events: &Events) {
        self.meter.end_wait(self.clock.now(), wait.until());
        self.shared.counters.wakeups.add(1);
        self.may_gather = events.len() > 0 && !events.is_full();
        let is_crowd = events.len() >= CROWD_MIN;
        // What was sent since the last turn is no part of the work of reading.
        self.sender.begin_share();
        for index in 0..events.len() {
            match events.token(index) {
                WAKE => self.shared.waker.clear(),
                token => self.receive(EndpointKey::from_token(token), is_crowd),
            }
        }
        self.go_round();
    }

    /// Handles what was queued before the end, and gives all endpoints back.
    pub(crate) fn finish(mut self) -> Vec<(EndpointKey, E)> {
        for _ in 0..self.shared.commands_max {
            let Ok(message) = self.messages.try_recv() else { break };
            self.handle_message(message);
        }
        self.table.drain()
    }

    /// Returns when there is something to do at the latest.
    fn next_due(&self) -> Option<Instant> {
        if self.table.places() == 0 {
            return None;
        }
        let load_due = self.meter.due();
        let round_due = self.round.as_ref().map_or(load_due, Round::due);
        let deadline = self.deadlines.next().map_or(load_due, |(deadline, _)| deadline);
        Some(deadline.min(load_due).min(round_due))
    }

    fn count_busy(&mut self, now: Instant) {
        let busy = self.meter.count_busy(now).as_nanos();
        self.shared.counters.busy_nanos.add(u64::try_from(busy).unwrap_or(u64::MAX));
    }

    /// Tells all endpoints how busy the thread is, if it is time to.
    fn tell_load(&mut self) {
        let now = self.clock.now();
        if now < self.meter.due() {
            return;
        }
        self.count_busy(now);
        let counters = &self.shared.counters;
        let load =
            self.meter.take(now, counters.datagrams_in.value(), counters.datagrams_out.value());
        let many = load.interval.as_micros() / MANY_EVERY.as_micros();
        let has_many = u128::from(load.datagrams_in) >= many;
        let mut patience = self.gather;
        for index in 0..self.table.places() {
            let Some(slot) = self.table.at(index) else { continue };
            slot.parts.1.handle_load(now, &load);
            patience = patience.min(slot.parts.1.patience());
            self.arm(index, Instant::ZERO);
        }
        let is_busy = has_many || load.busy * BUSY_ONE_IN >= load.interval;
        let is_worth_it = is_busy || !self.gather_when_busy;
        self.pause = if is_worth_it { patience } else { Duration::ZERO };
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
            let late = now.saturating_since(deadline);
            self.shared.counters.lateness.record(late);
            self.meter.record_late(late);
            self.call(index, again, |endpoint, outgoing| endpoint.handle_timeout(now, outgoing));
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
        call(endpoint, &mut self.sender.outgoing(socket, &mut slot.gso, &self.shared.counters));
        self.settle(index, not_before);
    }

    /// Sends what an endpoint wrote, tells it so, and notes its next deadline.
    fn settle(&mut self, index: u32, not_before: Instant) {
        let Some(slot) = self.table.at(index) else { return };
        let (socket, endpoint) = &mut *slot.parts;
        self.sender.outgoing(socket, &mut slot.gso, &self.shared.counters).flush();
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

/// Ready sockets from which on it pays to ask each for no more than it is likely to hold; among
/// fewer, the futile attempts cost nothing that matters.
const CROWD_MIN: usize = 8;

/// A thread that is busy for one part of so many lets datagrams gather. Chosen: below a tenth, being
/// woken more often costs nobody anything.
const BUSY_ONE_IN: u32 = 10;

/// So does one that datagrams come to this often: being woken for each costs more than each. Chosen: what
/// 10,000 silent members send is gathered.
const MANY_EVERY: Duration = Duration::from_millis(1);

/// Queued messages handled in a turn: chosen so that a full queue takes a few turns, each of which
/// looks at deadlines.
const MESSAGES_PER_TURN: usize = 64;
