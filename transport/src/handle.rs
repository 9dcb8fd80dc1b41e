//! The other side of a driver: how the rest of the process talks to its thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::counters::{Counters, SharedCounters};
use crate::driver::DriverConfig;
use crate::endpoint::Endpoint;
use crate::error::{AddError, DriverError, SendError, StartError};
use crate::key::{EndpointKey, KeyAllocator};
use crate::raw::poller::Poller;
use crate::raw::socket::MediaSocket;
use crate::raw::waker::Waker;

/// Owns a driver's thread; dropping it stops the thread.
pub struct DriverHandle<E: Endpoint> {
    sender: DriverSender<E>,
    thread: Option<JoinHandle<Vec<(EndpointKey, E)>>>,
}

impl<E: Endpoint> DriverHandle<E> {
    /// Wraps a started thread.
    pub(crate) fn new(sender: DriverSender<E>, thread: JoinHandle<Vec<(EndpointKey, E)>>) -> Self {
        Self { sender, thread: Some(thread) }
    }

    /// Adds an endpoint, see [`DriverSender::add`].
    ///
    /// # Errors
    /// As there.
    pub fn add(&self, socket: MediaSocket, endpoint: E) -> Result<EndpointKey, AddError<E>> {
        self.sender.add(socket, endpoint)
    }

    /// Sends a command, see [`DriverSender::send`].
    ///
    /// # Errors
    /// As there.
    pub fn send(&self, key: EndpointKey, command: E::Command) -> Result<(), SendError<E::Command>> {
        self.sender.send(key, command)
    }

    /// Removes an endpoint, see [`DriverSender::remove`].
    ///
    /// # Errors
    /// As there.
    pub fn remove(&self, key: EndpointKey) -> Result<Receiver<E>, DriverError> {
        self.sender.remove(key)
    }

    /// Returns what the driver has counted so far.
    pub fn counters(&self) -> Counters {
        self.sender.counters()
    }

    /// Returns the part that can be cloned and handed to tasks.
    pub fn sender(&self) -> &DriverSender<E> {
        &self.sender
    }

    /// Stops the thread, waits for its end, and returns all endpoints in the order of their keys.
    ///
    /// What was queued before is done first. Blocks for at most one turn of the driver's loop.
    ///
    /// # Panics
    /// With the thread's own panic, if an endpoint panicked.
    pub fn shutdown(mut self) -> Vec<(EndpointKey, E)> {
        self.sender.shared.stop();
        let thread = self.thread.take().expect("only shutdown and drop take the thread");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl<E: Endpoint> Drop for DriverHandle<E> {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.sender.shared.stop();
        if thread.join().is_err() {
            tracing::error!("a media thread had panicked");
        }
    }
}

/// Talks to a driver's thread from any thread or task; never blocks.
pub struct DriverSender<E: Endpoint> {
    queue: SyncSender<Message<E>>,
    shared: Arc<Shared>,
}

impl<E: Endpoint> DriverSender<E> {
    /// Adds an endpoint; commands sent with the key afterwards reach it.
    ///
    /// # Errors
    /// `AddError` with the socket and the endpoint, if queue or table is full, if the kernel does
    /// not watch the socket, or if the thread has ended.
    pub fn add(&self, socket: MediaSocket, endpoint: E) -> Result<EndpointKey, AddError<E>> {
        let returned = Box::new((socket, endpoint));
        let fd = returned.0.raw_fd();
        let key = match self.shared.register(fd) {
            Ok(key) => key,
            Err(reason) => return Err(AddError { reason, returned }),
        };
        match self.offer(Message::Add(key, returned)) {
            Ok(()) => Ok(key),
            Err((reason, Message::Add(_, returned))) => {
                self.shared.release(key, fd);
                Err(AddError { reason, returned })
            }
            Err(_) => unreachable!("a refused message comes back as it was"),
        }
    }

