//! An eventfd that wakes a driver's thread.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::check;

/// Wakes one thread from any other; wakes that come before it looked cost no system call.
#[derive(Debug)]
pub(crate) struct Waker {
    event: File,
    is_pending: AtomicBool,
}

impl Waker {
    /// Makes a waker.
    ///
    /// # Errors
    /// What eventfd(2) answers.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        // SAFETY: a fresh descriptor that nobody else owns.
        let event = unsafe { File::from_raw_fd(fd) };
        Ok(Self { event, is_pending: AtomicBool::new(false) })
    }

    /// Wakes the thread. What the caller wrote before is visible to it after `clear`.
    pub(crate) fn wake(&self) {
        if !self.is_pending.swap(true, Ordering::AcqRel) {
            // Can fail only if the count would overflow, and then the thread is awake already.
            let _ = (&self.event).write(&1u64.to_ne_bytes());
        }
    }

    /// Takes all wakes so far; the thread looks at its queue afterwards.
    pub(crate) fn clear(&self) {
        // Fails with WouldBlock if `wake` has set the flag and not yet written: then the write
        // wakes the thread once more, for nothing.
        let _ = (&self.event).read(&mut [0; 8]);
        self.is_pending.swap(false, Ordering::AcqRel);
    }

    /// Returns the descriptor; it lives as long as `self`.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
