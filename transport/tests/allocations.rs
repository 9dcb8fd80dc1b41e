//! After warm-up a driver's thread allocates nothing for datagrams, timeouts and commands.
//!
//! glommio's executor allocates by itself whenever it waits; there, the count is held to the waits.
//!
//! malloc and its kin are replaced for this binary by functions that count while the calling
//! thread is armed; the endpoint arms its own thread, which is the driver's.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(unsafe_code, reason = "replaces the C library's allocator to count its calls")]

use std::cell::Cell;
use std::ffi::c_void;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};
use sabha_transport::{
    Clock, DriverConfig, DriverKind, DriverName, Endpoint, MediaSocket, start_driver,
};

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(old: *mut c_void, size: usize) -> *mut c_void;
}

thread_local! {
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

fn count() {
    if IS_ARMED.get() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    count();
    // SAFETY: malloc's contract, passed on.
    unsafe { __libc_malloc(size) }
}

#[unsafe(no_mangle)]
extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    count();
    // SAFETY: calloc's contract, passed on.
    unsafe { __libc_calloc(number, size) }
}

/// # Safety
/// As realloc(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(old: *mut c_void, size: usize) -> *mut c_void {
    count();
    // SAFETY: realloc's contract, passed on by the caller.
    unsafe { __libc_realloc(old, size) }
}

/// Echoes, ticks every millisecond, and arms the counting when told.
struct Armed {
    next_tick: Instant,
    ticks: u64,
    reports: mpsc::SyncSender<u64>,
}

enum Order {
    Arm(bool),
    Nothing,
    Allocate,
    ReportTicks,
}

impl Endpoint for Armed {
    type Command = Order;

    fn handle_datagram(&mut self, _now: Instant, datagram: Datagram<'_>, out: &mut impl Transmit) {
        let bytes = datagram.bytes;
        out.transmit(datagram.from, |slot| {
            slot[..bytes.len()].copy_from_slice(bytes);
            bytes.len()
        });
    }

    fn handle_command(&mut self, _now: Instant, order: Order, _out: &mut impl Transmit) {
        match order {
            Order::Arm(is_armed) => IS_ARMED.set(is_armed),
            Order::Nothing => {}
            Order::Allocate => drop(std::hint::black_box(vec![1u8; 100])),
            Order::ReportTicks => {
                // A blocked receiver is woken without allocating; unarmed all the same.
                let was_armed = IS_ARMED.replace(false);
                let _ = self.reports.try_send(self.ticks);
                IS_ARMED.set(was_armed);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant, _out: &mut impl Transmit) {
        self.ticks += 1;
        self.next_tick = now + Duration::from_millis(1);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.next_tick)
    }

    fn handle_sent(&mut self, _now: Instant) {}
}

fn exchange(client: &UdpSocket, count: usize) {
    let mut reply = [0; 256];
    for _ in 0..count / 50 {
        for _ in 0..50 {
            client.send(&[5; 200]).unwrap();
        }
        for _ in 0..50 {
            assert_eq!(client.recv(&mut reply).unwrap(), 200);
        }
    }
}

/// Exchanges datagrams, ticks and commands; returns the driver's name, how often it allocated, and
/// how often it waited meanwhile.
fn run(kind: DriverKind) -> (DriverName, u64, u64) {
    let clock = Clock::process();
    let (driver, name) = start_driver(kind, DriverConfig::default(), clock).unwrap();
    let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(socket.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (reports, reported) = mpsc::sync_channel(4);
    let key = driver.add(socket, Armed { next_tick: clock.now(), ticks: 0, reports }).unwrap();
    let ticks = || {
        driver.send(key, Order::ReportTicks).unwrap();
        reported.recv_timeout(Duration::from_secs(30)).unwrap()
    };

    exchange(&client, 1_000);
    let (ticks_before, waits_before) = (ticks(), driver.counters().wakeups);
    ALLOCATIONS.store(0, Ordering::Relaxed);
    driver.send(key, Order::Arm(true)).unwrap();
    for _ in 0..20 {
        exchange(&client, 500);
        driver.send(key, Order::Nothing).unwrap();
    }
    while ticks() < ticks_before + 10 {
        std::thread::yield_now();
    }
    driver.send(key, Order::Arm(false)).unwrap();
    ticks();
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);
    let waits = driver.counters().wakeups - waits_before;

    // The count does count.
    for order in [Order::Arm(true), Order::Allocate, Order::Arm(false)] {
        driver.send(key, order).unwrap();
    }
    ticks();
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > allocations);
    driver.shutdown();
    (name, allocations, waits)
}

/// One test for both, as they share the count.
#[test]
fn packet_path_allocates_nothing_after_warm_up() {
    let (name, allocations, _) = run(DriverKind::Poll);
    assert_eq!((name, allocations), (DriverName::Poll, 0));
    let (name, allocations, waits) = run(DriverKind::Glommio);
    if name == DriverName::Glommio {
        assert!(allocations <= waits * GLOMMIO_PER_WAIT, "{allocations} in {waits} waits");
        assert!(allocations < 10_000, "fewer than datagrams: {allocations}");
    }
}

/// What glommio may allocate in one wait: a timer, a request, what they are noted in.
const GLOMMIO_PER_WAIT: u64 = 20;
