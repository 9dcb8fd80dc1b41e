//! Memory for what is too much for the caches: in large pages, and asked for before it is needed.

#![allow(unsafe_code)]

/// Asks the processor to bring a value into its nearest cache, and does not wait for it.
#[inline]
pub(crate) fn prefetch<T>(value: *const T) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of::<T>()).step_by(CACHE_LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint: it faults at no address and changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(value.wrapping_byte_add(offset).cast()) };
    }
    // Elsewhere there is no stable way to ask.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Makes room for so many values, in large pages if the kernel has any: whoever reads thousands of
/// them in turn finds their addresses translated. Pages that were never written take no memory.
pub(crate) fn room_in_large_pages<T>(capacity: usize) -> Vec<T> {
    let room = Vec::<T>::with_capacity(capacity);
    let start = room.as_ptr().addr();
    let first = start.next_multiple_of(LARGE_PAGE);
    let end = (start + capacity * size_of::<T>()) / LARGE_PAGE * LARGE_PAGE;
    if first < end {
        let pages = room.as_ptr().wrapping_byte_add(first - start).cast_mut();
        // SAFETY: whole pages within the room; the advice changes nothing that can be read there.
        // Refused where the kernel was built without large pages: then they are small.
        let _ = unsafe { libc::madvise(pages.cast(), end - first, libc::MADV_HUGEPAGE) };
    }
    room
}

/// Octets of a large page on x86-64, and on most AArch64 machines.
const LARGE_PAGE: usize = 2 << 20;

/// Octets that a processor fetches at a time.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;
