//! Whether io_uring can be had here, found out before glommio needs it.
//!
//! glommio panics, or ends the process, where io_uring is refused; so each call that it makes at
//! its start is tried first, by itself.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::check;

/// Why glommio cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum UringRefusal {
    /// io_uring_setup(2) failed: a seccomp filter, or the setting kernel.io_uring_disabled.
    #[error(
        "io_uring_setup is refused: {0}; allow io_uring in the container's seccomp profile, and \
         see that the setting kernel.io_uring_disabled is 0"
    )]
    Setup(#[source] io::Error),
    /// A ring was made, but may not be used.
    #[error("{call} is refused: {source}; allow all calls of io_uring in the seccomp profile")]
    Use {
        /// The system call.
        call: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel lacks operations that glommio needs.
    #[error("this kernel's io_uring is too old for glommio; Linux 5.8 or later has all it needs")]
    TooOld,
    /// Too little memory may be locked.
    #[error("only {limit_kib} KiB of memory may be locked; raise the limit (ulimit -l 512)")]
    MemoryLock {
        /// RLIMIT_MEMLOCK.
        limit_kib: u64,
    },
}

/// Tries what glommio does at its start.
///
/// In a thread of its own: when a ring is closed, the kernel interrupts those who had entered it,
/// and the caller may be waiting for something else by then.
///
/// # Errors
/// `UringRefusal` with the first thing that is refused.
pub(crate) fn probe() -> Result<(), UringRefusal> {
    std::thread::scope(|scope| scope.spawn(try_all).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn try_all() -> Result<(), UringRefusal> {
    check_memory_lock()?;
    let ring = setup(0).map_err(UringRefusal::Setup)?;
    // glommio has a ring for storage that it polls; ours is to have none of it, but it is made.
    setup(IORING_SETUP_IOPOLL).map_err(UringRefusal::Setup)?;
    enter(&ring).map_err(|source| UringRefusal::Use { call: "io_uring_enter", source })?;
    let has_all = has_operations(&ring)
        .map_err(|source| UringRefusal::Use { call: "io_uring_register", source })?;
    if has_all { Ok(()) } else { Err(UringRefusal::TooOld) }
}

fn check_memory_lock() -> Result<(), UringRefusal> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit.
    let result = check(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) });
    if result.is_ok() && limit.rlim_cur < MEMORY_LOCK_MIN {
        return Err(UringRefusal::MemoryLock { limit_kib: limit.rlim_cur / 1024 });
    }
    Ok(())
}

fn setup(flags: u32) -> io::Result<OwnedFd> {
    let mut parameters = SetupParameters { flags, ..SetupParameters::default() };
    // SAFETY: the pointer is to live parameters of the size that io_uring_setup(2) reads and
    // writes.
    let fd = syscall(unsafe {
        libc::syscall(libc::SYS_io_uring_setup, PROBE_ENTRIES, &raw mut parameters)
    })?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Enters the ring with nothing to submit and nothing to wait for.
fn enter(ring: &OwnedFd) -> io::Result<()> {
    let nothing = 0_u32;
    let no_signals = std::ptr::null::<libc::sigset_t>();
    // SAFETY: io_uring_enter(2) with no submissions, no waiting and no signal mask reads nothing.
    syscall(unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            ring.as_raw_fd(),
            nothing,
            nothing,
            nothing,
            no_signals,
            0_usize,
        )
    })?;
    Ok(())
}

/// Says whether the kernel has the newest operation that glommio needs, and so all of them.
fn has_operations(ring: &OwnedFd) -> io::Result<bool> {
    let mut probe = OperationProbe { head: [0; 2], operations: [[0; 2]; OPERATIONS_MAX] };
    // SAFETY: the pointer is to a live probe with room for `OPERATIONS_MAX` operations.
    syscall(unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            IORING_REGISTER_PROBE,
            &raw mut probe,
            OPERATIONS_MAX,
        )
    })?;
    let [_, _, flags_low, _, ..] = probe.operations[IORING_OP_RECV][0].to_ne_bytes();
    Ok(flags_low & IO_URING_OP_SUPPORTED != 0)
}

fn syscall(result: libc::c_long) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(libc::c_int::try_from(result).expect("a descriptor or 0"))
}

/// struct io_uring_params; only the flags matter here.
#[repr(C)]
#[derive(Default)]
struct SetupParameters {
    entries: [u32; 2],
    flags: u32,
    rest: [u32; 27],
}

/// struct io_uring_probe with its operations: op (8 bits), reserved (8), flags (16), reserved (32).
#[repr(C, align(8))]
struct OperationProbe {
    head: [u64; 2],
    operations: [[u32; 2]; OPERATIONS_MAX],
}

/// What glommio 0.9 insists on (`Reactor::new`): 512 KiB.
const MEMORY_LOCK_MIN: libc::rlim_t = 512 * 1024;

/// Entries of a ring that is made only to be closed.
const PROBE_ENTRIES: u32 = 2;

/// Operations asked about: more than any kernel has; source: liburing's `io_uring_get_probe`.
const OPERATIONS_MAX: usize = 256;

// Source of the following: include/uapi/linux/io_uring.h.
const IORING_SETUP_IOPOLL: u32 = 1;
const IORING_REGISTER_PROBE: u32 = 8;
const IORING_OP_RECV: usize = 27;
const IO_URING_OP_SUPPORTED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernel_s_sizes() {
        assert_eq!(size_of::<SetupParameters>(), 120);
        assert_eq!(size_of::<OperationProbe>(), 16 + 8 * OPERATIONS_MAX);
    }

    #[test]
    fn ring_with_unknown_flags_is_refused() {
        assert!(setup(u32::MAX).is_err());
    }

    #[test]
    fn refusals_tell_the_remedy() {
        let error = io::Error::from_raw_os_error(libc::EPERM);
        assert!(UringRefusal::Setup(error).to_string().contains("seccomp"));
        assert!(UringRefusal::MemoryLock { limit_kib: 64 }.to_string().contains("ulimit -l 512"));
    }
}
