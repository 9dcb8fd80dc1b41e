//! What may go wrong outside the packet path. On it, things are dropped and counted.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::raw::socket::MediaSocket;
#[cfg(feature = "glommio")]
use crate::raw::uring::UringRefusal;

/// A media socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} the media socket {addr}: {source}; is the address local and the port free?")]
pub struct BindError {
    /// The address asked for.
    pub addr: SocketAddr,
    /// What was tried, as a verb.
    pub step: &'static str,
    /// The kernel's answer.
    pub source: io::Error,
}

/// A driver could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel gave no epoll or event descriptor.
    #[error("cannot create epoll or eventfd: {0}; raise the limit on open files (ulimit -n)")]
    Poller(#[source] io::Error),
    /// The kernel gave no thread.
    #[error("cannot start media thread {name}: {source}; raise the limit on processes (ulimit -u)")]
    Thread {
        /// The thread's name.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// io_uring is refused here, and with it glommio.
    #[cfg(feature = "glommio")]
    #[error("glommio cannot run here: {0}")]
    IoUring(#[source] UringRefusal),
    /// glommio did not start, for a reason of its own.
    #[cfg(feature = "glommio")]
    #[error("glommio does not start: {0}; take the driver \"poll\"")]
    Glommio(String),
}

/// A request did not reach the driver's thread.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The queue holds as many messages as it may; the thread is overloaded. Try again later.
    #[error("the driver's queue is full ({commands_max} messages); try again later")]
    Full {
        /// The queue's limit.
        commands_max: usize,
    },
    /// The driver's thread has ended.
    #[error("the driver's thread has ended; start another driver")]
    Gone,
    /// The driver has as many endpoints as it may.
    #[error("the driver already has {endpoints_max} endpoints; use another driver")]
    EndpointsMax {
        /// The table's limit.
        endpoints_max: usize,
    },
    /// The kernel does not watch the socket.
    #[error("cannot watch the socket: {0}; see /proc/sys/fs/epoll/max_user_watches")]
    Register(#[source] io::Error),
}

/// A command was not queued; it comes back.
pub struct SendError<C> {
    /// Why it was refused.
    pub reason: DriverError,
    /// What the caller had passed in.
    pub returned: C,
}

impl<C> fmt::Debug for SendError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<C> fmt::Display for SendError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<C> std::error::Error for SendError<C> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// An endpoint was not added; it comes back with its socket.
pub struct AddError<E> {
    /// Why it was refused.
    pub reason: DriverError,
    /// What the caller had passed in.
    pub returned: Box<(MediaSocket, E)>,
}

impl<E> fmt::Debug for AddError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<E> fmt::Display for AddError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<E> std::error::Error for AddError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.reason)
    }
}
