//! The receiving side: sockets on a driver, whose endpoints only count.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant as WallClock};

use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};
use sabha_transport::{
    Clock, Driver, DriverConfig, DriverError, DriverHandle, Endpoint, MediaSocket, PollDriver,
    raise_descriptor_limit,
};

use super::FloorError;

/// Sockets that receive and count until finished.
pub(super) struct Receivers {
    driver: DriverHandle<Count>,
    addresses: Vec<SocketAddr>,
}

impl Receivers {
    /// Binds so many sockets and starts to drain them.
    pub(super) fn start(sockets: usize) -> Result<Self, FloorError> {
        let failed = |reason: String| FloorError::Receivers { sockets, reason };
        raise_descriptor_limit().map_err(|error| failed(error.to_string()))?;
        let config = DriverConfig { name: "floor".into(), ..receivers_config() };
        let config = DriverConfig { endpoints_max: sockets, ..config };
        let driver = PollDriver::start(config, Clock::process())
            .map_err(|error| failed(error.to_string()))?;
        let mut addresses = Vec::with_capacity(sockets);
        for _ in 0..sockets {
            addresses.push(add(&driver).map_err(failed)?);
        }
        Ok(Self { driver, addresses })
    }

    /// Returns where the sockets are.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits until `expected` datagrams came or no more come, and returns how many did.
    pub(super) fn finish(self, expected: u64) -> u64 {
        let start = WallClock::now();
        let received = || self.driver.counters().datagrams_in;
        while received() < expected && start.elapsed() < LAST_MAX {
            thread::sleep(LAST_STEP);
        }
        received()
    }
}

/// Adds one socket; waits while the driver's queue is full.
fn add(driver: &DriverHandle<Count>) -> Result<SocketAddr, String> {
    let socket = MediaSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).map_err(|e| e.to_string())?;
    let address = socket.local_addr().map_err(|error| error.to_string())?;
    let mut added = driver.add(socket, Count);
    while let Err(refused) = added {
        if !matches!(refused.reason, DriverError::Full { .. }) {
            return Err(refused.reason.to_string());
        }
        thread::sleep(LAST_STEP);
        let (socket, endpoint) = *refused.returned;
        added = driver.add(socket, endpoint);
    }
    Ok(address)
}

/// How a thread reads the sockets of those who listen: in a run as under the floor, and by the
/// clock, so that sending to them costs the same and no more than it must.
pub fn receivers_config() -> DriverConfig {
    DriverConfig { rounds: Some(ROUNDS), ..DriverConfig::default() }
}

/// Takes what comes; the driver counts it.
struct Count;

impl Endpoint for Count {
    type Command = ();

    fn handle_datagram(&mut self, _: Instant, _: Datagram<'_>, _: &mut impl Transmit) {}

    fn handle_command(&mut self, _: Instant, (): (), _: &mut impl Transmit) {}

    fn handle_timeout(&mut self, _: Instant, _: &mut impl Transmit) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_sent(&mut self, _: Instant) {}
}

/// How often the sockets are read. Chosen: the longest packets come so often, so that no reading is
/// in vain, and none of the shorter ones overflows a buffer meanwhile. The kernel stamps what
/// arrives, so a late reader falsifies nothing.
const ROUNDS: Duration = Duration::from_millis(60);

/// How long the last datagrams may take: chosen far above what a busy machine needs.
const LAST_MAX: Duration = Duration::from_secs(2);
const LAST_STEP: Duration = Duration::from_millis(1);
