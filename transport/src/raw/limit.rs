//! The limit on open files: a process with 10,000 sockets needs more than the usual 1,024.

use std::io;

use super::check;

/// Raises the soft limit on open files to the hard limit, and returns it.
///
/// Call it once at start, before media sockets are bound. Source: getrlimit(2), RLIMIT_NOFILE.
///
/// # Errors
/// What the kernel answers; the limit then stays as it was.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}
