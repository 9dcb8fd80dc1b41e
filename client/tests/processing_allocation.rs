//! After it was made, a microphone's processing allocates nothing.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code, reason = "counts the calls of Rust's allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sabha_client::processing::{Microphone, MicrophoneSettings};
use sabha_client::sound::built_in::built_in_clips;
use sabha_media::codec::FRAME_SAMPLES;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's contract, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn frames_cost_no_allocation_after_the_first() {
    let clips = built_in_clips();
    let (far, _) = clips[0].samples.as_chunks::<FRAME_SAMPLES>();
    let (near, _) = clips[1].samples.as_chunks::<FRAME_SAMPLES>();
    let mut microphone = Microphone::new(MicrophoneSettings::default());
    let mut before = 0;
    for (index, (far, near)) in far.iter().zip(near).enumerate() {
        if index == 10 {
            before = ALLOCATIONS.load(Relaxed);
        }
        let mut frame = *near;
        microphone.handle_far_end(far);
        microphone.handle_capture(&mut frame);
    }
    assert_eq!(ALLOCATIONS.load(Relaxed) - before, 0);
}
