//! sendmmsg of a batch.

use std::io;
use std::net::SocketAddr;

use super::address::RawAddr;
use super::check;
use super::socket::MediaSocket;
use crate::batch::{DATAGRAMS_MAX, SendBatch};

/// Memory for the headers of one batch.
pub(crate) struct SendHeaders {
    names: Box<[RawAddr]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl SendHeaders {
    /// Makes headers for a full batch; this is its only allocation.
    pub(crate) fn new() -> Self {
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is integers and pointers, for which all-zero is a value.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            names: vec![RawAddr::empty(); DATAGRAMS_MAX].into_boxed_slice(),
            iovecs: vec![iovec; DATAGRAMS_MAX].into_boxed_slice(),
            headers: vec![header; DATAGRAMS_MAX].into_boxed_slice(),
        }
    }

    /// Offers the datagrams from `first` on to the kernel; returns how many it took.
    ///
    /// # Errors
    /// The kernel's answer to the datagram at `first`; none was taken.
    pub(crate) fn send(
        &mut self,
        socket: &MediaSocket,
        batch: &SendBatch,
        first: usize,
    ) -> io::Result<usize> {
        let count = batch.len().saturating_sub(first);
        self.point_headers(batch, first, count);
        let vlen = libc::c_uint::try_from(count).expect("a batch is small");
        // SAFETY: `point_headers` has just pointed the first `count` headers at memory of `self`
        // and `batch`, which both outlive the call; the kernel only reads names and payloads.
        let sent = check(unsafe {
            libc::sendmmsg(socket.raw_fd(), self.headers.as_mut_ptr(), vlen, libc::MSG_DONTWAIT)
        })?;
        Ok(usize::try_from(sent).expect("checked not to be negative"))
    }

    fn point_headers(&mut self, batch: &SendBatch, first: usize, count: usize) {
        for place in 0..count {
            let (to, bytes) = batch.datagram(first + place);
            let (name, iovec) = (&mut self.names[place], &mut self.iovecs[place]);
            point(&mut self.headers[place].msg_hdr, name, iovec, to, bytes);
        }
    }
}

impl MediaSocket {
    /// Sends up to `BATCH_MAX` datagrams with one call of sendmmsg, without waiting; returns how
    /// many the kernel took.
    ///
    /// For programs that send without a driver; a driver gathers its endpoints' datagrams itself.
    ///
    /// # Errors
    /// The kernel's answer to the first datagram; `WouldBlock` if the send buffer is full.
    pub fn send_batch(&self, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize> {
        let mut names = [RawAddr::empty(); BATCH_MAX];
        let mut iovecs = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH_MAX];
        // SAFETY: mmsghdr is integers and pointers, for which all-zero is a value.
        let mut headers: [libc::mmsghdr; BATCH_MAX] = unsafe { std::mem::zeroed() };
        let count = datagrams.len().min(BATCH_MAX);
        for (place, (to, bytes)) in datagrams[..count].iter().enumerate() {
            point(&mut headers[place].msg_hdr, &mut names[place], &mut iovecs[place], *to, bytes);
        }
        let vlen = libc::c_uint::try_from(count).expect("a batch is small");
        // SAFETY: the first `count` headers point at live memory of this frame and the caller's;
        // the kernel only reads names and payloads.
        let sent = check(unsafe {
            libc::sendmmsg(self.raw_fd(), headers.as_mut_ptr(), vlen, libc::MSG_DONTWAIT)
        })?;
        Ok(usize::try_from(sent).expect("checked not to be negative"))
    }
}

/// Points a header at a datagram, with the memory for its target and its place.
fn point(
    header: &mut libc::msghdr,
    name: &mut RawAddr,
    iovec: &mut libc::iovec,
    to: SocketAddr,
    bytes: &[u8],
) {
    iovec.iov_base = bytes.as_ptr().cast_mut().cast();
    iovec.iov_len = bytes.len();
    header.msg_namelen = name.store(to);
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_iov = iovec;
    header.msg_iovlen = 1;
}

/// Datagrams that `MediaSocket::send_batch` sends with one call, at most: as many as a driver does.
pub const BATCH_MAX: usize = DATAGRAMS_MAX;
