//! The back end that works everywhere: one thread on epoll, recvmmsg and sendmmsg.

use std::marker::PhantomData;

use crate::clock::Clock;
use crate::driver::{Driver, DriverConfig};
use crate::endpoint::Endpoint;
use crate::error::StartError;
use crate::handle::{DriverHandle, Shared};
use crate::key::EndpointKey;
use crate::launch::launch;
use crate::raw::poller::Events;
use crate::turns::Turns;

/// Drives any number of endpoints from one plain thread.
pub struct PollDriver<E>(PhantomData<fn() -> E>);

impl<E: Endpoint + 'static> Driver<E> for PollDriver<E> {
    fn start(config: DriverConfig, clock: Clock) -> Result<DriverHandle<E>, StartError> {
        launch(config, clock, run)
    }
}

/// Turns until it is told to stop; returns all endpoints.
fn run<E: Endpoint>(mut turns: Turns<E>, shared: &Shared) -> Vec<(EndpointKey, E)> {
    let mut events = Events::new();
    while !turns.is_over() {
        let wait = turns.prepare();
        if let Err(error) = shared.poller.wait(&mut events, wait.gather()) {
            tracing::error!(%error, "epoll failed, the media thread ends");
            break;
        }
        turns.resume(wait, &events);
    }
    turns.finish()
}
