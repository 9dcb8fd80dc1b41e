//! An endpoint behind a bad network.

use std::net::SocketAddr;

use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};
use sabha_transport::{Endpoint, Load};

use super::link::Link;
use super::{LinkCounters, NetworkPlan};
use crate::random::Random;

/// An endpoint and the network between it and its socket.
///
/// What it sends counts as taken by the kernel at once, and what it receives as received when the
/// bad network hands it over: so every delay measured holds that network's part. Without a network
/// each call goes straight through.
pub struct ImpairedEndpoint<E> {
    inner: E,
    network: Option<Box<Network>>,
}

/// A network, both ways.
struct Network {
    plan: NetworkPlan,
    begin: Instant,
    /// Changes of the plan that have happened.
    changed: usize,
    sending: Link,
    receiving: Link,
}

impl<E: Endpoint> ImpairedEndpoint<E> {
    /// Puts an endpoint on its socket as it is.
    pub fn clean(inner: E) -> Self {
        Self { inner, network: None }
    }

    /// Puts an endpoint behind a network whose changes count from `begin`.
    pub fn new(inner: E, plan: NetworkPlan, begin: Instant, seed: u64) -> Self {
        let link = |purpose| Link::new(plan.conditions, Random::new(seed, purpose));
        let (sending, receiving) = (link(SENDING), link(RECEIVING));
        let network = Network { plan, begin, changed: 0, sending, receiving };
        Self { inner, network: Some(Box::new(network)) }
    }

    /// Returns the endpoint.
    pub fn inner(&self) -> &E {
        &self.inner
    }

    /// Gives the endpoint up; what is on its way is lost.
    pub fn into_inner(self) -> E {
        self.inner
    }

    /// Returns what became of what was sent and of what was received; nothing without a network.
    pub fn counters(&self) -> (LinkCounters, LinkCounters) {
        let counters =
            |network: &Network| (network.sending.counters(), network.receiving.counters());
        self.network.as_deref().map_or_else(Default::default, counters)
    }
}

impl Network {
    /// Makes the changes that are due.
    fn change(&mut self, now: Instant) {
        while let Some((after, change)) = self.plan.changes.get(self.changed) {
            let at = self.begin + *after;
            if at > now {
                return;
            }
            self.sending.change(at, *change);
            self.receiving.change(at, *change);
            self.changed += 1;
        }
    }

    /// Lets an endpoint do something whose datagrams go into the network.
    fn call<E: Endpoint>(
        &mut self,
        now: Instant,
        inner: &mut E,
        work: impl FnOnce(&mut E, &mut Entrance<'_>),
    ) {
        let mut entrance = Entrance { link: &mut self.sending, now, has_sent: false };
        work(inner, &mut entrance);
        if entrance.has_sent {
            inner.handle_sent(now);
        }
    }

    /// Hands the endpoint what has arrived.
    fn deliver<E: Endpoint>(&mut self, now: Instant, inner: &mut E) {
        while let Some(mut waiting) = self.receiving.pop_due(now) {
            let (from, received_at) = (waiting.peer, waiting.due);
            let datagram = Datagram { from, received_at, bytes: waiting.bytes_mut() };
            self.call(now, inner, |inner, entrance| {
                inner.handle_datagram(now, datagram, entrance);
            });
            self.receiving.give_back(waiting);
        }
    }

    /// Hands the socket what has come through.
    fn send(&mut self, now: Instant, transmit: &mut impl Transmit) {
        while let Some(waiting) = self.sending.pop_due(now) {
            let bytes = waiting.bytes();
            transmit.transmit(waiting.peer, |slot| {
                slot[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            });
            self.sending.give_back(waiting);
        }
    }
}

impl<E: Endpoint> Endpoint for ImpairedEndpoint<E> {
    type Command = E::Command;

    fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        transmit: &mut impl Transmit,
    ) {
        let Some(network) = &mut self.network else {
            return self.inner.handle_datagram(now, datagram, transmit);
        };
        network.change(now);
        network.receiving.take(datagram.received_at, datagram.from, datagram.bytes);
        network.deliver(now, &mut self.inner);
        network.send(now, transmit);
    }

    fn handle_command(
        &mut self,
        now: Instant,
        command: Self::Command,
        transmit: &mut impl Transmit,
    ) {
        let Some(network) = &mut self.network else {
            return self.inner.handle_command(now, command, transmit);
        };
        network.change(now);
        network.call(now, &mut self.inner, |inner, entrance| {
            inner.handle_command(now, command, entrance);
        });
        network.send(now, transmit);
    }

    fn handle_timeout(&mut self, now: Instant, transmit: &mut impl Transmit) {
        let Some(network) = &mut self.network else {
            return self.inner.handle_timeout(now, transmit);
        };
        network.change(now);
        network.deliver(now, &mut self.inner);
        if self.inner.poll_timeout().is_some_and(|due| due <= now) {
            network.call(now, &mut self.inner, |inner, entrance| {
                inner.handle_timeout(now, entrance);
            });
        }
        network.send(now, transmit);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let next = self.inner.poll_timeout();
        let Some(network) = &self.network else { return next };
        [next, network.sending.next(), network.receiving.next()].into_iter().flatten().min()
    }

    fn handle_sent(&mut self, now: Instant) {
        if self.network.is_none() {
            self.inner.handle_sent(now);
        }
    }

    fn handle_load(&mut self, now: Instant, load: &Load) {
        self.inner.handle_load(now, load);
    }
}

/// Where an endpoint's datagrams enter the network.
struct Entrance<'a> {
    link: &'a mut Link,
    now: Instant,
    has_sent: bool,
}

