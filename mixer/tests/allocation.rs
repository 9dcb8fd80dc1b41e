//! The packet path allocates nothing after warm-up.
//!
//! Counted by interposing malloc, since a Rust allocator does not see libopus.
#![allow(unsafe_code, clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::ffi::c_void;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Room, tone};
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};
use sabha_mixer::MixerSettings;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(pointer: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
}

fn count() {
    if COUNTING.get() {
        CALLS.set(CALLS.get() + 1);
    }
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    count();
    // SAFETY: the allocator that this function stands in for, with its own argument.
    unsafe { __libc_malloc(size) }
}

#[unsafe(no_mangle)]
extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    count();
    // SAFETY: as above.
    unsafe { __libc_calloc(number, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
    count();
    // SAFETY: as above; the caller's pointer came from the same allocator.
    unsafe { __libc_realloc(pointer, size) }
}

#[unsafe(no_mangle)]
extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
    count();
    // SAFETY: as above.
    unsafe { __libc_memalign(alignment, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> i32 {
    count();
    // SAFETY: as above; the caller gives a place for the pointer.
    unsafe { *out = __libc_memalign(alignment, size) };
    0
}

/// Throws packets away after they were written, as a socket's fixed slots would take them.
struct Slot([u8; DATAGRAM_SIZE_MAX], u64);

impl Transmit for Slot {
    fn transmit(&mut self, _to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        self.1 += u64::from(write(&mut self.0) > 0);
    }
}

#[test]
fn the_counter_sees_allocations() {
    COUNTING.set(true);
    let vector = std::hint::black_box(vec![1_u8; 1_000]);
    COUNTING.set(false);
    assert!(!vector.is_empty() && CALLS.get() > 0);
}

#[test]
fn packet_path_allocates_nothing_after_warm_up() {
    let mut room = Room::new(MixerSettings::default());
    for phase_ms in 0..12 {
        room.join(phase_ms);
    }
    for talker in 0..3 {
        // Talks and pauses, so that squelches open and close all the time.
        let mut voice = tone(300.0 + 90.0 * talker as f32, 0.1);
        room.say(talker, move |sample| {
            let talks = !(sample / 48_000 + talker as u64).is_multiple_of(3);
            if talks { voice(sample) } else { 0.0 }
        });
    }
    room.run(Duration::from_secs(12));

    let mut uplinks = room.prepare(Duration::from_secs(10));
    let mut slot = Slot([0; DATAGRAM_SIZE_MAX], 0);
    let events = std::iter::from_fn(|| room.shard.poll_event()).count();
    CALLS.set(0);
    COUNTING.set(true);
    for (at, from, datagram) in &mut uplinks {
        while let Some(due) = room.shard.poll_timeout().filter(|due| due < at) {
            room.shard.handle_timeout(due, &mut slot);
        }
        let datagram = Datagram { from: *from, received_at: *at, bytes: datagram };
        room.shard.handle_datagram(*at, datagram, &mut slot);
        while room.shard.poll_event().is_some() {}
    }
    COUNTING.set(false);
    assert!(events > 0 && slot.1 > 12 * 300, "it did work: {} packets", slot.1);
    assert_eq!(CALLS.get(), 0);
}
