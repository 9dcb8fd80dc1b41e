//! A socket without a driver sends a batch with one call.

use std::io;
use std::net::SocketAddr;

use crate::common::{bind, client};
use sabha_transport::{BATCH_MAX, MediaSocket, SendHeaders};

fn send(socket: &MediaSocket, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize> {
    SendHeaders::new().send_batch(socket, datagrams)
}

#[test]
fn batch_reaches_each_target_in_order() {
    let (socket, from) = bind("127.0.0.1:0");
    let sinks = [client("127.0.0.1:0"), client("127.0.0.1:0")];
    let bytes: Vec<[u8; 2]> = (0..BATCH_MAX as u16).map(u16::to_be_bytes).collect();
    let datagrams: Vec<(SocketAddr, &[u8])> = bytes
        .iter()
        .enumerate()
        .map(|(place, bytes)| (sinks[place % 2].local_addr().unwrap(), &bytes[..]))
        .collect();
    assert_eq!(send(&socket, &datagrams).unwrap(), BATCH_MAX);
    for (place, bytes) in bytes.iter().enumerate() {
        let mut got = [0; 16];
        let (len, seen_from) = sinks[place % 2].recv_from(&mut got).unwrap();
        assert_eq!((&got[..len], seen_from), (&bytes[..], from));
    }
}

#[test]
fn batch_takes_no_more_than_its_limit() {
    let (socket, _) = bind("127.0.0.1:0");
    let sink = client("127.0.0.1:0");
    let datagrams = vec![(sink.local_addr().unwrap(), &b"x"[..]); BATCH_MAX + 1];
    assert_eq!(send(&socket, &datagrams).unwrap(), BATCH_MAX);
    assert_eq!(send(&socket, &[]).unwrap(), 0);
}

#[test]
fn batch_that_cannot_leave_is_refused() {
    let (socket, _) = bind("127.0.0.1:0");
    let nowhere: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
    assert!(send(&socket, &[(nowhere, b"x")]).is_err());
}
