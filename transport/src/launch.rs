//! Starts a media thread, with its core and its priority, in the loop of its back end.

use crate::clock::Clock;
use crate::driver::DriverConfig;
use crate::endpoint::Endpoint;
use crate::error::StartError;
use crate::handle::{self, DriverHandle, Shared};
use crate::key::EndpointKey;
use crate::raw::thread;
use crate::turns::{Turns, WAKE};

/// Starts a thread that runs `body` until it is told to stop; the endpoints it returns are its
/// handle's.
pub(crate) fn launch<E: Endpoint + 'static>(
    config: DriverConfig,
    clock: Clock,
    body: impl FnOnce(Turns<E>, &Shared) -> Vec<(EndpointKey, E)> + Send + 'static,
) -> Result<DriverHandle<E>, StartError> {
    let (sender, messages) = handle::channel(&config)?;
    let shared = sender.shared();
    shared.poller.add(shared.waker.raw_fd(), WAKE).map_err(StartError::Poller)?;
    let name = config.name.clone();
    let thread = std::thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            prepare(config.core, config.real_time);
            body(Turns::new(shared.clone(), messages, clock, &config), &shared)
        })
        .map_err(|source| StartError::Thread { name, source })?;
    Ok(DriverHandle::new(sender, thread))
}

/// Gives the calling thread what it was configured to have, as far as the kernel allows.
fn prepare(core: Option<usize>, real_time: bool) {
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
