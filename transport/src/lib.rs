//! The only home of media sockets, of their drivers and of the clock.
//!
//! On a packet's way this crate is step 1 (`recvmmsg` into a fixed slab, each datagram handed to an
//! [`Endpoint`]) and step 5 (what the endpoint wrote leaves by `sendmmsg`, and what goes to one
//! address as one message, which the kernel cuts). It knows addresses and bytes, never conferences, keys or codecs. A [`Driver`] runs endpoints on one thread; control
//! talks to that thread through a [`DriverHandle`], by a bounded queue that never carries media.
//!
//! Linux only. All `unsafe` code is in the module `raw`.

mod appetite;
mod batch;
mod clock;
mod counters;
mod deadlines;
mod driver;
mod endpoint;
mod error;
mod flush;
#[cfg(feature = "glommio")]
mod glommio_driver;
mod gso;
mod handle;
mod intake;
mod key;
mod launch;
mod load;
mod outgoing;
mod poll_driver;
mod raw;
mod start;
mod table;
mod turns;
mod wait;

pub use clock::{Clock, ClockReading};
pub use counters::{Counters, LATENESS_BUCKETS, Lateness};
pub use driver::{Driver, DriverConfig};
pub use endpoint::Endpoint;
pub use error::{AddError, BindError, DriverError, SendError, StartError};
#[cfg(feature = "glommio")]
pub use glommio_driver::GlommioDriver;
pub use handle::{DriverHandle, DriverSender};
pub use key::EndpointKey;
pub use load::{LOAD_INTERVAL, Load};
pub use poll_driver::PollDriver;
pub use raw::limit::raise_descriptor_limit;
pub use raw::send::{BATCH_MAX, SendHeaders};
pub use raw::socket::MediaSocket;
#[cfg(feature = "glommio")]
pub use raw::uring::UringRefusal;
pub use start::{DriverKind, DriverKindError, DriverName, start_driver};
