//! What an endpoint writes into, and when it goes to the kernel.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use sabha_media::transmit::Transmit;

use crate::batch::{Datagrams, SendBatch};
use crate::counters::SharedCounters;
use crate::flush::{Kernel, send_all};
use crate::gso::Gso;
use crate::raw::send::SendHeaders;
use crate::raw::socket::MediaSocket;

/// The sending half of a driver's thread, used for all its sockets in turn.
pub(crate) struct Sender {
    batch: SendBatch,
    headers: SendHeaders,
    /// How long this turn may still wait for full send buffers.
    wait_left: Duration,
    /// Whether the kernel took anything since `take_sent`.
    is_sent: bool,
    /// Datagrams taken in and written since `begin_share`.
    work: usize,
}

impl Sender {
    /// Makes an empty sender.
    pub(crate) fn new() -> Self {
        Self {
            batch: SendBatch::new(),
            headers: SendHeaders::new(),
            wait_left: SEND_WAIT_MAX,
            is_sent: false,
            work: 0,
        }
    }

    /// Begins a turn of the driver's loop, with a full budget for waiting.
    pub(crate) fn begin_turn(&mut self) {
        self.wait_left = SEND_WAIT_MAX;
    }

    /// Lends the sender to one endpoint with its socket.
    pub(crate) fn outgoing<'a>(
        &'a mut self,
        socket: &'a MediaSocket,
        gso: &'a mut Gso,
        counters: &'a SharedCounters,
    ) -> Outgoing<'a> {
        Outgoing { sender: self, socket, gso, counters }
    }

    /// Says whether the kernel took anything since the last call.
    pub(crate) fn take_sent(&mut self) -> bool {
        std::mem::take(&mut self.is_sent)
    }

    /// Begins to count the work between two looks at the deadlines.
    pub(crate) fn begin_share(&mut self) {
        self.work = 0;
    }

    /// Says whether so much was done that deadlines are to be looked at.
    pub(crate) fn is_share_done(&self) -> bool {
        self.work >= WORK_PER_LOOK
    }
}

/// What an endpoint writes into; a full batch leaves at once, the rest with `flush`.
pub(crate) struct Outgoing<'a> {
    sender: &'a mut Sender,
    socket: &'a MediaSocket,
    gso: &'a mut Gso,
    counters: &'a SharedCounters,
}

impl<'a> Outgoing<'a> {
    /// Notes datagrams that were taken in.
    pub(crate) fn add_work(&mut self, datagrams: usize) {
        self.sender.work += datagrams;
    }

    /// Says whether deadlines are to be looked at before the next datagram.
    pub(crate) fn is_share_done(&self) -> bool {
        self.sender.is_share_done()
    }

    /// Returns the driver's counters.
    pub(crate) fn counters(&self) -> &'a SharedCounters {
        self.counters
    }

    /// Sends what was written; what the kernel refuses is counted and dropped.
    pub(crate) fn flush(&mut self) {
        let Sender { batch, headers, wait_left, is_sent, .. } = &mut *self.sender;
        if batch.len() > 0 {
            let mut kernel = SocketKernel { headers, socket: self.socket };
            *is_sent |= send_all(batch, self.gso, &mut kernel, wait_left, self.counters) > 0;
            batch.clear();
        }
    }
}

impl Transmit for Outgoing<'_> {
    fn transmit(&mut self, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        if self.sender.batch.is_full_for(to) {
            self.flush();
        }
        self.sender.work += 1;
        self.sender.batch.push(to, write);
    }
}

struct SocketKernel<'a> {
    headers: &'a mut SendHeaders,
    socket: &'a MediaSocket,
}

impl Kernel for SocketKernel<'_> {
    fn send(&mut self, batch: &SendBatch, first: usize, is_gathering: bool) -> io::Result<usize> {
        self.headers.send(self.socket, batch, first, is_gathering)
    }

    fn wait_writable(&mut self, timeout: Duration) -> Duration {
        self.socket.wait_writable(timeout)
    }
}

/// How long one turn of the loop may wait for full buffers in all: a tenth of a 20 ms tick.
const SEND_WAIT_MAX: Duration = Duration::from_millis(2);

/// Datagrams taken in and written before deadlines are looked at: at 3.5 µs of sending for each,
/// 0.4 ms. A single call into an endpoint may still write more. Chosen: all that 10,000 members send
/// while a tick is sent is read before the next.
const WORK_PER_LOOK: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_that_the_kernel_refuses_to_cut_leaves_singly() {
        let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.make_uncuttable();
        let sink = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sink.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let to = sink.local_addr().unwrap();
        let (mut sender, mut gso) = (Sender::new(), Gso::new(true));
        let counters = SharedCounters::default();
        let mut outgoing = sender.outgoing(&socket, &mut gso, &counters);
        for number in 0..3 {
            outgoing.transmit(to, |slot| {
                slot[0] = number;
                100
            });
        }
        outgoing.flush();
        for number in 0..3 {
            let mut got = [0xff; 200];
            assert_eq!(sink.recv(&mut got).unwrap(), 100);
            assert_eq!(got[0], number);
        }
        let counters = counters.snapshot();
        assert_eq!((counters.datagrams_out, counters.gso_messages), (3, 0));
        assert_eq!((counters.gso_fallbacks, counters.syscalls_out), (1, 2));
        assert!(!gso.is_on());
    }
}
