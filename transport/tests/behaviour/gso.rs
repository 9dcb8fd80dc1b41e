//! Datagrams to one address leave as one message, and arrive as they were.

use std::net::SocketAddr;

use sabha_transport::{BATCH_MAX, Counters, DriverConfig, SendHeaders};

use crate::common::{Event, Order, PATIENCE, Probe, bind, client, start, wait_for};

/// Three of a length and a shorter one: a run that the kernel cuts at its end too.
fn run() -> Vec<Vec<u8>> {
    vec![vec![1; 110], vec![2; 110], vec![3; 110], vec![4; 60]]
}

/// Lets a driver send datagrams to an address in one call; returns what it counted.
fn send(from: &str, to: SocketAddr, datagrams: Vec<Vec<u8>>) -> Counters {
    let driver = start(DriverConfig::default());
    let (socket, _) = bind(from);
    assert!(socket.is_gso(), "this kernel has UDP_SEGMENT");
    let key = driver.add(socket, Probe::echo()).unwrap();
    driver.send(key, Order::Send { to, datagrams }).unwrap();
    let sender = driver.sender().clone();
    driver.shutdown();
    sender.counters()
}

#[test]
fn run_arrives_as_its_datagrams_without_coalesced_receive() {
    for (from, to) in
        [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0"), ("[::]:0", "127.0.0.1:0")]
    {
        let sink = client(to);
        let counters = send(from, mapped(from, sink.local_addr().unwrap()), run());
        assert_eq!((counters.syscalls_out, counters.datagrams_out), (1, 4));
        assert_eq!((counters.gso_messages, counters.gso_segments), (1, 4));
        assert_eq!((counters.gso_fallbacks, counters.bytes_out), (0, 390));
        for expected in run() {
            let mut got = [0; 1_500];
            let len = sink.recv(&mut got).unwrap();
            assert_eq!(got[..len], expected);
        }
    }
}

/// An IPv4 address as a socket of both families is to be told it.
fn mapped(from: &str, to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(v4) if from.starts_with('[') => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        to => to,
    }
}

/// Lets one driver send to another; checks what arrives, and returns what the other counted.
fn receive_coalesced(datagrams: &[Vec<u8>]) -> Counters {
    let receiver = start(DriverConfig::default());
    let (socket, to) = bind("127.0.0.1:0");
    assert!(socket.is_gro(), "this kernel has UDP_GRO");
    let (probe, events) = Probe::new();
    receiver.add(socket, probe).unwrap();
    send("127.0.0.1:0", to, datagrams.to_vec());
    for expected in datagrams {
        let bytes = wait_for(&events, |event| match event {
            Event::Datagram { bytes, .. } => Some(bytes),
            _ => None,
        });
        assert_eq!(bytes, *expected);
    }
    let sender = receiver.sender().clone();
    receiver.shutdown();
    sender.counters()
}

#[test]
fn run_arrives_as_its_datagrams_with_coalesced_receive() {
    let counters = receive_coalesced(&run());
    assert_eq!((counters.messages_in, counters.datagrams_in), (1, 4), "one message, taken apart");
}

#[test]
fn more_datagrams_than_a_message_or_a_batch_holds_arrive_in_order() {
    let datagrams: Vec<Vec<u8>> =
        (0..BATCH_MAX as u16 + 100).map(|number| number.to_be_bytes().to_vec()).collect();
    let counters = receive_coalesced(&datagrams);
    assert_eq!(counters.datagrams_in, datagrams.len() as u64);
}

#[test]
fn datagrams_to_different_addresses_are_not_gathered() {
    let driver = start(DriverConfig::default());
    let (sender, _) = bind("127.0.0.1:0");
    let key = driver.add(sender, Probe::echo()).unwrap();
    let sinks = [client("127.0.0.1:0"), client("127.0.0.1:0")];
    for sink in &sinks {
        let to = sink.local_addr().unwrap();
        driver.send(key, Order::Send { to, datagrams: vec![vec![1; 100]] }).unwrap();
    }
    for sink in &sinks {
        assert_eq!(sink.recv(&mut [0; 200]).unwrap(), 100);
    }
    let (removed, counters) = (driver.remove(key).unwrap(), driver.sender().clone());
    removed.recv_timeout(PATIENCE).unwrap();
    assert_eq!(counters.counters().gso_messages, 0);
}

#[test]
fn run_of_full_datagrams_fits_a_message() {
    let sink = client("127.0.0.1:0");
    let datagrams = vec![vec![7; 1_500]; 50];
    let counters = send("127.0.0.1:0", sink.local_addr().unwrap(), datagrams);
    assert_eq!((counters.datagrams_out, counters.gso_fallbacks), (50, 0));
    assert_eq!((counters.gso_messages, counters.gso_segments), (2, 50));
}

#[test]
fn program_without_a_driver_gathers_too() {
    let (socket, _) = bind("127.0.0.1:0");
    let receiver = start(DriverConfig::default());
    let (sink, to) = bind("127.0.0.1:0");
    let (probe, events) = Probe::new();
    receiver.add(sink, probe).unwrap();
    let (run, mut headers) = (run(), SendHeaders::new());
    let datagrams: Vec<(SocketAddr, &[u8])> = run.iter().map(|bytes| (to, &bytes[..])).collect();
    // A single datagram afterwards: nothing is left of the run in the headers.
    for count in [4, 1] {
        assert_eq!(headers.send_batch(&socket, &datagrams[..count]).unwrap(), count);
        for expected in &run[..count] {
            let bytes = wait_for(&events, |event| match event {
                Event::Datagram { bytes, .. } => Some(bytes),
                _ => None,
            });
            assert_eq!(bytes, *expected);
        }
    }
    let sender = receiver.sender().clone();
    receiver.shutdown();
    assert_eq!(sender.counters().messages_in, 2);
}
