//! One tick sent to thousands of sockets by one driver, and received by another.
//!
//! In turn with the driver and on its core runs the floor, to the same sockets: whatever else the
//! machine does slows both, and their ratio is what the driver adds to the kernel's work.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};
use sabha_transport::{
    Clock, DriverConfig, DriverHandle, DriverKind, Endpoint, MediaSocket, raise_descriptor_limit,
    start_driver,
};

use crate::{CORE, floor, thread_cpu};

/// Sends datagrams to each sink on every tick.
struct Fan {
    sinks: Vec<SocketAddr>,
    /// Datagrams for each sink.
    segments: usize,
    next_tick: Instant,
    ticks: u32,
    cpu_at_start: Duration,
    /// Told the processor time after the last tick.
    done: Sender<Duration>,
}

impl Endpoint for Fan {
    type Command = ();

    fn handle_datagram(&mut self, _now: Instant, _datagram: Datagram<'_>, _: &mut impl Transmit) {}

    fn handle_command(&mut self, _now: Instant, (): (), _out: &mut impl Transmit) {}

    fn handle_timeout(&mut self, _now: Instant, out: &mut impl Transmit) {
        if self.ticks == TICKS.start {
            self.cpu_at_start = thread_cpu();
        }
        if self.ticks == TICKS.end {
            self.done.send(thread_cpu() - self.cpu_at_start).unwrap();
        }
        self.ticks += 1;
        self.next_tick += PERIOD;
        if self.ticks > TICKS.end {
            return;
        }
        for sink in &self.sinks {
            for _ in 0..self.segments {
                out.transmit(*sink, |slot| {
                    slot[..DATAGRAM.len()].copy_from_slice(&DATAGRAM);
                    DATAGRAM.len()
                });
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (self.ticks <= TICKS.end).then_some(self.next_tick)
    }

    fn handle_sent(&mut self, _now: Instant) {}
}

/// Takes what comes; tells its thread's processor time when asked.
struct Sink;

impl Endpoint for Sink {
    type Command = Sender<Duration>;

    fn handle_datagram(&mut self, _now: Instant, _datagram: Datagram<'_>, _: &mut impl Transmit) {}

    fn handle_command(&mut self, _now: Instant, ask: Self::Command, _out: &mut impl Transmit) {
        ask.send(thread_cpu()).unwrap();
    }

    fn handle_timeout(&mut self, _now: Instant, _out: &mut impl Transmit) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_sent(&mut self, _now: Instant) {}
}

/// Runs driver and floor in turn, against sinks that are read as `reading` says, and prints a line.
pub fn measure(kind: DriverKind, sinks: usize, segments: usize, reading: DriverConfig) {
    raise_descriptor_limit().unwrap();
    let clock = Clock::process();
    let reads = match reading.rounds {
        Some(every) => format!("read every {every:?}"),
        None => format!("gathering for {:?}", reading.gather),
    };
    let config = DriverConfig { core: Some(0), real_time: true, ..reading };
    let (receiver, name) = start_driver(kind, config, clock).unwrap();
    let mut addrs = Vec::new();
    let mut last = None;
    for _ in 0..sinks {
        let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        addrs.push(socket.local_addr().unwrap());
        last = Some(add(&receiver, socket));
    }
    let cpu_of_receiver = || {
        let (ask, answer) = mpsc::channel();
        receiver.send(last.unwrap(), ask).unwrap();
        answer.recv().unwrap()
    };
    let (receiving_before, received_before) = (cpu_of_receiver(), receiver.counters());
    let first = clock.now() + PERIOD;
    let (fan, done) = start_fan(kind, &addrs, segments, first);
    let floor_first = first + PERIOD / 2;
    let floor = std::thread::scope(|scope| {
        let run = || floor::run(&addrs, &DATAGRAM, segments, clock, floor_first, PERIOD, TICKS);
        scope.spawn(run).join().unwrap()
    });
    let fan_cpu = done.recv().unwrap();
    // Driver and floor have sent this many each, the ticks of the warm-up included.
    let sent_in_all = 2 * u64::from(TICKS.end) * (sinks * segments) as u64;
    let is_drained = |receiver: &DriverHandle<Sink>| {
        receiver.counters().datagrams_in - received_before.datagrams_in == sent_in_all
    };
    while !is_drained(&receiver) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (receiving, received) = (cpu_of_receiver() - receiving_before, receiver.counters());
    let (sent, lateness) = (fan.counters(), fan.counters().lateness);
    let datagrams = (TICKS.len() * sinks * segments) as f64;
    let taken = received.datagrams_in - received_before.datagrams_in;
    println!(
        "fan, {name}, {sinks} sinks, {segments} at a time, {reads}: {:.2} µs for \
         each datagram sent, {:.2} times the floor of {:.2}; {:.2} µs for each of {taken} received in {} calls after {} waits; {} calls, \
         lateness p99 {:?}",
        micros(fan_cpu) / datagrams,
        fan_cpu.as_secs_f64() / floor.as_secs_f64(),
        micros(floor) / datagrams,
        micros(receiving) / taken as f64,
        received.syscalls_in - received_before.syscalls_in,
        received.wakeups - received_before.wakeups,
        sent.syscalls_out,
        lateness.quantile(0.99),
    );
}

fn add(receiver: &DriverHandle<Sink>, socket: MediaSocket) -> sabha_transport::EndpointKey {
    let mut waiting = (socket, Sink);
    loop {
        match receiver.add(waiting.0, waiting.1) {
            Ok(key) => return key,
            // The queue is full for a moment.
            Err(refused) => waiting = *refused.returned,
        }
        std::thread::yield_now();
    }
}

fn start_fan(
    kind: DriverKind,
    addrs: &[SocketAddr],
    segments: usize,
    first: Instant,
) -> (DriverHandle<Fan>, Receiver<Duration>) {
    let config = DriverConfig { core: Some(CORE), real_time: true, ..DriverConfig::default() };
    let (fan, _) = start_driver(kind, config, Clock::process()).unwrap();
    let (done, is_done) = mpsc::channel();
    let sinks = addrs.to_vec();
    let cpu_at_start = Duration::ZERO;
    let endpoint = Fan { sinks, segments, next_tick: first, ticks: 0, cpu_at_start, done };
    let socket = MediaSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    fan.add(socket, endpoint).unwrap();
    (fan, is_done)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A packet of a 64 kbit/s mix, protected.
const DATAGRAM: [u8; 200] = [5; 200];

/// Two ticks of 20 ms: one for the driver, one for the floor.
const PERIOD: Duration = Duration::from_millis(40);

/// The ticks that are measured, after those of the warm-up.
const TICKS: std::ops::Range<u32> = 20..145;
