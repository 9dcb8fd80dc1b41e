//! The system calls: sockets, batches, epoll, eventfd, affinity. Nothing here knows an endpoint.
//!
//! The only home of `unsafe` in this crate: recvmmsg, sendmmsg, epoll_pwait2, socket options and
//! affinity have no safe interface in std, and each is a plain call over memory that the caller
//! owns. Every function offered to the rest of the crate is safe.
#![allow(unsafe_code, reason = "system calls over libc, see the module's header")]

pub(crate) mod address;
pub(crate) mod limit;
pub(crate) mod poller;
#[cfg(feature = "glommio")]
pub(crate) mod readiness;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod socket;
pub(crate) mod thread;
#[cfg(feature = "glommio")]
pub(crate) mod uring;
pub(crate) mod waker;

use std::io;

/// Turns the -1 of a system call into the error it left in `errno`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A size as the kernel's socket calls want it.
fn socklen_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("socket structures are small")
}
