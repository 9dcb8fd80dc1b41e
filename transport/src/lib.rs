//! The only home of media sockets, of their drivers and of the clock.
//!
//! On a packet's way this crate is step 1 (`recvmmsg` into a fixed slab, each datagram handed to an
//! [`Endpoint`]) and step 5 (what the endpoint wrote leaves by `sendmmsg`). It knows addresses and
//! bytes, never conferences, keys or codecs. A [`Driver`] runs endpoints on one thread; control
//! talks to that thread through a [`DriverHandle`], by a bounded queue that never carries media.
//!
//! Linux only. All `unsafe` code is in the module `raw`.

mod batch;
mod clock;
mod counters;
mod deadlines;
mod driver;
mod endpoint;
mod error;
mod flush;
mod handle;
mod intake;
mod key;
mod outgoing;
mod poll_driver;
mod raw;
mod table;
mod turns;

pub use clock::{Clock, ClockReading};
pub use counters::{Counters, LATENESS_BUCKETS, Lateness};
pub use driver::{Driver, DriverConfig};
pub use endpoint::Endpoint;
pub use error::{AddError, BindError, DriverError, SendError, StartError};
pub use handle::{DriverHandle, DriverSender};
pub use key::EndpointKey;
pub use poll_driver::PollDriver;
pub use raw::limit::raise_descriptor_limit;
pub use raw::socket::MediaSocket;
