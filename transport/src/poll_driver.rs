//! The back end that works everywhere: one thread on epoll, recvmmsg and sendmmsg.

use std::marker::PhantomData;

use crate::clock::Clock;
use crate::driver::{Driver, DriverConfig};
use crate::endpoint::Endpoint;
use crate::error::StartError;
use crate::handle::{self, DriverHandle};
use crate::raw::thread;
use crate::turns::{Turns, WAKE};

/// Drives any number of endpoints from one plain thread.
pub struct PollDriver<E>(PhantomData<fn() -> E>);

impl<E: Endpoint + 'static> Driver<E> for PollDriver<E> {
    fn start(config: DriverConfig, clock: Clock) -> Result<DriverHandle<E>, StartError> {
        let (sender, messages) = handle::channel(&config)?;
        let shared = sender.shared();
        shared.poller.add(shared.waker.raw_fd(), WAKE).map_err(StartError::Poller)?;
        let DriverConfig { name, core, real_time, .. } = config;
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                prepare_thread(core, real_time);
                Turns::new(shared, messages, clock).run()
            })
            .map_err(|source| StartError::Thread { name, source })?;
        Ok(DriverHandle::new(sender, thread))
    }
}

fn prepare_thread(core: Option<usize>, real_time: bool) {
    if let Some(core) = core
        && let Err(error) = thread::pin_to_core(core)
    {
        tracing::warn!(core, %error, "a media thread runs unpinned");
    }
    if real_time && let Err(error) = thread::run_in_real_time() {
        tracing::info!(%error, "a media thread shares its core with all others; on a busy machine \
                                sound may be late (CAP_SYS_NICE would help)");
    }
    if let Err(error) = thread::sharpen_timers() {
        tracing::warn!(%error, "a media thread's timers may be 50 µs late");
    }
}
