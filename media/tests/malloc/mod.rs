//! Counts what a thread allocates, by standing in for libc's allocator: a Rust allocator would not
//! see what libopus does.
#![allow(dead_code, unsafe_code)]

use std::cell::Cell;
use std::ffi::c_void;

/// What was allocated in a piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    pub calls: u64,
    pub octets: usize,
}

/// Does some work, and returns what this thread allocated meanwhile.
pub fn allocated<R>(work: impl FnOnce() -> R) -> (R, Allocated) {
    SO_FAR.set(Some(Allocated::default()));
    let done = work();
    (done, SO_FAR.take().unwrap_or_default())
}

thread_local! {
    /// `None` while nothing is counted.
    static SO_FAR: Cell<Option<Allocated>> = const { Cell::new(None) };
}

fn count(size: usize) {
    if let Some(Allocated { calls, octets }) = SO_FAR.get() {
        SO_FAR.set(Some(Allocated { calls: calls + 1, octets: octets + size }));
    }
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(pointer: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    count(size);
    // SAFETY: the allocator that this function stands in for, with its own argument.
    unsafe { __libc_malloc(size) }
}

#[unsafe(no_mangle)]
extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    count(number * size);
    // SAFETY: as above.
    unsafe { __libc_calloc(number, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
    count(size);
    // SAFETY: as above; the caller's pointer came from the same allocator.
    unsafe { __libc_realloc(pointer, size) }
}

#[unsafe(no_mangle)]
extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
    count(size);
    // SAFETY: as above.
    unsafe { __libc_memalign(alignment, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> i32 {
    count(size);
    // SAFETY: as above; the caller gives a place for the pointer.
    unsafe { *out = __libc_memalign(alignment, size) };
    0
}

#[test]
fn what_is_allocated_is_counted() {
    let (vector, one) = allocated(|| std::hint::black_box(vec![1_u8; 1_000]));
    assert!(!vector.is_empty() && one == Allocated { calls: 1, octets: 1_000 }, "{one:?}");
    let ((), none) = allocated(|| drop(vector));
    assert_eq!(none, Allocated::default());
}
