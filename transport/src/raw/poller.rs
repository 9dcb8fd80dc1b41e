//! Waiting for descriptors, with timeouts in nanoseconds: a few by ppoll, more by epoll.
//!
//! A socket that epoll watches has a waiter at all times, and the kernel calls it for every
//! datagram that leaves, to tell that there is room again. One that ppoll watches has a waiter only
//! while the thread waits: a node's thread, with its one socket, sends for 3 % less.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::check;
use super::socket::timespec;

/// Waits for any of many descriptors. Shared: one thread waits, any thread adds and removes.
#[derive(Debug)]
pub(crate) struct Poller {
    /// What ppoll watches; `None` once there was more than it is good for. Locked once a wait.
    few: Mutex<Option<Few>>,
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
        let few = Mutex::new(Some(Few::default()));
        Ok(Self { few, epoll, is_pwait2_refused: AtomicBool::new(false) })
    }

    /// Watches `fd` for something to read, level-triggered, and reports it as `token`.
    ///
    /// A wait under way need not see it; the next one does.
    ///
    /// # Errors
    /// What epoll_ctl(2) answers.
    pub(crate) fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut few = self.few();
        if few.as_mut().is_some_and(|few| few.add(fd, token)) {
            return Ok(());
        }
        self.leave_few(&mut few)?;
        self.control(libc::EPOLL_CTL_ADD, fd, token)
    }

    /// Stops watching `fd`.
    ///
    /// # Errors
    /// What epoll_ctl(2) answers.
    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        match self.few().as_mut() {
            Some(few) => few.remove(fd),
            None => return self.control(libc::EPOLL_CTL_DEL, fd, 0),
        }
        Ok(())
    }

    /// Waits until something is ready, or for `timeout`; without one, for ever.
    ///
    /// # Errors
    /// What epoll_pwait2(2) or its substitute answers; `Interrupted` is reported as no event.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.count = 0;
        let few = *self.few();
        let result = if let Some(mut few) = few {
            few.wait(events, timeout)
        } else if self.is_pwait2_refused.load(Ordering::Relaxed) {
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
    /// From now on everything is watched by epoll.
    ///
    /// # Errors
    /// What epoll_ctl(2) answers.
    #[cfg(feature = "glommio")]
    pub(crate) fn raw_fd(&self) -> io::Result<RawFd> {
        self.leave_few(&mut self.few())?;
        Ok(self.epoll.as_raw_fd())
    }

    fn few(&self) -> MutexGuard<'_, Option<Few>> {
        self.few.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands what ppoll watched to epoll, for good.
    fn leave_few(&self, few: &mut Option<Few>) -> io::Result<()> {
        let watched = few.take().unwrap_or_default();
        for (poll, token) in watched.polls().iter().zip(watched.tokens) {
            self.control(libc::EPOLL_CTL_ADD, poll.fd, token)?;
        }
        Ok(())
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
        let fd = self.epoll.as_raw_fd();
        ppoll(&mut [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }], timeout)?;
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

/// What ppoll watches, and the names of it.
#[derive(Clone, Copy, Debug)]
struct Few {
    polls: [libc::pollfd; FEW_MAX],
    tokens: [u64; FEW_MAX],
    count: usize,
}

impl Few {
    /// Returns false, and changes nothing, if there is no room.
    fn add(&mut self, fd: RawFd, token: u64) -> bool {
        let has_room = self.count < FEW_MAX;
        if has_room {
            self.polls[self.count] = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            self.tokens[self.count] = token;
            self.count += 1;
        }
        has_room
    }

    fn remove(&mut self, fd: RawFd) {
        if let Some(index) = self.polls().iter().position(|poll| poll.fd == fd) {
            self.count -= 1;
            self.polls[index] = self.polls[self.count];
            self.tokens[index] = self.tokens[self.count];
        }
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        ppoll(&mut self.polls[..self.count], timeout)?;
        let ready = self.polls().iter().zip(self.tokens).filter(|(poll, _)| poll.revents != 0);
        let mut count = 0;
        for (event, (_, token)) in events.list.iter_mut().zip(ready) {
            event.u64 = token;
            count += 1;
        }
        Ok(count)
    }

    fn polls(&self) -> &[libc::pollfd] {
        &self.polls[..self.count]
    }
}

impl Default for Few {
    fn default() -> Self {
        let none = libc::pollfd { fd: -1, events: 0, revents: 0 };
        Self { polls: [none; FEW_MAX], tokens: [0; FEW_MAX], count: 0 }
    }
}

/// Waits for any of `polls`, or for `timeout`; without one, for ever.
fn ppoll(polls: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = libc::nfds_t::try_from(polls.len()).expect("a usize fits nfds_t on Linux");
    // SAFETY: live entries of the count given, a live timespec or null, no signal mask.
    check(unsafe { libc::ppoll(polls.as_mut_ptr(), count, timeout, std::ptr::null()) })?;
    Ok(())
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

/// Descriptors that ppoll watches: chosen because entering so many waiters at each wait costs less
/// than the one that epoll keeps; a node's thread has two.
const FEW_MAX: usize = 4;

/// Ready descriptors reported by one wait: chosen because the kernel then reports the others
/// first, so no socket starves.
const EVENTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::waker::Waker;
    use super::*;

    /// By ppoll, by epoll, and by epoll on an old kernel.
    fn pollers() -> [Poller; 3] {
        let pollers = [(); 3].map(|()| Poller::new().unwrap());
        for many in &pollers[1..] {
            many.leave_few(&mut many.few()).unwrap();
        }
        pollers[2].is_pwait2_refused.store(true, Ordering::Relaxed);
        pollers
    }

    #[test]
    fn nothing_is_forgotten_as_few_become_many_and_go() {
        let (poller, mut events) = (Poller::new().unwrap(), Events::new());
        let wakers: Vec<_> = (0..FEW_MAX + 2).map(|_| Waker::new().unwrap()).collect();
        for (token, waker) in wakers.iter().enumerate() {
            poller.add(waker.raw_fd(), token as u64).unwrap();
            waker.wake();
            poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            assert_eq!(events.len(), token + 1);
            if token == 1 {
                poller.remove(wakers[0].raw_fd()).unwrap();
                poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
                assert_eq!((events.len(), events.token(0)), (1, 1));
                poller.add(wakers[0].raw_fd(), 0).unwrap();
            }
        }
        assert!(poller.few().is_none());
        for waker in &wakers {
            poller.remove(waker.raw_fd()).unwrap();
        }
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events.len(), 0);
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
