//! Timeouts come on time, and nobody keeps them from coming.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::{Event, Order, Probe, bind, block, client, start, wait_for};
use sabha_media::time::Instant;
use sabha_transport::{Clock, DriverConfig};

#[test]
fn timeout_fires_not_before_its_deadline() {
    let driver = start(DriverConfig { core: Some(0), ..DriverConfig::default() });
    let (probe, events) = Probe::new();
    let key = driver.add(bind("127.0.0.1:0").0, probe).unwrap();
    for micros in [0, 1, 300, 5_000, 20_000] {
        let at = Clock::process().now() + Duration::from_micros(micros);
        driver.send(key, Order::Deadline(Some(at))).unwrap();
        let (now, deadline) = wait_for(&events, |event| match event {
            Event::Timeout { now, deadline } => Some((now, deadline)),
            _ => None,
        });
        assert_eq!(deadline, at);
        assert!(now >= at);
    }
    let counters = driver.counters();
    assert_eq!(counters.timeouts, 5);
    assert_eq!(counters.lateness.counts.iter().sum::<u64>(), 5);
}

#[test]
fn cleared_and_moved_deadlines_do_not_fire() {
    let driver = start(DriverConfig::default());
    let (probe, events) = Probe::new();
    let key = driver.add(bind("127.0.0.1:0").0, probe).unwrap();
    let now = Clock::process().now();
    let (soon, later) = (now + Duration::from_secs(600), now + Duration::from_millis(30));
    for deadline in [Some(soon), None, Some(soon), Some(later)] {
        driver.send(key, Order::Deadline(deadline)).unwrap();
    }
    let deadline = wait_for(&events, |event| match event {
        Event::Timeout { deadline, .. } => Some(deadline),
        _ => None,
    });
    assert_eq!(deadline, later);
    driver.send(key, Order::Note(1)).unwrap();
    assert!(matches!(wait_for(&events, Some), Event::Noted(1)), "fired once");
}

#[test]
fn endpoint_that_is_always_due_starves_nobody() {
    let driver = start(DriverConfig::default());
    let mut greedy = Probe::echo();
    greedy.deadline = Some(Instant::ZERO);
    greedy.interval = Some(Duration::ZERO);
    driver.add(bind("127.0.0.1:0").0, greedy).unwrap();
    let (mut modest, events) = Probe::new();
    modest.is_echo = true;
    modest.deadline = Some(Clock::process().now() + Duration::from_millis(1));
    let (socket, to) = bind("127.0.0.1:0");
    driver.add(socket, modest).unwrap();
    wait_for(&events, |event| matches!(event, Event::Timeout { .. }).then_some(()));
    let client = client("127.0.0.1:0");
    client.send_to(b"hello", to).unwrap();
    assert_eq!(client.recv(&mut [0; 16]).unwrap(), 5);
}

#[test]
fn what_came_during_a_long_call_is_read_before_the_next_however_late_that_is() {
    const COUNT: usize = 100;
    let driver = start(DriverConfig::default());
    let (mut late, events) = Probe::new();
    let (socket, to) = bind("127.0.0.1:0");
    late.deadline = Some(Instant::ZERO);
    late.interval = Some(Duration::ZERO);
    late.at_timeout = Some((to, COUNT));
    driver.add(socket, late).unwrap();
    let (mut timeouts, mut datagrams) = (0, 0);
    while timeouts < 20 {
        match wait_for(&events, Some) {
            Event::Timeout { .. } => {
                assert_eq!(datagrams, timeouts * COUNT);
                timeouts += 1;
            }
            Event::Datagram { .. } => datagrams += 1,
            _ => {}
        }
    }
}

#[test]
fn many_sockets_with_a_little_each_do_not_hold_up_a_deadline() {
    const SOCKETS: usize = 40;
    const EACH: usize = 60;
    let driver = start(DriverConfig::default());
    let (mut due, events) = Probe::new();
    let tell = due.events.clone();
    due.deadline = Some(Instant::ZERO);
    due.interval = Some(Duration::ZERO);
    let addresses: Vec<_> = (0..SOCKETS)
        .map(|_| {
            let (socket, address) = bind("127.0.0.1:0");
            driver.add(socket, Probe { events: tell.clone(), ..Probe::new().0 }).unwrap();
            address
        })
        .collect();
    let key = driver.add(bind("127.0.0.1:0").0, due).unwrap();
    let let_go = block(&driver, key);
    let client = client("127.0.0.1:0");
    for address in addresses.iter().flat_map(|address| [address; EACH]) {
        client.send_to(b"x", address).unwrap();
    }
    let_go.send(()).unwrap();
    let (mut datagrams, mut in_a_row, mut most) = (0, 0, 0);
    while datagrams < SOCKETS * EACH {
        match wait_for(&events, Some) {
            Event::Timeout { .. } => in_a_row = 0,
            Event::Datagram { .. } => (datagrams, in_a_row) = (datagrams + 1, in_a_row + 1),
            _ => {}
        }
        most = most.max(in_a_row);
    }
    assert!(most <= 300, "{most} datagrams without a look at what is due");
}

#[test]
fn flood_on_one_socket_does_not_stop_the_ticks_of_another() {
    let driver = start(DriverConfig::default());
    let (flooded, to) = bind("127.0.0.1:0");
    driver.add(flooded, Probe::echo()).unwrap();
    let (mut ticking, events) = Probe::new();
    ticking.deadline = Some(Clock::process().now());
    ticking.interval = Some(Duration::from_millis(5));
    driver.add(bind("127.0.0.1:0").0, ticking).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let client = client("127.0.0.1:0");
            while !is_over.load(Ordering::Relaxed) {
                client.send_to(&[0; 200], to).unwrap();
            }
        });
        for _ in 0..100 {
            wait_for(&events, |event| matches!(event, Event::Timeout { .. }).then_some(()));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
