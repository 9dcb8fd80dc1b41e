//! sendmmsg of a batch; datagrams to one address as one message, which the kernel cuts (UDP GSO).

use std::io;
use std::mem::offset_of;
use std::net::SocketAddr;

use super::address::RawAddr;
use super::check;
use super::socket::MediaSocket;
use crate::batch::{DATAGRAMS_MAX, Datagrams};

/// Memory for the headers of one batch.
pub struct SendHeaders {
    names: Box<[RawAddr]>,
    controls: Box<[SegmentSize]>,
    /// One for each datagram; a message has several in a row if it is to be cut.
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl SendHeaders {
    /// Makes headers for a full batch; this is its only allocation.
    pub fn new() -> Self {
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is integers and pointers, for which all-zero is a value.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            names: vec![RawAddr::empty(); DATAGRAMS_MAX].into_boxed_slice(),
            controls: vec![SegmentSize::new(); DATAGRAMS_MAX].into_boxed_slice(),
            iovecs: vec![iovec; DATAGRAMS_MAX].into_boxed_slice(),
            headers: vec![header; DATAGRAMS_MAX].into_boxed_slice(),
        }
    }

    /// Sends up to `BATCH_MAX` datagrams with one call of sendmmsg, without waiting; returns how
    /// many the kernel took.
    ///
    /// Consecutive ones to the same address and of the same length, the last perhaps shorter, leave
    /// as one message that the kernel cuts, if it knows how.
    ///
    /// For programs that send without a driver; a driver gathers its endpoints' datagrams itself.
    ///
    /// # Errors
    /// The kernel's answer to the first message; `WouldBlock` if the send buffer is full. A message
    /// to be cut may be refused by EIO, EINVAL or EMSGSIZE where its datagrams alone are not.
    pub fn send_batch(
        &mut self,
        socket: &MediaSocket,
        datagrams: &[(SocketAddr, &[u8])],
    ) -> io::Result<usize> {
        let datagrams = &datagrams[..datagrams.len().min(BATCH_MAX)];
        let sent = self.send(socket, datagrams, 0, socket.is_gso())?;
        Ok(self.headers[..sent].iter().map(|header| header.msg_hdr.msg_iovlen).sum())
    }

    /// Offers the datagrams from `first` on to the kernel, runs of them as one message each if
    /// `is_gathering`; returns how many messages it took. They must not be more than a batch holds.
    ///
    /// # Errors
    /// The kernel's answer to the first message; none was taken.
    pub(crate) fn send(
        &mut self,
        socket: &MediaSocket,
        datagrams: &(impl Datagrams + ?Sized),
        first: usize,
        is_gathering: bool,
    ) -> io::Result<usize> {
        let count = self.point_headers(datagrams, first, is_gathering);
        let vlen = libc::c_uint::try_from(count).expect("a batch is small");
        // SAFETY: `point_headers` has just pointed the first `count` headers at memory of `self`
        // and `datagrams`, which both outlive the call; the kernel only reads what they point at.
        let sent = check(unsafe {
            libc::sendmmsg(socket.raw_fd(), self.headers.as_mut_ptr(), vlen, libc::MSG_DONTWAIT)
        })?;
        Ok(usize::try_from(sent).expect("checked not to be negative"))
    }

    /// Points a header at each datagram, or at each run of them; returns the number of headers.
    fn point_headers(
        &mut self,
        datagrams: &(impl Datagrams + ?Sized),
        first: usize,
        is_gathering: bool,
    ) -> usize {
        let (mut messages, mut next) = (0, first);
        while next < datagrams.len() {
            let run = if is_gathering { datagrams.run_len(next) } else { 1 };
            let iovecs = &mut self.iovecs[next - first..][..run];
            for (place, iovec) in iovecs.iter_mut().enumerate() {
                let (_, bytes) = datagrams.datagram(next + place);
                iovec.iov_base = bytes.as_ptr().cast_mut().cast();
                iovec.iov_len = bytes.len();
            }
            let name = &mut self.names[messages];
            let header = &mut self.headers[messages].msg_hdr;
            header.msg_namelen = name.store(datagrams.datagram(next).0);
            header.msg_name = name.as_mut_ptr().cast();
            header.msg_iov = iovecs.as_mut_ptr();
            header.msg_iovlen = run;
            header.msg_controllen = 0;
            if run > 1 {
                self.controls[messages].put(header, iovecs[0].iov_len);
            }
            next += run;
            messages += 1;
        }
        messages
    }
}

impl Default for SendHeaders {
    fn default() -> Self {
        Self::new()
    }
}

/// The control message UDP_SEGMENT, which says how long a message's datagrams are.
///
/// Laid out as CMSG_DATA and CMSG_SPACE would: the payload follows the header, which is as long as
/// its alignment asks.
#[repr(C)]
#[derive(Clone, Copy)]
struct SegmentSize {
    header: libc::cmsghdr,
    /// In bytes.
    size: u16,
}

impl SegmentSize {
    fn new() -> Self {
        // SAFETY: cmsghdr is plain integers, for which all-zero is a value.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = libc::UDP_SEGMENT;
        header.cmsg_len = offset_of!(Self, size) + size_of::<u16>();
        Self { header, size: 0 }
    }

    /// Makes `header` ask for datagrams of `size` bytes.
    fn put(&mut self, header: &mut libc::msghdr, size: usize) {
        self.size = u16::try_from(size).unwrap_or(u16::MAX);
        header.msg_control = (&raw mut *self).cast();
        header.msg_controllen = size_of::<Self>();
    }
}

/// Datagrams that `SendHeaders::send_batch` sends with one call, at most: as many as a driver does.
pub const BATCH_MAX: usize = DATAGRAMS_MAX;
