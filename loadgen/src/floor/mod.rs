//! The floor: what sending the same packets costs a process that does nothing else.
//!
//! A child process sends packets of the given sizes at the given cadence by sendmmsg; this process
//! receives them as the load generator's members do, on a driver with a socket for each. The way to
//! the receiver's socket is part of sending over loopback, so receivers of another kind would give
//! another floor. No cryptography, no codec, no state: only the kernel's work.

mod command;
mod foreign;
mod receivers;
mod sender;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

use self::receivers::Receivers;
use crate::report::Floor;

pub use self::{command::FloorArgs, receivers::receivers_config, sender::send_as_child};

/// What to send.
#[derive(Clone, Debug)]
pub struct FloorPlan {
    /// Sockets to send to.
    pub sockets: usize,
    /// Octets of each UDP payload: one size for each round, over and over.
    pub sizes: Vec<usize>,
    /// Time between two packets to the same socket.
    pub interval: Duration,
    /// Parts that the sockets are sent to in turn within `interval`; 1 sends to all at once. A
    /// mixer with packets of 60 ms sends a third of them every 20 ms.
    pub cohorts: usize,
    /// Packets for a socket at a time, all of one size, sent as one message that the kernel cuts
    /// (GSO): on average, if it is no whole number. At least 1.
    pub gather: f64,
    /// How long to measure, after a warm-up.
    pub seconds: f64,
}

/// The name of the hidden command that calls [`send_as_child`].
pub const SENDER_COMMAND: &str = "floor-sender";

/// Measures the floor; blocks for the plan's time and the warm-up.
///
/// # Errors
/// `FloorError` with the step that failed, or if the kernel lost so many packets that the figure
/// would mean something else.
pub fn measure(plan: &FloorPlan) -> Result<Floor, FloorError> {
    measure_with(plan, run_child)
}

/// Measures with one of the sending sides.
fn measure_with(
    plan: &FloorPlan,
    send: impl FnOnce(&Order) -> Result<Sent, FloorError>,
) -> Result<Floor, FloorError> {
    let counts = [plan.sockets, plan.sizes.len(), plan.cohorts];
    if counts.contains(&0) || plan.interval.is_zero() || plan.gather.max(0.0) < 1.0 {
        return Err(FloorError::EmptyPlan);
    }
    let receivers = Receivers::start(plan.sockets)?;
    let order = Order {
        to: receivers.addresses().to_vec(),
        sizes: plan.sizes.clone(),
        interval: plan.interval,
        cohorts: plan.cohorts.min(plan.sockets),
        gather: plan.gather,
        seconds: plan.seconds,
    };
    let sent = send(&order)?;
    let received = receivers.finish(sent.datagrams_all);
    if (received as f64) < RECEIVED_MIN * sent.datagrams_all as f64 {
        return Err(FloorError::Lost { sent: sent.datagrams_all, received });
    }
    Ok(Floor {
        cpu_us_per_packet: sent.cpu.as_secs_f64() * 1e6 / sent.datagrams.max(1) as f64,
        packets: sent.datagrams,
        received,
        sockets: u32::try_from(plan.sockets).unwrap_or(u32::MAX),
        bytes_mean: plan.sizes.iter().sum::<usize>() as f64 / plan.sizes.len() as f64,
        interval_ms: sent.interval_ms(plan.sockets as f64 * plan.gather),
        gather: (plan.gather * 100.0).round() / 100.0,
        seconds: sent.elapsed.as_secs_f64(),
    })
}

/// What the child is told, as JSON on its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    to: Vec<SocketAddr>,
    sizes: Vec<usize>,
    interval: Duration,
    cohorts: usize,
    gather: f64,
    seconds: f64,
}

/// What the child tells, as JSON on its standard output.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    /// CPU of the child over the measured part, its waits for the next round included.
    cpu: Duration,
    /// Length of the measured part.
    elapsed: Duration,
    /// Datagrams that the kernel took in the measured part.
    datagrams: u64,
    /// The same, with the warm-up.
    datagrams_all: u64,
}

impl Sent {
    /// The cadence that was kept: on a machine that is too slow, longer than the one ordered.
    ///
    /// Takes how many packets were due at a time, to all sockets together, on average.
    fn interval_ms(&self, packets_due: f64) -> f64 {
        let times = self.datagrams as f64 / packets_due;
        self.elapsed.as_secs_f64() * 1e3 / times
    }
}

fn run_child(order: &Order) -> Result<Sent, FloorError> {
    let program = std::env::current_exe().map_err(FloorError::Child)?;
    let mut child = Command::new(program)
        .arg(SENDER_COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(FloorError::Child)?;
    let told = tell(&mut child, order);
    let output = child.wait_with_output().map_err(FloorError::Child)?;
    told.map_err(FloorError::Child)?;
    if !output.status.success() {
        return Err(FloorError::ChildFailed(output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(FloorError::Answer)
}

/// Writes the order and closes the pipe, at which the child begins.
fn tell(child: &mut Child, order: &Order) -> io::Result<()> {
    let stdin = child.stdin.take().expect("the child was started with a pipe");
    serde_json::to_writer(stdin, order).map_err(io::Error::from)
}

/// For people: one line.
impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.3} µs of CPU for each packet: {} of {:.0} octets to {} sockets, {} to each every \
             {:.1} ms, for {:.1} s",
            self.cpu_us_per_packet,
            self.packets,
            self.bytes_mean,
            self.sockets,
            self.gather,
            self.interval_ms,
            self.seconds
        )
    }
}

/// Why the floor was not measured.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// The plan sends nothing.
    #[error(
        "the floor needs at least one socket, one size, one part, one packet and an interval above 0"
    )]
    EmptyPlan,
    /// The receiving side could not be set up.
    #[error("cannot set up {sockets} receiving sockets: {reason}")]
    Receivers {
        /// How many were wanted.
        sockets: usize,
        /// What went wrong.
        reason: String,
    },
    /// The sending process could not be run.
    #[error("cannot run the sending process: {0}")]
    Child(#[source] io::Error),
    /// The sending process failed; its own message is on standard error.
    #[error("the sending process ended with {0}")]
    ChildFailed(std::process::ExitStatus),
    /// The sending process said something else than its figures.
    #[error("the sending process's answer cannot be read: {0}")]
    Answer(#[source] serde_json::Error),
    /// Another sending program said something else than three figures.
    #[error("the sending program should print CPU in ns, packets, and all packets; it said {0:?}")]
    Foreign(String),
    /// Too much got lost.
    #[error(
        "only {received} of {sent} packets were received: the machine is too busy to measure \
         the floor; stop other programs, or take fewer sockets or a longer interval"
    )]
    Lost {
        /// Datagrams that the kernel took.
        sent: u64,
        /// Datagrams that the receivers got.
        received: u64,
    },
}

/// A dropped packet wakes nobody and so costs less; below this share the figure would be too low.
const RECEIVED_MIN: f64 = 0.99;
