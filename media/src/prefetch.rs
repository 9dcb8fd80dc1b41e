//! Asking for memory before it is needed.

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

/// Octets that a processor fetches at a time.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;
