//! Talking to a driver's thread: order, limits, endpoints that come and go.

use crate::common::{Event, Order, PATIENCE, Probe, bind, block, client, start, wait_for};
use sabha_transport::{DriverConfig, DriverError, DriverHandle, EndpointKey, MediaSocket};

fn add(driver: &DriverHandle<Probe>, probe: Probe) -> EndpointKey {
    driver.add(bind("127.0.0.1:0").0, probe).unwrap()
}

#[test]
fn commands_arrive_in_order() {
    let driver = start(DriverConfig { commands_max: 2_000, ..DriverConfig::default() });
    let (probe, events) = Probe::new();
    let key = add(&driver, probe);
    let sender = driver.sender().clone();
    std::thread::spawn(move || (0..1_000).for_each(|n| sender.send(key, Order::Note(n)).unwrap()))
        .join()
        .unwrap();
    for expected in 0..1_000 {
        let Event::Noted(number) = wait_for(&events, Some) else { panic!("a note") };
        assert_eq!(number, expected);
    }
    assert_eq!(driver.counters().commands_full, 0);
}

#[test]
fn full_queue_refuses_with_its_limit() {
    let driver = start(DriverConfig { commands_max: 3, ..DriverConfig::default() });
    let (probe, events) = Probe::new();
    let key = add(&driver, probe);
    let let_go = block(&driver, key);
    for number in 0..3 {
        driver.send(key, Order::Note(number)).unwrap();
    }
    let error = driver.send(key, Order::Note(3)).unwrap_err().reason;
    assert!(matches!(error, DriverError::Full { commands_max: 3 }), "{error}");
    assert!(matches!(driver.remove(key).unwrap_err(), DriverError::Full { .. }));
    let refused = driver.add(bind("127.0.0.1:0").0, Probe::echo()).unwrap_err();
    assert!(matches!(refused.reason, DriverError::Full { .. }));
    assert_eq!(driver.counters().commands_full, 3);
    drop(let_go);
    for expected in 0..3 {
        assert!(matches!(wait_for(&events, Some), Event::Noted(n) if n == expected));
    }
    let (socket, endpoint) = *refused.returned;
    driver.add(socket, endpoint).unwrap();
    driver.send(key, Order::Note(9)).unwrap();
    assert!(matches!(wait_for(&events, Some), Event::Noted(9)), "the queue takes more again");
}

#[test]
fn full_table_refuses_and_removal_makes_room() {
    let driver = start(DriverConfig { endpoints_max: 2, ..DriverConfig::default() });
    let (first, _) = (add(&driver, Probe::echo()), add(&driver, Probe::echo()));
    let refused = driver.add(bind("127.0.0.1:0").0, Probe::echo()).unwrap_err();
    assert!(matches!(refused.reason, DriverError::EndpointsMax { endpoints_max: 2 }));
    driver.remove(first).unwrap().recv_timeout(PATIENCE).unwrap();
    let (socket, endpoint) = *refused.returned;
    let second = driver.add(socket, endpoint).unwrap();
    assert_ne!(first, second);
}

#[test]
fn removal_returns_the_endpoint_and_closes_its_socket() {
    let driver = start(DriverConfig::default());
    let (socket, addr) = bind("127.0.0.1:0");
    let (mut probe, events) = Probe::new();
    probe.is_echo = true;
    let key = driver.add(socket, probe).unwrap();
    let client = client("127.0.0.1:0");
    client.send_to(b"once", addr).unwrap();
    assert_eq!(client.recv(&mut [0; 16]).unwrap(), 4);
    let probe = driver.remove(key).unwrap().recv_timeout(PATIENCE).unwrap();
    assert_eq!(probe.datagrams, 1);
    MediaSocket::bind(addr).unwrap();

    // The key is stale now: nobody hears the command, and there is nothing to remove.
    drop(events);
    driver.send(key, Order::Note(1)).unwrap();
    assert!(driver.remove(key).unwrap().recv_timeout(PATIENCE).is_err());
    assert_eq!(driver.counters().commands_unknown, 1);
}

#[test]
fn shutdown_does_what_was_queued_and_returns_all_endpoints() {
    let driver = start(DriverConfig::default());
    let (probe, events) = Probe::new();
    let first = add(&driver, probe);
    let let_go = block(&driver, first);
    driver.send(first, Order::Note(7)).unwrap();
    let second = add(&driver, Probe::echo());
    let sender = driver.sender().clone();
    drop(let_go);
    let endpoints = driver.shutdown();
    assert_eq!(endpoints.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [first, second]);
    assert!(matches!(wait_for(&events, Some), Event::Noted(7)));
    assert!(matches!(sender.send(first, Order::Note(8)).unwrap_err().reason, DriverError::Gone));
    let refused = sender.add(bind("127.0.0.1:0").0, Probe::echo()).unwrap_err();
    assert!(matches!(refused.reason, DriverError::Gone));
}

#[test]
fn dropping_the_handle_ends_the_thread() {
    let driver = start(DriverConfig::default());
    let (probe, events) = Probe::new();
    let key = add(&driver, probe);
    let sender = driver.sender().clone();
    drop(driver);
    assert!(matches!(sender.send(key, Order::Note(1)).unwrap_err().reason, DriverError::Gone));
    assert!(events.recv_timeout(PATIENCE).is_err(), "the endpoint was dropped");
}

#[test]
fn core_that_cannot_be_had_is_no_error() {
    let driver = start(DriverConfig { core: Some(100_000), ..DriverConfig::default() });
    let (probe, events) = Probe::new();
    let key = add(&driver, probe);
    driver.send(key, Order::Note(1)).unwrap();
    assert!(matches!(wait_for(&events, Some), Event::Noted(1)));
}
