//! epoll, with timeouts in nanoseconds.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::check;
use super::socket::timespec;

/// Waits for any of many descriptors. Shared: one thread waits, any thread adds and removes.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    /// epoll_pwait2 (Linux 5.11) is missing, or a seccomp filter refuses it.
    is_pwait2_refused: AtomicBool,
}

impl Poller {
    /// Makes a poller that watches nothing.
    ///
    /// # Errors
    /// What epoll_create1(2) answers.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a fresh descriptor that nobody else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { epoll, is_pwait2_refused: AtomicBool::new(false) })
    }

    /// Watches `fd` for something to read, level-triggered, and reports it as `token`.
    ///
    /// # Errors
    /// What epoll_ctl(2) answers.
    pub(crate) fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token)
    }

    /// Stops watching `fd`.
    ///
    /// # Errors
    /// What epoll_ctl(2) answers.
    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0)
    }

    /// Waits until something is ready, or for `timeout`; without one, for ever.
    ///
    /// # Errors
    /// What epoll_pwait2(2) or its substitute answers; `Interrupted` is reported as no event.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.count = 0;
        let result = if self.is_pwait2_refused.load(Ordering::Relaxed) {
            self.ppoll_then_wait(events, timeout)
        } else {
            match self.pwait2(events, timeout) {
                Err(error) if is_refusal(&error) => {
                    tracing::warn!(%error, "epoll_pwait2 is refused, ppoll stands in for it");
                    self.is_pwait2_refused.store(true, Ordering::Relaxed);
                    self.ppoll_then_wait(events, timeout)
                }
                result => result,
            }
        };
        match result {
            Ok(count) => events.count = count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Returns epoll's own descriptor, readable when something is ready; lives as long as `self`.
    #[cfg(feature = "glommio")]
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    fn pwait2(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map(timespec);
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the arguments of epoll_pwait2(2): a live array of the length given, a live
        // timespec or null, no signal mask. By number, as older C libraries lack the wrapper.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                events.list.as_mut_ptr(),
                events.max(),
                timeout,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// The way for old kernels: ppoll keeps nanoseconds, epoll_wait then only collects.
    fn ppoll_then_wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        let mut poll =
            libc::pollfd { fd: self.epoll.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = timeout.map(timespec);
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: one live pollfd, a live timespec or null, no signal mask.
        check(unsafe { libc::ppoll(&raw mut poll, 1, timeout, std::ptr::null()) })?;
        // SAFETY: a live array of the length given.
        let count = check(unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), events.list.as_mut_ptr(), events.max(), 0)
        })?;
        Ok(usize::try_from(count).expect("checked not to be negative"))
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: token };
        let epoll = self.epoll.as_raw_fd();
        // SAFETY: the pointer is to a live event.
        check(unsafe { libc::epoll_ctl(epoll, operation, fd, &raw mut event) })?;
        Ok(())
    }
}

/// What a wait found.
pub(crate) struct Events {
    list: Box<[libc::epoll_event]>,
    count: usize,
}

impl Events {
    /// Makes an empty list; this is its only allocation.
    pub(crate) fn new() -> Self {
        let none = libc::epoll_event { events: 0, u64: 0 };
        Self { list: vec![none; EVENTS_MAX].into_boxed_slice(), count: 0 }
    }

    /// Returns the number of ready descriptors, at most `EVENTS_MAX`.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Says whether there may be more than were reported.
    pub(crate) fn is_full(&self) -> bool {
        self.count == self.list.len()
    }

    /// Returns the token of the ready descriptor at `index`.
    pub(crate) fn token(&self, index: usize) -> u64 {
        self.list[index].u64
    }

    fn max(&self) -> libc::c_int {
        libc::c_int::try_from(self.list.len()).expect("EVENTS_MAX is small")
    }
}

/// Whether the kernel lacks a call or a filter forbids it.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

/// Ready descriptors reported by one wait: chosen because the kernel then reports the others
/// first, so no socket starves.
const EVENTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::waker::Waker;
    use super::*;

    fn pollers() -> [Poller; 2] {
        let old = Poller::new().unwrap();
        old.is_pwait2_refused.store(true, Ordering::Relaxed);
        [Poller::new().unwrap(), old]
    }

    #[test]
    fn wait_ends_not_before_its_timeout() {
        for poller in pollers() {
            let mut events = Events::new();
            let timeout = Duration::from_micros(1_500);
            let start = Instant::now();
            poller.wait(&mut events, Some(timeout)).unwrap();
            assert!(start.elapsed() >= timeout);
            assert_eq!(events.len(), 0);
        }
    }

    #[test]
    fn wake_is_reported_until_it_is_cleared() {
        for poller in pollers() {
            let (mut events, waker) = (Events::new(), Waker::new().unwrap());
            poller.add(waker.raw_fd(), 7).unwrap();
            waker.wake();
            poller.wait(&mut events, None).unwrap();
            assert_eq!((events.len(), events.token(0)), (1, 7));
            waker.clear();
            poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            assert_eq!(events.len(), 0);
            waker.wake();
            poller.remove(waker.raw_fd()).unwrap();
            poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            assert_eq!(events.len(), 0);
        }
    }
}
