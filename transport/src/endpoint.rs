//! What a driver drives.

use std::time::Duration;

use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};

use crate::load::Load;

/// One socket's owner on a driver's thread: a node's shard, or a member's media engine.
///
/// Pure: it is told the time, and reaches the network only through `transmit`. `now` may repeat
/// from call to call and never runs back. No call may block: other endpoints wait meanwhile.
pub trait Endpoint: Send {
    /// What tokio tasks tell this endpoint, in order, by `DriverSender::send`.
    type Command: Send;

    /// Takes one datagram, already split if the kernel had coalesced several.
    fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        transmit: &mut impl Transmit,
    );

    /// Takes one command.
    fn handle_command(
        &mut self,
        now: Instant,
        command: Self::Command,
        transmit: &mut impl Transmit,
    );

    /// Does what was due at `poll_timeout`; called at that time or later, never before.
    ///
    /// A deadline that is still past afterwards is due again at once, after the other endpoints.
    fn handle_timeout(&mut self, now: Instant, transmit: &mut impl Transmit);

    /// Returns when `handle_timeout` wants to be called next; asked after every call.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Learns that what it wrote was handed to the kernel.
    ///
    /// Called after a timeout, a command or a run of datagrams, and only if the kernel took at
    /// least one datagram of it; `now` is read after the system call.
    fn handle_sent(&mut self, now: Instant);

    /// Learns how busy its thread is, about every `LOAD_INTERVAL`; most endpoints do not care.
    fn handle_load(&mut self, _now: Instant, _load: &Load) {}

    /// Returns how long datagrams may wait for others, if the driver gathers as long: for ever if
    /// nothing is sent for what is in them before a deadline. Asked as often as the load is told.
    fn patience(&self) -> Duration {
        Duration::MAX
    }
}