    /// Queues a command; commands from one thread are handled in their order.
    ///
    /// A command for an endpoint that was removed is dropped and counted (`commands_unknown`).
    ///
    /// # Errors
    /// `SendError` with the command: `Full` if the queue is full, `Gone` if the thread has ended.
    pub fn send(&self, key: EndpointKey, command: E::Command) -> Result<(), SendError<E::Command>> {
        match self.offer(Message::Command(key, command)) {
            Err((reason, Message::Command(_, returned))) => Err(SendError { reason, returned }),
            _ => Ok(()),
        }
    }

    /// Takes an endpoint off the thread and closes its socket.
    ///
    /// The endpoint arrives on the receiver after the commands queued before; the receiver reports
    /// a closed channel if the key is not live or the thread ends first.
    ///
    /// # Errors
    /// `Full` or `Gone`, as `send`.
    pub fn remove(&self, key: EndpointKey) -> Result<Receiver<E>, DriverError> {
        let (reply, removed) = mpsc::sync_channel(1);
        self.offer(Message::Remove(key, reply)).map_err(|(reason, _)| reason)?;
        Ok(removed)
    }

    /// Returns what the driver has counted so far.
    pub fn counters(&self) -> Counters {
        self.shared.counters.snapshot()
    }

    /// Returns what the thread shares with its senders.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    fn offer(&self, message: Message<E>) -> Result<(), (DriverError, Message<E>)> {
        match self.queue.try_send(message) {
            Ok(()) => {
                self.shared.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(message)) => {
                self.shared.counters.commands_full.add_shared(1);
                Err((DriverError::Full { commands_max: self.shared.commands_max }, message))
            }
            Err(TrySendError::Disconnected(message)) => Err((DriverError::Gone, message)),
        }
    }
}

impl<E: Endpoint> Clone for DriverSender<E> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), shared: Arc::clone(&self.shared) }
    }
}

/// What goes through the queue. One queue, so that an addition precedes its commands.
pub(crate) enum Message<E: Endpoint> {
    Add(EndpointKey, Box<(MediaSocket, E)>),
    Command(EndpointKey, E::Command),
    Remove(EndpointKey, SyncSender<E>),
}

/// Makes the two ends of a driver's queue.
pub(crate) fn channel<E: Endpoint>(
    config: &DriverConfig,
) -> Result<(DriverSender<E>, Receiver<Message<E>>), StartError> {
    let commands_max = config.commands_max.max(1);
    let (queue, messages) = mpsc::sync_channel(commands_max);
    let shared = Arc::new(Shared {
        keys: Mutex::new(KeyAllocator::new(config.endpoints_max)),
        poller: Poller::new().map_err(StartError::Poller)?,
        waker: Waker::new().map_err(StartError::Poller)?,
        counters: SharedCounters::default(),
        is_stopping: AtomicBool::new(false),
        commands_max,
        endpoints_max: config.endpoints_max,
        is_watching: config.rounds.is_none(),
    });
    Ok((DriverSender { queue, shared }, messages))
}

/// What the thread and its senders share.
pub(crate) struct Shared {
    /// Locked when endpoints come and go, never for packets or commands.
    keys: Mutex<KeyAllocator>,
    pub(crate) poller: Poller,
    pub(crate) waker: Waker,
    pub(crate) counters: SharedCounters,
    is_stopping: AtomicBool,
    pub(crate) commands_max: usize,
    endpoints_max: usize,
    /// Whether the poller watches the sockets.
    is_watching: bool,
}

impl Shared {
    /// Stops watching a socket and frees its key.
    pub(crate) fn release(&self, key: EndpointKey, fd: std::os::fd::RawFd) {
        if self.is_watching
            && let Err(error) = self.poller.remove(fd)
        {
            tracing::warn!(%key, %error, "a socket was not being watched");
        }
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).release(key);
    }

    /// Says whether the thread is to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    fn register(&self, fd: std::os::fd::RawFd) -> Result<EndpointKey, DriverError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoints_max = self.endpoints_max;
        let key = keys.allocate().ok_or(DriverError::EndpointsMax { endpoints_max })?;
        if self.is_watching
            && let Err(error) = self.poller.add(fd, key.token())
        {
            keys.release(key);
            return Err(DriverError::Register(error));
        }
        Ok(key)
    }

    fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.waker.wake();
    }
}