impl Transmit for Entrance<'_> {
    fn transmit(&mut self, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        let mut slot = [0; DATAGRAM_SIZE_MAX];
        let length = write(&mut slot);
        if length > 0 {
            self.link.take(self.now, to, &slot[..length]);
            self.has_sent = true;
        }
    }
}

/// Purposes of the seeds: the directions are independent.
const SENDING: u64 = 1;
const RECEIVING: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    /// Sends a counter each 20 ms, and notes what it is told.
    #[derive(Default)]
    struct Probe {
        next: Instant,
        sent: u8,
        kernel_took: Vec<Instant>,
        /// Stamp and time of the call.
        received: Vec<(Instant, Instant, u8)>,
    }

    impl Endpoint for Probe {
        type Command = ();

        fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>, _: &mut impl Transmit) {
            self.received.push((datagram.received_at, now, datagram.bytes[0]));
        }

        fn handle_command(&mut self, _: Instant, (): (), transmit: &mut impl Transmit) {
            transmit.transmit(PEER, |_| 0);
        }

        fn handle_timeout(&mut self, now: Instant, transmit: &mut impl Transmit) {
            assert!(now >= self.next, "called before its time");
            self.sent += 1;
            let sent = self.sent;
            transmit.transmit(PEER, |slot| {
                slot[0] = sent;
                1
            });
            self.next += std::time::Duration::from_millis(20);
        }

        fn poll_timeout(&self) -> Option<Instant> {
            Some(self.next)
        }

        fn handle_sent(&mut self, now: Instant) {
            self.kernel_took.push(now);
        }
    }

    #[derive(Default)]
    struct Wire(Vec<u8>);

    impl Transmit for Wire {
        fn transmit(&mut self, _: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
            let mut slot = [0; DATAGRAM_SIZE_MAX];
            if write(&mut slot) > 0 {
                self.0.push(slot[0]);
            }
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(1_000_000 + ms)
    }

    fn probe() -> Probe {
        Probe { next: at(0), ..Probe::default() }
    }

    fn behind(plan: &str) -> ImpairedEndpoint<Probe> {
        ImpairedEndpoint::new(probe(), plan.parse().unwrap(), at(0), 5)
    }

    fn hand_over(endpoint: &mut ImpairedEndpoint<Probe>, now: Instant, byte: u8) {
        let datagram = Datagram { from: PEER, received_at: now, bytes: &mut [byte] };
        endpoint.handle_datagram(now, datagram, &mut Wire::default());
    }

    #[test]
    fn what_is_sent_comes_out_later_and_counts_as_taken_at_once() {
        let (mut endpoint, mut wire) = (behind("30"), Wire::default());
        endpoint.handle_timeout(at(0), &mut wire);
        endpoint.handle_timeout(at(20), &mut wire);
        assert!(wire.0.is_empty());
        assert_eq!(endpoint.inner().kernel_took, [at(0), at(20)]);
        assert_eq!(endpoint.poll_timeout(), Some(at(30)));
        endpoint.handle_timeout(at(30), &mut wire);
        endpoint.handle_sent(at(31));
        assert_eq!((wire.0, endpoint.inner().sent), (vec![1], 2), "and its own time is not yet");
        assert_eq!(endpoint.inner().kernel_took.len(), 2);
    }

    #[test]
    fn delayed_datagram_is_stamped_with_the_time_it_is_handed_over() {
        let mut endpoint = behind("30");
        hand_over(&mut endpoint, at(5), 9);
        assert!(endpoint.inner().received.is_empty());
        endpoint.handle_timeout(at(36), &mut Wire::default());
        assert_eq!(endpoint.inner().received, [(at(35), at(36), 9)]);
    }

    #[test]
    fn changes_happen_at_their_times_and_in_both_directions() {
        let (mut endpoint, mut wire) = (behind("0; 0 0 100 at 1; 0 at 2"), Wire::default());
        for ms in (0..3_000).step_by(20) {
            endpoint.handle_timeout(at(ms), &mut wire);
            hand_over(&mut endpoint, at(ms), 1);
        }
        assert_eq!((wire.0.len(), endpoint.inner().received.len()), (100, 100));
        let (sent, received) = endpoint.counters();
        assert_eq!((sent.lost, received.lost, sent.taken), (50, 50, 150));
    }

    #[test]
    fn clean_endpoint_is_called_as_it_is() {
        let (mut endpoint, mut wire) = (ImpairedEndpoint::clean(probe()), Wire::default());
        endpoint.handle_timeout(at(0), &mut wire);
        endpoint.handle_sent(at(1));
        hand_over(&mut endpoint, at(2), 3);
        assert_eq!(wire.0, [1]);
        assert_eq!(endpoint.inner().kernel_took, [at(1)]);
        assert_eq!(endpoint.inner().received, [(at(2), at(2), 3)]);
        assert_eq!(endpoint.poll_timeout(), Some(at(20)));
        assert_eq!(endpoint.counters(), Default::default());
    }
}
