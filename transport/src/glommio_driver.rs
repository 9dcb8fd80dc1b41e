//! The back end on glommio: its executor waits by io_uring, everything else is as with `poll`.
//!
//! The thread's one task awaits that the epoll descriptor becomes readable or a timer ends. Then
//! it drains the same raw sockets by the same calls.

use std::marker::PhantomData;
use std::sync::mpsc;
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use crate::clock::Clock;
use crate::driver::{Driver, DriverConfig};
use crate::endpoint::Endpoint;
use crate::error::StartError;
use crate::handle::{DriverHandle, Shared};
use crate::key::EndpointKey;
use crate::launch::launch;
use crate::raw::poller::Events;
use crate::raw::readiness::Readiness;
use crate::raw::uring;
use crate::turns::Turns;

/// Drives any number of endpoints from one thread with a glommio executor.
pub struct GlommioDriver<E>(PhantomData<fn() -> E>);

impl<E: Endpoint + 'static> Driver<E> for GlommioDriver<E> {
    fn start(config: DriverConfig, clock: Clock) -> Result<DriverHandle<E>, StartError> {
        uring::probe().map_err(StartError::IoUring)?;
        let (tell, outcome) = mpsc::sync_channel(1);
        let handle = launch(config, clock, move |turns, shared| {
            let executor = executor();
            // Whoever started the thread waits for this.
            let _ = tell.send(executor.as_ref().err().cloned());
            match executor {
                Ok(executor) => executor.run(run(turns, shared)),
                Err(_) => turns.finish(),
            }
        })?;
        match outcome.recv() {
            Ok(None) => Ok(handle),
            Ok(Some(reason)) => Err(StartError::Glommio(reason)),
            Err(_) => Err(StartError::Glommio("it panicked at its start".into())),
        }
    }
}

fn executor() -> Result<LocalExecutor, String> {
    LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(IO_MEMORY)
        .ring_depth(RING_DEPTH)
        .make()
        .map_err(|error| error.to_string())
}

/// Turns until it is told to stop; returns all endpoints.
async fn run<E: Endpoint>(mut turns: Turns<E>, shared: &Shared) -> Vec<(EndpointKey, E)> {
    let mut events = Events::new();
    if let Err(error) = turn_until_over(&mut turns, shared, &mut events).await {
        tracing::error!(%error, "waiting on glommio failed, the media thread ends");
    }
    turns.finish()
}

async fn turn_until_over<E: Endpoint>(
    turns: &mut Turns<E>,
    shared: &Shared,
    events: &mut Events,
) -> std::io::Result<()> {
    let mut readiness = Readiness::new(shared.poller.raw_fd()?)?;
    while !turns.is_over() {
        let wait = turns.prepare();
        let timeout = wait.gather();
        // Under load something is ready already, and io_uring need not be asked.
        shared.poller.wait(events, Some(Duration::ZERO))?;
        if events.len() == 0 && timeout != Some(Duration::ZERO) {
            readiness.wait(timeout).await?;
            shared.poller.wait(events, Some(Duration::ZERO))?;
        }
        turns.resume(wait, events);
    }
    Ok(())
}

/// Memory for glommio's own buffers, in bytes: the least it takes, as it is given nothing to do
/// that needs any.
const IO_MEMORY: usize = 64 << 10;

/// Entries in each of glommio's three rings: chosen because a question, a timer and its own
/// notifier are all that is ever under way, with room to spare.
const RING_DEPTH: usize = 32;
