//! Which back end runs: what is asked for, and what the system allows.

use std::fmt;
use std::str::FromStr;

use crate::clock::Clock;
use crate::driver::{Driver, DriverConfig};
use crate::endpoint::Endpoint;
use crate::error::StartError;
use crate::handle::DriverHandle;
use crate::poll_driver::PollDriver;

/// Which back end is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverKind {
    /// Whichever is cheaper by this project's bench and allowed here: at present `Poll`.
    #[default]
    Auto,
    /// epoll; works everywhere.
    Poll,
    /// glommio, on io_uring.
    Glommio,
}

impl FromStr for DriverKind {
    type Err = DriverKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "poll" => Ok(Self::Poll),
            "glommio" => Ok(Self::Glommio),
            _ => Err(DriverKindError(text.into())),
        }
    }
}

/// A text names no back end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no driver {0:?}; take \"auto\", \"poll\" or \"glommio\"")]
pub struct DriverKindError(pub String);

/// Which back end runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverName {
    /// epoll.
    Poll,
    /// glommio, on io_uring.
    Glommio,
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poll => "poll",
            Self::Glommio => "glommio",
        })
    }
}

/// Starts a driver's thread, and tells which back end it runs on.
///
/// A back end that the system refuses is replaced by `poll`, and the log says why.
///
/// # Errors
/// `StartError` if the kernel gives no thread or no descriptors.
pub fn start_driver<E: Endpoint + 'static>(
    kind: DriverKind,
    config: DriverConfig,
    clock: Clock,
) -> Result<(DriverHandle<E>, DriverName), StartError> {
    let is_glommio_wanted = match kind {
        DriverKind::Auto => CHEAPEST == DriverName::Glommio,
        DriverKind::Poll => false,
        DriverKind::Glommio => true,
    };
    if is_glommio_wanted && let Some(handle) = start_glommio(&config, clock)? {
        return Ok((handle, DriverName::Glommio));
    }
    Ok((PollDriver::start(config, clock)?, DriverName::Poll))
}

/// Starts glommio, or returns `None` if it cannot be had, with the reason in the log.
#[cfg(feature = "glommio")]
fn start_glommio<E: Endpoint + 'static>(
    config: &DriverConfig,
    clock: Clock,
) -> Result<Option<DriverHandle<E>>, StartError> {
    match crate::glommio_driver::GlommioDriver::start(config.clone(), clock) {
        Ok(handle) => Ok(Some(handle)),
        Err(error @ (StartError::IoUring(_) | StartError::Glommio(_))) => {
            tracing::warn!("{error}; the media thread runs on poll instead");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(not(feature = "glommio"))]
fn start_glommio<E: Endpoint + 'static>(
    _config: &DriverConfig,
    _clock: Clock,
) -> Result<Option<DriverHandle<E>>, StartError> {
    tracing::warn!("this build has no glommio; the media thread runs on poll");
    Ok(None)
}

/// What `Auto` takes: the cheaper of the two in `benches/forward`, three runs.
///
/// Sending a tick to thousands of sockets costs `poll` 1.00 to 1.02 times a bare sendmmsg loop,
/// glommio 1.01 to 1.04; receiving it costs both 2.2 to 2.6 µs for each datagram. A single datagram
/// that wakes the thread and is sent on costs glommio, which passes through three rings, 6.2 to
/// 7.8 µs, and `poll` 4.9 to 5.9; the node of the demo, which is mostly idle, spends 7.4 ms a
/// member-second on glommio and 5.4 to 5.9 on `poll`. And `poll` starts everywhere, locks no memory
/// and allocates nothing while it waits.
const CHEAPEST: DriverName = DriverName::Poll;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_by_name_and_others_refused() {
        assert_eq!("auto".parse(), Ok(DriverKind::Auto));
        assert_eq!("poll".parse(), Ok(DriverKind::Poll));
        assert_eq!("glommio".parse(), Ok(DriverKind::Glommio));
        let error = "epoll".parse::<DriverKind>().unwrap_err();
        assert!(error.to_string().contains("epoll"), "{error}");
    }
}
