//! Datagrams that wait for each other wake the thread once, and delay no deadline.

use std::time::Duration;

use sabha_transport::{Clock, DriverConfig};

use crate::common::{Event, Order, Probe, bind, client, start, wait_for};

#[test]
fn gathered_datagrams_are_all_handled_in_few_wakes() {
    const GATHER: Duration = Duration::from_millis(50);
    let driver = start(DriverConfig { gather: GATHER, ..Default::default() });
    let (socket, addr) = bind("127.0.0.1:0");
    driver.add(socket, Probe::echo()).unwrap();
    let client = client("127.0.0.1:0");
    let clock = Clock::process();
    let (before, began) = (driver.counters(), clock.now());
    // One by one, so far apart that each would find the thread waiting.
    for number in 0..100u8 {
        client.send_to(&[number], addr).unwrap();
        let sent = clock.now();
        while clock.now().saturating_since(sent) < Duration::from_millis(1) {
            std::thread::yield_now();
        }
    }
    let mut reply = [0; 16];
    for number in 0..100u8 {
        assert_eq!(client.recv(&mut reply).unwrap(), 1);
        assert_eq!(reply[0], number, "in order");
    }
    // However long that took: a wake for each pause, a few for the load, and those of the start.
    let pauses = clock.now().saturating_since(began).as_nanos() / GATHER.as_nanos();
    let wakes = u128::from(driver.counters().wakeups - before.wakeups);
    assert!(wakes <= 2 * pauses + 10, "{wakes} wakes in {pauses} pauses");
}

#[test]
fn deadline_is_not_kept_waiting_by_a_pause() {
    // Were the pause not cut short, nothing would come within the test's patience.
    let driver = start(DriverConfig { gather: Duration::from_secs(3_600), ..Default::default() });
    let (mut probe, events) = Probe::new();
    probe.is_echo = true;
    let (socket, addr) = bind("127.0.0.1:0");
    let key = driver.add(socket, probe).unwrap();
    let client = client("127.0.0.1:0");
    for _ in 0..3 {
        let at = Clock::process().now() + Duration::from_millis(5);
        driver.send(key, Order::Deadline(Some(at))).unwrap();
        client.send_to(b"beside", addr).unwrap();
        let now = wait_for(&events, |event| match event {
            Event::Timeout { now, .. } => Some(now),
            _ => None,
        });
        assert!(now >= at);
        assert_eq!(client.recv(&mut [0; 16]).unwrap(), 6);
    }
}
