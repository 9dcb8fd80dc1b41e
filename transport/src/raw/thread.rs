//! What a media thread asks of the scheduler.

use std::io;

use super::check;

/// Pins the calling thread to one core.
///
/// # Errors
/// What sched_setaffinity(2) answers, or `InvalidInput` for a core above 1,023.
pub(crate) fn pin_to_core(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE.unsigned_abs() as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: cpu_set_t is plain integers, for which all-zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` was checked to lie within the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the pointer is to a live set of the size given; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) })?;
    Ok(())
}

/// Lets the calling thread run before all ordinary ones, in turn with others of its kind.
///
/// Threads that it starts are ordinary again.
///
/// # Errors
/// What sched_setscheduler(2) answers: without CAP_SYS_NICE and without a limit (RLIMIT_RTPRIO)
/// that allows it, `PermissionDenied`.
pub(crate) fn run_in_real_time() -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: REAL_TIME_PRIORITY };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to a live parameter; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) })?;
    Ok(())
}

/// The lowest real-time priority above the least: whoever runs hardware goes first.
const REAL_TIME_PRIORITY: libc::c_int = 2;

/// Lets the calling thread's timers fire within 1 ns of their time instead of within 50 µs.
///
/// # Errors
/// What prctl(2) answers.
pub(crate) fn sharpen_timers() -> io::Result<()> {
    let slack: libc::c_ulong = 1;
    // SAFETY: PR_SET_TIMERSLACK takes a number and no pointer.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_that_does_not_exist_is_refused() {
        assert!(pin_to_core(1_023).is_err());
        assert!(pin_to_core(usize::MAX).is_err());
    }

    #[test]
    fn first_allowed_core_is_accepted() {
        assert!((0..64).any(|core| pin_to_core(core).is_ok()));
        sharpen_timers().unwrap();
    }
}
