//! Datagrams go in and out over loopback.

use std::collections::HashSet;
use std::time::Duration;

use crate::common::{Event, Order, PATIENCE, Probe, bind, client, start, wait_for};
use sabha_media::transmit::DATAGRAM_SIZE_MAX;
use sabha_transport::{Clock, DriverConfig, raise_descriptor_limit};

fn echo_over(addr: &str) {
    let driver = start(DriverConfig::default());
    let (socket, to) = bind(addr);
    driver.add(socket, Probe::echo()).unwrap();
    let client = client(addr);
    let mut reply = [0; DATAGRAM_SIZE_MAX + 1];
    for len in [1, 200, DATAGRAM_SIZE_MAX] {
        let sent: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        client.send_to(&sent, to).unwrap();
        let (got, from) = client.recv_from(&mut reply).unwrap();
        assert_eq!((from, &reply[..got]), (to, &sent[..]));
    }
    drop(driver);
}

#[test]
fn datagrams_are_echoed_over_ipv4() {
    echo_over("127.0.0.1:0");
}

#[test]
fn datagrams_are_echoed_over_ipv6() {
    echo_over("[::1]:0");
}

#[test]
fn kernel_stamp_lies_between_sending_and_now() {
    let driver = start(DriverConfig::default());
    let (socket, to) = bind("127.0.0.1:0");
    let (probe, events) = Probe::new();
    let key = driver.add(socket, probe).unwrap();
    // The thread is held up, so that the datagram waits in the socket for a known time.
    let (entered, is_in) = std::sync::mpsc::sync_channel(1);
    let (let_go, release) = std::sync::mpsc::channel();
    driver.send(key, Order::Block { entered, release }).unwrap();
    is_in.recv_timeout(PATIENCE).unwrap();
    let clock = Clock::process();
    let before = clock.now();
    client("127.0.0.1:0").send_to(b"stamp", to).unwrap();
    let after = clock.now();
    let hold = Duration::from_millis(20);
    while clock.now().saturating_since(after) < hold {
        std::thread::yield_now();
    }
    let_go.send(()).unwrap();

    let (now, received_at) = wait_for(&events, |event| match event {
        Event::Datagram { now, received_at, .. } => Some((now, received_at)),
        _ => None,
    });
    // CLOCK_REALTIME may be slewed against CLOCK_MONOTONIC, and is read beside it, not with it.
    let slack = Duration::from_millis(1);
    assert!(received_at + hold <= now + slack, "the stamp is the kernel's, not the reader's");
    assert!(received_at + slack >= before && received_at <= after + slack);
}

#[test]
fn sender_learns_when_its_datagrams_left() {
    let driver = start(DriverConfig::default());
    let (socket, _) = bind("127.0.0.1:0");
    let (probe, events) = Probe::new();
    let key = driver.add(socket, probe).unwrap();
    let sink = client("127.0.0.1:0");
    let to = sink.local_addr().unwrap();
    driver.send(key, Order::Send { to, datagrams: vec![vec![0; 0]; 3] }).unwrap();
    driver.send(key, Order::Note(1)).unwrap();
    let first = wait_for(&events, Some);
    assert!(matches!(first, Event::Noted(1)), "nothing was written, so nothing was sent");

    // More than one batch holds: one call, one report.
    let before = Clock::process().now();
    driver.send(key, Order::Send { to, datagrams: vec![vec![0; 10]; 600] }).unwrap();
    driver.send(key, Order::Note(2)).unwrap();
    let mut reports = 0;
    wait_for(&events, |event| match event {
        Event::Sent(now) => {
            assert!(now >= before);
            reports += 1;
            None
        }
        event => Some(event),
    });
    assert_eq!(reports, 1);
    let counters = driver.counters();
    assert_eq!((counters.datagrams_out, counters.bytes_out), (600, 6_000));
    assert!(counters.syscalls_out < 60, "sent in batches");
}

#[test]
fn address_of_the_other_family_is_counted_and_dropped() {
    for (from, to) in [("127.0.0.1:0", "[::1]:9"), ("[::1]:0", "127.0.0.1:9")] {
        let driver = start(DriverConfig::default());
        let (probe, events) = Probe::new();
        let key = driver.add(bind(from).0, probe).unwrap();
        driver
            .send(key, Order::Send { to: to.parse().unwrap(), datagrams: vec![vec![0; 1]; 2] })
            .unwrap();
        driver.send(key, Order::Note(1)).unwrap();
        assert!(matches!(wait_for(&events, Some), Event::Noted(1)));
        assert_eq!(driver.counters().dropped_unreachable, 2);
    }
}

#[test]
fn ten_thousand_datagrams_in_bursts_are_all_echoed() {
    const BURST: u32 = 100;
    let driver = start(DriverConfig { commands_max: 1, ..DriverConfig::default() });
    let (socket, to) = bind("127.0.0.1:0");
    driver.add(socket, Probe::echo()).unwrap();
    let client = client("127.0.0.1:0");
    let mut reply = [0; 16];
    for burst in 0..100 {
        let numbers = burst * BURST..(burst + 1) * BURST;
        for number in numbers.clone() {
            client.send_to(&number.to_be_bytes(), to).unwrap();
        }
        for number in numbers {
            let (len, _) = client.recv_from(&mut reply).unwrap();
            assert_eq!(&reply[..len], number.to_be_bytes(), "in order");
        }
    }
    let endpoints = driver.shutdown();
    assert_eq!(endpoints[0].1.datagrams, 10_000);
}

#[test]
fn one_driver_serves_a_thousand_sockets() {
    raise_descriptor_limit().unwrap();
    let driver = start(DriverConfig::default());
    let (mut addrs, mut keys) = (Vec::new(), HashSet::new());
    for _ in 0..1_000 {
        let (socket, addr) = bind("127.0.0.1:0");
        let mut probe = Probe::echo();
        probe.deadline = Some(Clock::process().now() + Duration::from_millis(1));
        probe.interval = Some(Duration::from_millis(20));
        assert!(keys.insert(driver.add(socket, probe).unwrap()), "keys are unique");
        addrs.push(addr);
    }
    let client = client("127.0.0.1:0");
    let mut reply = [0; 16];
    for window in addrs.chunks(50) {
        for addr in window {
            client.send_to(&addr.port().to_be_bytes(), addr).unwrap();
        }
        let mut missing: HashSet<_> = window.iter().copied().collect();
        while !missing.is_empty() {
            let (len, from) = client.recv_from(&mut reply).unwrap();
            assert_eq!(&reply[..len], from.port().to_be_bytes());
            assert!(missing.remove(&from), "one echo from each");
        }
    }
    let counters = driver.counters();
    assert!(counters.timeouts > 0);
    let endpoints = driver.shutdown();
    assert_eq!(endpoints.len(), 1_000);
    assert!(endpoints.iter().all(|(key, probe)| keys.contains(key) && probe.datagrams == 1));
}
