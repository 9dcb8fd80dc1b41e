//! How a pure endpoint hands datagrams to whoever owns the socket.

use std::net::SocketAddr;

use crate::time::Instant;

/// One datagram as it came from the network.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Who sent it. Unauthenticated: nothing may be learned from it by itself.
    pub from: SocketAddr,
    /// When the kernel received it, on the driver's clock; never later than `now`.
    pub received_at: Instant,
    /// The payload, to be decrypted in place.
    pub bytes: &'a mut [u8],
}

/// Takes outgoing datagrams, written straight into the sender's memory.
pub trait Transmit {
    /// Offers one slot of `DATAGRAM_SIZE_MAX` bytes; `write` fills it and returns the length.
    ///
    /// A length of 0 sends nothing. The datagram leaves no later than the end of the current
    /// call into the endpoint.
    fn transmit(&mut self, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize);
}

/// The largest datagram that is sent or accepted, in bytes: a 1500-byte Ethernet payload.
pub const DATAGRAM_SIZE_MAX: usize = 1500;
