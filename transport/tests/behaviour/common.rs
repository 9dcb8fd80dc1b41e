//! An endpoint that tells the test what happens to it, and does what the test orders.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::Duration;

use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};
use sabha_transport::{
    Clock, DriverConfig, DriverHandle, Endpoint, EndpointKey, Load, MediaSocket, start_driver,
};

use crate::KIND;

/// How long a test waits for what must happen: generous, as the machine is shared.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub enum Event {
    Datagram { now: Instant, from: SocketAddr, received_at: Instant, bytes: Vec<u8> },
    Noted(u64),
    Timeout { now: Instant, deadline: Instant },
    Sent(Instant),
    Load(Load),
}

pub enum Order {
    /// Report the number back.
    Note(u64),
    /// Set or clear the deadline.
    Deadline(Option<Instant>),
    /// Send datagrams to an address.
    Send { to: SocketAddr, datagrams: Vec<Vec<u8>> },
    /// Say that the thread is here, and stay until the test lets go.
    Block { entered: SyncSender<()>, release: Receiver<()> },
}

pub struct Probe {
    pub events: Sender<Event>,
    pub is_echo: bool,
    /// Report the load too.
    pub is_told_load: bool,
    pub deadline: Option<Instant>,
    /// Set the next deadline this long after each timeout.
    pub interval: Option<Duration>,
    /// Send so many datagrams to this address at each timeout.
    pub at_timeout: Option<(SocketAddr, usize)>,
    pub datagrams: u64,
}

impl Probe {
    pub fn new() -> (Self, Receiver<Event>) {
        let (events, seen) = mpsc::channel();
        let probe = Self {
            events,
            is_echo: false,
            is_told_load: false,
            deadline: None,
            interval: None,
            at_timeout: None,
            datagrams: 0,
        };
        (probe, seen)
    }

    /// An endpoint that returns every datagram and tells nothing.
    pub fn echo() -> Self {
        Self { is_echo: true, ..Self::new().0 }
    }

    fn tell(&self, event: Event) {
        // A test that has seen enough drops its receiver.
        let _ = self.events.send(event);
    }
}

impl Endpoint for Probe {
    type Command = Order;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>, out: &mut impl Transmit) {
        let Datagram { from, received_at, bytes } = datagram;
        self.datagrams += 1;
        if self.is_echo {
            out.transmit(from, |slot| {
                slot[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            });
        }
        self.tell(Event::Datagram { now, from, received_at, bytes: bytes.to_vec() });
    }

    fn handle_command(&mut self, _now: Instant, order: Order, out: &mut impl Transmit) {
        match order {
            Order::Note(number) => self.tell(Event::Noted(number)),
            Order::Deadline(deadline) => self.deadline = deadline,
            Order::Send { to, datagrams } => {
                for bytes in datagrams {
                    out.transmit(to, |slot| {
                        slot[..bytes.len()].copy_from_slice(&bytes);
                        bytes.len()
                    });
                }
            }
            Order::Block { entered, release } => {
                let _ = entered.send(());
                let _ = release.recv();
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut impl Transmit) {
        if let Some((to, count)) = self.at_timeout {
            (0..count).for_each(|_| out.transmit(to, |_| 100));
        }
        let deadline = self.deadline.expect("called only if there is a deadline");
        self.deadline = self.interval.map(|interval| now + interval);
        self.tell(Event::Timeout { now, deadline });
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle_sent(&mut self, now: Instant) {
        self.tell(Event::Sent(now));
    }

    fn handle_load(&mut self, _now: Instant, load: &Load) {
        if self.is_told_load {
            self.tell(Event::Load(*load));
        }
    }
}

/// Starts the back end that this binary tests; on one that is refused here, `poll` stands in.
pub fn start(config: DriverConfig) -> DriverHandle<Probe> {
    start_driver(KIND, config, Clock::process()).unwrap().0
}

pub fn bind(addr: &str) -> (MediaSocket, SocketAddr) {
    let socket = MediaSocket::bind(addr.parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// A plain socket that waits as long as the tests' patience.
pub fn client(addr: &str) -> UdpSocket {
    let client = UdpSocket::bind(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Waits for the next event that `pick` accepts.
pub fn wait_for<T>(events: &Receiver<Event>, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        let left = PATIENCE.checked_sub(start.elapsed()).expect("the event comes in time");
        if let Some(found) = pick(events.recv_timeout(left).expect("the event comes in time")) {
            return found;
        }
    }
}

/// Holds up the thread; it goes on when the returned sender is dropped.
pub fn block(driver: &DriverHandle<Probe>, key: EndpointKey) -> mpsc::Sender<()> {
    let (entered, is_in) = mpsc::sync_channel(1);
    let (let_go, release) = mpsc::channel();
    driver.send(key, Order::Block { entered, release }).unwrap();
    is_in.recv_timeout(PATIENCE).unwrap();
    let_go
}
