//! What the kernel coalesces is split; what does not fit is dropped and counted.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use crate::common::{Event, Probe, bind, client, start, wait_for};
use sabha_media::transmit::DATAGRAM_SIZE_MAX;
use sabha_transport::DriverConfig;

/// Lets the kernel cut what `socket` sends into datagrams of `size` bytes.
fn segment(socket: &UdpSocket, size: libc::c_int) {
    // SAFETY: the pointer is to a live int of the length given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const size).cast(),
            4,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn coalesced_over(addr: &str) {
    let driver = start(DriverConfig::default());
    let (socket, to) = bind(addr);
    let is_gro = socket.is_gro();
    let (mut probe, events) = Probe::new();
    // 56 datagrams and 56 echoes: deadlines are looked at in the middle of the message.
    probe.is_echo = true;
    driver.add(socket, probe).unwrap();
    let client = client(addr);
    segment(&client, 100);
    let sent: Vec<u8> = (0..5_537u32).map(|at| (at % 251) as u8).collect();
    client.send_to(&sent, to).unwrap();
    for expected in sent.chunks(100) {
        let (from, bytes) = wait_for(&events, |event| match event {
            Event::Datagram { from, bytes, .. } => Some((from, bytes)),
            _ => None,
        });
        assert_eq!((from, &bytes[..]), (client.local_addr().unwrap(), expected));
    }
    driver.shutdown();
    assert!(is_gro, "this kernel has UDP_GRO");
}

#[test]
fn coalesced_datagrams_are_split_over_ipv4() {
    coalesced_over("127.0.0.1:0");
}

#[test]
fn coalesced_datagrams_are_split_over_ipv6() {
    coalesced_over("[::1]:0");
}

#[test]
fn coalesced_datagrams_are_read_as_one_message() {
    let driver = start(DriverConfig::default());
    let (socket, to) = bind("127.0.0.1:0");
    let (probe, events) = Probe::new();
    driver.add(socket, probe).unwrap();
    let client = client("127.0.0.1:0");
    segment(&client, 1_200);
    client.send_to(&vec![7; 48_000], to).unwrap();
    client.send_to(b"end", to).unwrap();
    wait_for(&events, |event| match event {
        Event::Datagram { bytes, .. } => (bytes == b"end").then_some(()),
        _ => None,
    });
    // Complete once the thread has ended.
    let sender = driver.sender().clone();
    driver.shutdown();
    let counters = sender.counters();
    assert_eq!((counters.datagrams_in, counters.messages_in), (41, 2));
    assert_eq!(counters.bytes_in, 48_003);
}

#[test]
fn oversized_datagrams_are_counted_and_dropped() {
    let driver = start(DriverConfig::default());
    let (socket, to) = bind("127.0.0.1:0");
    let (probe, events) = Probe::new();
    driver.add(socket, probe).unwrap();
    let client = client("127.0.0.1:0");
    client.send_to(&[1; DATAGRAM_SIZE_MAX + 1], to).unwrap();
    client.send_to(&[2; 60_000], to).unwrap();
    client.send_to(&[], to).unwrap();
    client.send_to(&[3; DATAGRAM_SIZE_MAX], to).unwrap();
    let Event::Datagram { bytes, .. } = wait_for(&events, Some) else { panic!("a datagram") };
    assert_eq!(bytes, [3; DATAGRAM_SIZE_MAX], "only what fits arrives");
    let sender = driver.sender().clone();
    driver.shutdown();
    let counters = sender.counters();
    assert_eq!((counters.dropped_oversized, counters.dropped_empty), (2, 1));
    assert_eq!(counters.datagrams_in, 1);
}
