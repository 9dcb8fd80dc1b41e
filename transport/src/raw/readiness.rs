//! Awaiting a descriptor's readability on glommio, which offers no such thing by itself.
//!
//! glommio's `TcpStream` asks io_uring whether its descriptor is readable (IORING_OP_POLL_ADD) as
//! soon as it is made, and wakes its task by that; only afterwards does it call recv. On a
//! descriptor that is no socket recv fails with ENOTSOCK and touches nothing, so such a stream's
//! first answer is the readability and nothing else. One descriptor suffices: epoll's, which is
//! readable when anything that it watches is.

use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::AsyncRead;
use glommio::net::TcpStream;
use glommio::timer::Timer;

use super::check;

/// Waits for one descriptor that is not a socket. To be made and used within an executor.
pub(crate) struct Readiness {
    fd: OwnedFd,
    /// A question under way; it outlives a wait that a timeout ended.
    question: Option<TcpStream>,
}

impl Readiness {
    /// Watches a duplicate of `fd`.
    ///
    /// # Errors
    /// What fcntl(2) answers.
    pub(crate) fn new(fd: RawFd) -> io::Result<Self> {
        Ok(Self { fd: duplicate(fd)?, question: None })
    }

    /// Waits until the descriptor is readable, or for `timeout`; without one, for ever.
    ///
    /// # Errors
    /// What fcntl(2) answers: no descriptor is left for the question.
    pub(crate) async fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut question = match self.question.take() {
            Some(question) => question,
            None => ask(self.fd.as_raw_fd())?,
        };
        let mut timer = timeout.map(Timer::new);
        let is_answered = std::future::poll_fn(|context| {
            if is_answered(&mut question, context) {
                return Poll::Ready(true);
            }
            match &mut timer {
                Some(timer) => Pin::new(timer).poll(context).map(|_| false),
                None => Poll::Pending,
            }
        })
        .await;
        if !is_answered {
            self.question = Some(question);
        }
        Ok(())
    }
}

/// Asks io_uring whether `fd` is readable.
fn ask(fd: RawFd) -> io::Result<TcpStream> {
    use std::os::fd::IntoRawFd;
    let owned = duplicate(fd)?.into_raw_fd();
    // SAFETY: a fresh descriptor that nobody else owns; the stream closes it. It is no socket, as
    // the module's header explains.
    Ok(unsafe { TcpStream::from_raw_fd(owned) })
}

/// Says whether the answer has come; if not, the task is woken when it does.
fn is_answered(question: &mut TcpStream, context: &mut Context<'_>) -> bool {
    // Ready is ENOTSOCK, always: nothing was read.
    Pin::new(question).poll_read(context, &mut [0]).is_ready()
}

fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let copy = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) })?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
