//! Each datagram that comes is sent to a few sockets.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};
use sabha_transport::{Clock, DriverConfig, DriverKind, Endpoint, MediaSocket, start_driver};

use crate::{CORE, thread_cpu};

/// Forwards each datagram to each sink, ticks every 20 ms, and notes its thread's processor time.
struct Forward {
    sinks: Vec<SocketAddr>,
    datagrams: u64,
    cpu_at_start: Duration,
    cpu: Duration,
    next_tick: Instant,
}

impl Endpoint for Forward {
    type Command = ();

    fn handle_datagram(&mut self, _now: Instant, datagram: Datagram<'_>, out: &mut impl Transmit) {
        self.datagrams += 1;
        if self.datagrams == WARM_UP {
            self.cpu_at_start = thread_cpu();
        }
        let bytes = datagram.bytes;
        for sink in &self.sinks {
            out.transmit(*sink, |slot| {
                slot[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            });
        }
    }

    fn handle_command(&mut self, _now: Instant, (): (), _out: &mut impl Transmit) {}

    fn handle_timeout(&mut self, now: Instant, _out: &mut impl Transmit) {
        self.next_tick = (self.next_tick + Duration::from_millis(20)).max(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.next_tick)
    }

    fn handle_sent(&mut self, _now: Instant) {
        self.cpu = thread_cpu();
    }
}

const WARM_UP: u64 = 2_000;

/// Runs one measurement and prints a line.
pub fn measure(kind: DriverKind, sinks: usize) {
    let sockets: Vec<_> = (0..sinks).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let clock = Clock::process();
    let forward = Forward {
        sinks: sockets.iter().map(|socket| socket.local_addr().unwrap()).collect(),
        datagrams: 0,
        cpu_at_start: Duration::ZERO,
        cpu: Duration::ZERO,
        next_tick: clock.now(),
    };
    let config =
        DriverConfig { core: Some(CORE), gather: Duration::ZERO, ..DriverConfig::default() };
    let (driver, name) = start_driver(kind, config, clock).unwrap();
    let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let to = socket.local_addr().unwrap();
    driver.add(socket, forward).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..1_000 {
        for _ in 0..20 {
            client.send_to(&[5; 160], to).unwrap();
        }
        for socket in &sockets {
            (0..20).for_each(|_| assert_eq!(socket.recv(&mut [0; 256]).unwrap(), 160));
        }
    }
    let sender = driver.sender().clone();
    let forward = driver.shutdown().remove(0).1;
    let counters = sender.counters();
    let sent = (forward.datagrams - WARM_UP) as f64 * sinks as f64;
    println!(
        "echo, {name}, {sinks} sinks: {:.2} µs for each datagram sent; {} sent in {} calls; \
         lateness p99 {:?}, max {:?}",
        (forward.cpu - forward.cpu_at_start).as_secs_f64() * 1e6 / sent,
        counters.datagrams_out,
        counters.syscalls_out,
        counters.lateness.quantile(0.99),
        counters.lateness.max,
    );
}
