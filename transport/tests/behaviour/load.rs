//! A driver's thread tells its endpoints how busy it is.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::common::{Event, Order, PATIENCE, Probe, bind, client, start, wait_for};
use sabha_transport::{Clock, DriverConfig, LOAD_INTERVAL, Load};

fn next_load(events: &Receiver<Event>) -> Load {
    wait_for(events, |event| match event {
        Event::Load(load) => Some(load),
        _ => None,
    })
}

fn listening() -> (Probe, Receiver<Event>) {
    let (mut probe, events) = Probe::new();
    probe.is_told_load = true;
    (probe, events)
}

#[test]
fn every_endpoint_of_an_idle_thread_is_told_that_it_is_idle() {
    let driver = start(DriverConfig::default());
    let (first, first_events) = listening();
    let (second, second_events) = listening();
    driver.add(bind("127.0.0.1:0").0, first).unwrap();
    driver.add(bind("127.0.0.1:0").0, second).unwrap();
    for events in [first_events, second_events] {
        let load = next_load(&events);
        assert!(load.interval >= LOAD_INTERVAL, "not sooner than agreed");
        assert!(load.busy <= load.interval);
        assert_eq!((load.datagrams_in, load.datagrams_out), (0, 0));
    }
    assert!(driver.counters().busy_nanos > 0);
}

#[test]
fn time_in_a_call_counts_as_busy_and_datagrams_are_counted() {
    let driver = start(DriverConfig::default());
    let (mut probe, events) = listening();
    probe.is_echo = true;
    let (socket, addr) = bind("127.0.0.1:0");
    let key = driver.add(socket, probe).unwrap();
    let client = client("127.0.0.1:0");
    next_load(&events);
    client.send_to(b"one", addr).unwrap();
    assert_eq!(client.recv(&mut [0; 16]).unwrap(), 3);

    let (entered, is_in) = std::sync::mpsc::sync_channel(1);
    let (let_go, release) = std::sync::mpsc::channel();
    driver.send(key, Order::Block { entered, release }).unwrap();
    is_in.recv_timeout(PATIENCE).unwrap();
    let clock = Clock::process();
    let (since, hold) = (clock.now(), LOAD_INTERVAL * 2);
    while clock.now().saturating_since(since) < hold {
        std::thread::sleep(Duration::from_millis(1));
    }
    let_go.send(()).unwrap();
    // The echo may fall into the reading before the one with the hold-up.
    let mut datagrams = (0, 0);
    loop {
        let load = next_load(&events);
        datagrams.0 += load.datagrams_in;
        datagrams.1 += load.datagrams_out;
        if load.busy >= hold {
            assert!(load.busy_share() > 0.5);
            break;
        }
    }
    assert_eq!(datagrams, (1, 1));
}
