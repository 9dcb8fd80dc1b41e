//! What all back ends have in common.

use std::time::Duration;

use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::error::StartError;
use crate::handle::DriverHandle;

/// A back end: one thread that moves datagrams between sockets and endpoints.
pub trait Driver<E: Endpoint + 'static> {
    /// Starts the thread.
    ///
    /// # Errors
    /// `StartError` if the kernel gives no thread or no descriptors.
    fn start(config: DriverConfig, clock: Clock) -> Result<DriverHandle<E>, StartError>;
}

/// How a driver's thread is set up.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// The thread's name; the kernel shows its first 15 bytes.
    pub name: String,
    /// The core to pin the thread to. If the kernel refuses, the thread runs unpinned and logs it.
    pub core: Option<usize>,
    /// Whether the thread runs before all ordinary ones (SCHED_RR). If the kernel refuses, it does
    /// not and logs it.
    pub real_time: bool,
    /// How long a datagram or a message may wait for others, so that the thread wakes once for
    /// many; no longer than the least patient endpoint lets it. Deadlines come on time all the same,
    /// after what has arrived by then.
    pub gather: Duration,
    /// Whether they wait only while there is much to do: a thousand datagrams a second, or a tenth of
    /// the time.
    pub gather_when_busy: bool,
    /// How often all sockets are read, ready or not. By default the kernel tells which are ready,
    /// and whoever sends to them on the same machine pays for that: about a sixth of a datagram's
    /// cost. For sockets that receive at a steady rate and owe nobody an answer.
    pub rounds: Option<Duration>,
    /// Messages (commands, additions, removals) that may wait in the queue; at least 1 is used.
    pub commands_max: usize,
    /// Endpoints on the thread at one time.
    pub endpoints_max: usize,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            name: "sabha-media".into(),
            core: None,
            real_time: false,
            gather: GATHER,
            gather_when_busy: false,
            rounds: None,
            commands_max: COMMANDS_MAX,
            endpoints_max: ENDPOINTS_MAX,
        }
    }
}

/// A twentieth of a frame: a mixer reads what has arrived before its tick either way, so this costs
/// no delay, and a thread with 3,000 sockets that receive a datagram each is woken fifty times less
/// often and spends 2.2 to 2.4 µs on each instead of 4.5 to 5.1 (`benches/forward`).
const GATHER: Duration = Duration::from_millis(1);

/// Messages in a queue: chosen because a thread clears 1,024 well within a 20 ms tick.
const COMMANDS_MAX: usize = 1_024;

/// Endpoints on a thread: loadgen's 10,000 members with room to spare.
const ENDPOINTS_MAX: usize = 16_384;
