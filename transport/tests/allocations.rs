//! After warm-up a driver's thread allocates nothing for datagrams, timeouts and commands.
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
use sabha_transport::{Clock, Driver, DriverConfig, Endpoint, MediaSocket, PollDriver};

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

#[test]
fn packet_path_allocates_nothing_after_warm_up() {
    let clock = Clock::process();
    let driver = PollDriver::start(DriverConfig::default(), clock).unwrap();
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
    let ticks_before = ticks();
    driver.send(key, Order::Arm(true)).unwrap();
    for _ in 0..20 {
        exchange(&client, 500);
        driver.send(key, Order::Nothing).unwrap();
    }
    while ticks() < ticks_before + 10 {
        std::thread::yield_now();
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 0);

    // The count does count.
    driver.send(key, Order::Allocate).unwrap();
    driver.send(key, Order::Arm(false)).unwrap();
    ticks();
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 1);
    driver.shutdown();
}
