//! recvmmsg into a fixed slab.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::address::RawAddr;
use super::socket::MediaSocket;
use super::{check, socklen_of};

/// Memory for one batch of received messages, used for all sockets of a thread in turn.
pub(crate) struct ReceiveSlab {
    slab: Box<[u8]>,
    names: Box<[RawAddr]>,
    controls: Box<[Control]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    count: usize,
}

/// One message of a batch: one datagram, or several of one sender that the kernel coalesced.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// The sender, or `None` if the kernel gave none.
    pub(crate) from: Option<SocketAddr>,
    /// The payload of all datagrams, end to end.
    pub(crate) bytes: &'a mut [u8],
    /// Length of each datagram but the last, if the kernel coalesced several.
    pub(crate) segment_size: Option<usize>,
    /// When the kernel received the (first) datagram: CLOCK_REALTIME since the Unix epoch.
    pub(crate) stamp: Option<Duration>,
    /// Whether the kernel cut the message to fit.
    pub(crate) is_truncated: bool,
    /// How many datagrams this socket's receive buffer had no room for, ever; wraps.
    pub(crate) overflows: Option<u32>,
}

impl ReceiveSlab {
    /// Makes a slab; this is its only allocation. Pages cost memory once they are used.
    pub(crate) fn new() -> Self {
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is integers and pointers, for which all-zero is a value.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            slab: vec![0; MESSAGES_MAX * MESSAGE_STRIDE].into_boxed_slice(),
            names: vec![RawAddr::empty(); MESSAGES_MAX].into_boxed_slice(),
            controls: vec![Control([0; CONTROL_WORDS]); MESSAGES_MAX].into_boxed_slice(),
            iovecs: vec![iovec; MESSAGES_MAX].into_boxed_slice(),
            headers: vec![header; MESSAGES_MAX].into_boxed_slice(),
            count: 0,
        }
    }

    /// Reads up to `count_max` messages without waiting; returns how many.
    ///
    /// At least one and at most `MESSAGES_MAX`. Few of them spare the kernel an attempt to read a
    /// message that is not there.
    ///
    /// # Errors
    /// The kernel's answer: `WouldBlock` if there are none, `ConnectionRefused` and its like if
    /// an ICMP error was pending.
    pub(crate) fn receive(&mut self, socket: &MediaSocket, count_max: usize) -> io::Result<usize> {
        self.count = 0;
        let count_max = count_max.clamp(1, MESSAGES_MAX);
        self.point_headers(count_max);
        let vlen = libc::c_uint::try_from(count_max).expect("a small number");
        // SAFETY: `point_headers` has just pointed the first `count_max` headers at memory that
        // `self` owns, that does not overlap, and that nothing else refers to during the call.
        let count = check(unsafe {
            libc::recvmmsg(
                socket.raw_fd(),
                self.headers.as_mut_ptr(),
                vlen,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        })?;
        self.count = usize::try_from(count).expect("checked not to be negative");
        Ok(self.count)
    }

    /// Returns the message at `index` of the last batch.
    pub(crate) fn message(&mut self, index: usize) -> Message<'_> {
        assert!(index < self.count, "index of a message in this batch");
        let header = &self.headers[index];
        let len = (header.msg_len as usize).min(MESSAGE_SIZE_MAX);
        let ancillary = ancillary(&header.msg_hdr);
        Message {
            from: self.names[index].load(),
            bytes: &mut self.slab[index * MESSAGE_STRIDE..][..len],
            segment_size: ancillary.segment_size,
            stamp: ancillary.stamp,
            is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            overflows: ancillary.overflows,
        }
    }

    /// Points the first headers at their slots; the kernel overwrites lengths, so before each call.
    fn point_headers(&mut self, count: usize) {
        let slots = self.slab.chunks_exact_mut(MESSAGE_STRIDE);
        for (index, slot) in slots.take(count).enumerate() {
            let iovec = &mut self.iovecs[index];
            self.names[index].clear();
            iovec.iov_base = slot.as_mut_ptr().cast();
            iovec.iov_len = MESSAGE_SIZE_MAX;
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = self.names[index].as_mut_ptr().cast();
            header.msg_namelen = socklen_of::<RawAddr>();
            header.msg_iov = &raw mut *iovec;
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].0.as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>();
            header.msg_flags = 0;
        }
    }
}

/// What the kernel says about a message beside its bytes.
#[derive(Default)]
struct Ancillary {
    segment_size: Option<usize>,
    stamp: Option<Duration>,
    overflows: Option<u32>,
}

/// Reads the control messages that the kernel wrote for `header`.
fn ancillary(header: &libc::msghdr) -> Ancillary {
    let mut found = Ancillary::default();
    // SAFETY: the header's control buffer is live, aligned for cmsghdr, and as long as the kernel
    // said; the macros walk within it. Payloads are read unaligned, at most as long as the option's
    // type, for which CMSG_SPACE was reserved.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = next.as_ref() {
            let payload = libc::CMSG_DATA(control);
            match (control.cmsg_level, control.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let stamp = payload.cast::<libc::timespec>().read_unaligned();
                    found.stamp = duration(stamp);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    found.overflows = Some(payload.cast::<u32>().read_unaligned());
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size = payload.cast::<libc::c_int>().read_unaligned();
                    found.segment_size = usize::try_from(size).ok().filter(|size| *size > 0);
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, control);
        }
    }
    found
}

fn duration(time: libc::timespec) -> Option<Duration> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
}

/// Room for control messages, aligned for `cmsghdr`.
#[derive(Clone, Copy)]
struct Control([u64; CONTROL_WORDS]);

/// 128 bytes: stamp (32), overflow count (24) and segment size (24) take 80.
const CONTROL_WORDS: usize = 16;

/// Messages in a batch: chosen because the call's cost is spread thin by then.
pub(crate) const MESSAGES_MAX: usize = 32;

/// The longest message in bytes: what UDP_GRO coalesces stays below 64 KiB, an IP packet's limit.
const MESSAGE_SIZE_MAX: usize = 1 << 16;

/// Distance of two messages in bytes: skewed by three cache lines, since at a round 64 KiB all
/// messages would begin in the same few cache sets.
const MESSAGE_STRIDE: usize = MESSAGE_SIZE_MAX + 192;
