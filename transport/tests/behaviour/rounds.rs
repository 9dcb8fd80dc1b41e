//! Sockets that are read by the clock: all of them, in few wakes, and no deadline waits for it.

use std::time::Duration;

use sabha_transport::{Clock, DriverConfig};

use crate::common::{Event, Order, Probe, bind, client, start, wait_for};

#[test]
fn every_socket_is_read_each_round_whatever_waits_in_it() {
    // More than are read in a turn.
    const SOCKETS: usize = 600;
    const EVERY: Duration = Duration::from_millis(20);
    let driver = start(DriverConfig { rounds: Some(EVERY), ..Default::default() });
    let clock = Clock::process();
    let (before, began) = (driver.counters(), clock.now());
    let echoes: Vec<_> = (0..SOCKETS)
        .map(|_| {
            let (socket, addr) = bind("127.0.0.1:0");
            (driver.add(socket, Probe::echo()).unwrap(), addr)
        })
        .collect();
    let client = client("127.0.0.1:0");
    // One by one: what came in the midst of a round is for the next.
    for (at, (key, addr)) in echoes.iter().enumerate() {
        let waiting = 1 + at % 3;
        (0..waiting).for_each(|_| assert_eq!(client.send_to(&[0; 9], addr).unwrap(), 9));
        for _ in 0..waiting {
            assert_eq!(client.recv_from(&mut [0; 16]).unwrap(), (9, *addr));
        }
        if at % 7 == 0 {
            assert_eq!(driver.remove(*key).unwrap().recv().unwrap().datagrams, waiting as u64);
        }
    }
    let rounds = clock.now().saturating_since(began).as_nanos() / EVERY.as_nanos();
    let counters = driver.counters();
    let wakes = u128::from(counters.wakeups - before.wakeups);
    // Three turns a round; the load is told; each command wakes the thread, too.
    let commands = (SOCKETS + SOCKETS.div_ceil(7)) as u128;
    assert!(wakes <= 4 * rounds + commands + 10, "{wakes} wakes in {rounds} rounds");
    assert_eq!(counters.datagrams_in - before.datagrams_in, 2 * SOCKETS as u64);
}

#[test]
fn datagram_that_waited_for_its_round_bears_the_time_of_its_arrival() {
    const EVERY: Duration = Duration::from_millis(100);
    let driver = start(DriverConfig { rounds: Some(EVERY), ..Default::default() });
    let (probe, events) = Probe::new();
    let (socket, addr) = bind("127.0.0.1:0");
    driver.add(socket, probe).unwrap();
    let client = client("127.0.0.1:0");
    let exchange = || {
        client.send_to(b"now", addr).unwrap();
        // Over loopback it has arrived when the call is back.
        let sent = Clock::process().now();
        let (now, received_at) = wait_for(&events, |event| match event {
            Event::Datagram { now, received_at, .. } => Some((now, received_at)),
            _ => None,
        });
        (sent, received_at, now)
    };
    // Linux begins to stamp arrivals some time after the first socket asked for it; until then a
    // datagram bears the time of its reading (net/core/dev.c, `net_enable_timestamp`).
    exchange();
    let mut waited = Duration::ZERO;
    for _ in 0..3 {
        let (sent, received_at, now) = exchange();
        assert!(received_at <= sent + Duration::from_millis(1), "{received_at:?}, sent {sent:?}");
        waited = waited.max(now.saturating_since(received_at));
    }
    // Each was sent just after a round.
    assert!(waited >= EVERY / 2, "{waited:?}");
}

#[test]
fn deadline_between_two_rounds_is_not_kept_waiting() {
    let rounds = Some(Duration::from_secs(3_600));
    let driver = start(DriverConfig { rounds, ..Default::default() });
    let (probe, events) = Probe::new();
    let key = driver.add(bind("127.0.0.1:0").0, probe).unwrap();
    let at = Clock::process().now() + Duration::from_millis(5);
    driver.send(key, Order::Deadline(Some(at))).unwrap();
    let now = wait_for(&events, |event| match event {
        Event::Timeout { now, .. } => Some(now),
        _ => None,
    });
    assert!(now >= at);
}
