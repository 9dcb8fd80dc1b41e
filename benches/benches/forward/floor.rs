//! The floor: a bare sendmmsg loop over headers that were prepared once.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use sabha_media::time::Instant;
use sabha_transport::{BATCH_MAX, Clock};

use crate::{CORE, prepare_thread, thread_cpu};

/// Sends `segments` datagrams of `bytes` to each sink at `first` and every `period`, several as one
/// message that the kernel cuts; returns the processor time of `ticks`, with the waits before them.
pub fn run(
    sinks: &[SocketAddr],
    bytes: &[u8],
    segments: usize,
    clock: Clock,
    first: Instant,
    period: Duration,
    ticks: std::ops::Range<u32>,
) -> Duration {
    prepare_thread(CORE);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    cut(&socket, if segments > 1 { bytes.len() } else { 0 });
    let message = bytes.repeat(segments);
    let mut slab = vec![0; BATCH_MAX * SLOT_STRIDE];
    slab.chunks_mut(SLOT_STRIDE).for_each(|slot| slot[..message.len()].copy_from_slice(&message));
    let mut names: Vec<_> = sinks.iter().copied().map(name).collect();
    let mut iovecs: Vec<_> = (0..sinks.len())
        .map(|place| libc::iovec {
            iov_base: slab[place % BATCH_MAX * SLOT_STRIDE..].as_mut_ptr().cast(),
            iov_len: message.len(),
        })
        .collect();
    let mut headers = headers(&mut names, &mut iovecs);
    let mut spent_before = Duration::ZERO;
    for tick in 0..ticks.end {
        if tick == ticks.start {
            spent_before = thread_cpu();
        }
        let due = first + period * tick;
        std::thread::sleep(due.saturating_since(clock.now()));
        for batch in headers.chunks_mut(BATCH_MAX) {
            send(&socket, batch);
        }
    }
    thread_cpu() - spent_before
}

/// Makes the kernel cut each message into datagrams of `size` bytes; 0 leaves them whole.
fn cut(socket: &UdpSocket, size: usize) {
    let (fd, size) = (socket.as_raw_fd(), libc::c_int::try_from(size).unwrap());
    // SAFETY: the pointer is to a live int of the length given.
    let result = unsafe {
        libc::setsockopt(fd, libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const size).cast(), 4)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn send(socket: &UdpSocket, headers: &mut [libc::mmsghdr]) {
    let count = u32::try_from(headers.len()).unwrap();
    // SAFETY: the headers point at names, iovecs and bytes that `run` keeps alive.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, 0) };
    assert_eq!(usize::try_from(sent).unwrap(), headers.len(), "loopback takes a whole batch");
}

fn name(addr: SocketAddr) -> libc::sockaddr_in {
    let SocketAddr::V4(addr) = addr else { panic!("the sinks are IPv4") };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*addr.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

fn headers(names: &mut [libc::sockaddr_in], iovecs: &mut [libc::iovec]) -> Vec<libc::mmsghdr> {
    let pairs = names.iter_mut().zip(iovecs);
    let header = |(name, iovec): (&mut libc::sockaddr_in, &mut libc::iovec)| {
        // SAFETY: mmsghdr is integers and pointers, for which all-zero is a value.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_name = (&raw mut *name).cast();
        header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        header.msg_hdr.msg_iov = iovec;
        header.msg_hdr.msg_iovlen = 1;
        header
    };
    pairs.map(header).collect()
}

/// Distance of two payloads, as in a driver's batch.
const SLOT_STRIDE: usize = 1_536;
