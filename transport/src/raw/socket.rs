//! A UDP socket with everything set that media needs.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::address::RawAddr;
use super::{check, socklen_of};
use crate::error::BindError;

/// A non-blocking UDP socket for media.
///
/// Large buffers, kernel receive stamps (SO_TIMESTAMPNS), a count of what the kernel dropped
/// (SO_RXQ_OVFL), and coalesced receive (UDP_GRO) where the kernel has it. Datagrams to one address
/// leave as one message (UDP_SEGMENT) where the kernel knows that.
#[derive(Debug)]
pub struct MediaSocket {
    socket: UdpSocket,
    is_gro: bool,
    is_gso: bool,
}

impl MediaSocket {
    /// Binds a socket to `addr`; port 0 takes a free port.
    ///
    /// The unspecified IPv6 address serves both families: IPv4 peers appear there, and are sent to,
    /// as mapped addresses (RFC 4291 section 2.5.5.2). Any other IPv6 address takes IPv6 only.
    ///
    /// # Errors
    /// `BindError` with the step that failed. Buffer sizes, stamps and GRO that the kernel
    /// refuses are no error: media runs without them, with fewer bytes of slack or more calls.
    pub fn bind(addr: SocketAddr) -> Result<Self, BindError> {
        let failed = |step| move |source| BindError { addr, step, source };
        let fd = open(addr).map_err(failed("open"))?;
        if addr.is_ipv6() {
            let v6_only = libc::c_int::from(!addr.ip().is_unspecified());
            set(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, v6_only)
                .map_err(failed("choose the families of"))?;
        }
        set_buffer(&fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, addr);
        set_buffer(&fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, addr);
        for (option, name) in
            [(libc::SO_TIMESTAMPNS, "SO_TIMESTAMPNS"), (libc::SO_RXQ_OVFL, "SO_RXQ_OVFL")]
        {
            if let Err(error) = set(&fd, libc::SOL_SOCKET, option, 1) {
                tracing::warn!(%addr, %error, "the kernel refuses {name}");
            }
        }
        let is_gro = set(&fd, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
        // Size 0 cuts nothing that does not ask for it; a kernel without GSO does not know the option.
        let is_gso = set(&fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        let mut raw = RawAddr::empty();
        let len = raw.store(addr);
        // SAFETY: `raw` holds an address of `len` bytes.
        check(unsafe { libc::bind(fd.as_raw_fd(), raw.as_mut_ptr().cast(), len) })
            .map_err(failed("bind"))?;
        Ok(Self { socket: UdpSocket::from(fd), is_gro, is_gso })
    }

    /// Returns the bound address, with the port that the kernel chose.
    ///
    /// # Errors
    /// What getsockname(2) answers; not for a socket that was bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Says whether the kernel coalesces datagrams for this socket.
    pub fn is_gro(&self) -> bool {
        self.is_gro
    }

    /// Says whether the kernel cuts a message into datagrams; a device may refuse it all the same.
    pub fn is_gso(&self) -> bool {
        self.is_gso
    }

    /// Waits until the socket takes datagrams again, or for `timeout`; returns the time waited.
    pub(crate) fn wait_writable(&self, timeout: Duration) -> Duration {
        let start = Instant::now();
        let mut poll = libc::pollfd { fd: self.raw_fd(), events: libc::POLLOUT, revents: 0 };
        let timeout = timespec(timeout);
        // SAFETY: one live pollfd, one live timespec, no signal mask. Its outcome does not matter:
        // the caller tries to send again either way, within a budget.
        unsafe { libc::ppoll(&raw mut poll, 1, &raw const timeout, std::ptr::null()) };
        start.elapsed()
    }

    /// Makes the kernel refuse GSO on this socket, which it does without checksums.
    #[cfg(test)]
    pub(crate) fn make_uncuttable(&self) {
        let (fd, one) = (self.raw_fd(), 1 as libc::c_int);
        let len = socklen_of::<libc::c_int>();
        // SAFETY: the pointer is to a live int of `len` bytes.
        check(unsafe {
            let value = (&raw const one).cast();
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, value, len)
        })
        .unwrap();
    }

    /// Returns the descriptor; it lives as long as `self`.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn open(addr: SocketAddr) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::socket(family, kind, libc::IPPROTO_UDP) })?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a buffer's size past the system's limit if allowed, else up to it.
fn set_buffer(fd: &OwnedFd, force: libc::c_int, plain: libc::c_int, addr: SocketAddr) {
    if set(fd, libc::SOL_SOCKET, force, BUFFER_SIZE).is_ok() {
        return;
    }
    if let Err(error) = set(fd, libc::SOL_SOCKET, plain, BUFFER_SIZE) {
        tracing::warn!(%addr, %error, "the kernel refuses a socket buffer");
    }
}

fn set(
    fd: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = socklen_of::<libc::c_int>();
    // SAFETY: the pointer is to a live int of `len` bytes.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const value).cast(), len)
    })?;
    Ok(())
}

/// A duration as the kernel wants it; saturates.
pub(super) fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos().cast_signed()),
    }
}

/// Buffer size in bytes, which the kernel doubles: chosen because 6,400 legs at 50 packets a
/// second bring as many packets in a 20 ms tick, of up to 1.3 kB of kernel memory each.
const BUFFER_SIZE: libc::c_int = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_ipv6_address_serves_both_families() {
        let both = MediaSocket::bind("[::]:0".parse().unwrap()).unwrap();
        let port = both.local_addr().unwrap().port();
        let v4 = MediaSocket::bind(SocketAddr::from(([0, 0, 0, 0], port))).unwrap_err();
        assert_eq!(v4.source.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn specific_ipv6_address_leaves_ipv4_to_others() {
        let v6 = MediaSocket::bind("[::1]:0".parse().unwrap()).unwrap();
        let port = v6.local_addr().unwrap().port();
        MediaSocket::bind(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    }

    #[test]
    fn taken_port_is_refused_with_its_address() {
        let first = MediaSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = first.local_addr().unwrap();
        let error = MediaSocket::bind(addr).unwrap_err();
        assert_eq!((error.addr, error.step), (addr, "bind"));
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    }
}
