//! Socket addresses to and from the kernel's form.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::socklen_of;

/// Room for an address of either IP family; 28 bytes, so that a batch of them stays in the cache.
///
/// An IPv4 address lies in its first 16 bytes; family and port are at the same place in both.
#[derive(Clone, Copy)]
pub(crate) struct RawAddr(libc::sockaddr_in6);

impl RawAddr {
    /// Makes an address of no family.
    pub(crate) fn empty() -> Self {
        // SAFETY: sockaddr_in6 is plain integers, for which all-zero is a value.
        Self(unsafe { std::mem::zeroed() })
    }

    /// Writes `addr`; returns its length in bytes.
    pub(crate) fn store(&mut self, addr: SocketAddr) -> libc::socklen_t {
        match addr {
            SocketAddr::V4(addr) => self.store_v4(addr),
            SocketAddr::V6(addr) => self.store_v6(addr),
        }
    }

    /// Reads the address, or `None` if it is of another family.
    ///
    /// The flow label is dropped: it is no part of a sender's identity.
    pub(crate) fn load(&self) -> Option<SocketAddr> {
        match libc::c_int::from(self.0.sin6_family) {
            libc::AF_INET => {
                // SAFETY: sockaddr_in6 is larger than sockaddr_in and aligned for it; the family
                // says that it holds one.
                let raw = unsafe { &*(&raw const self.0).cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
                Some(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into())
            }
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(self.0.sin6_addr.s6_addr);
                let port = u16::from_be(self.0.sin6_port);
                Some(SocketAddrV6::new(ip, port, 0, self.0.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// Forgets the address, so that one which the kernel does not overwrite is not read again.
    pub(crate) fn clear(&mut self) {
        self.0.sin6_family = family(libc::AF_UNSPEC);
    }

    /// Returns the address of the storage, for a `msghdr` or `bind`.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr_in6 {
        &raw mut self.0
    }

    fn store_v4(&mut self, addr: SocketAddrV4) -> libc::socklen_t {
        let raw = libc::sockaddr_in {
            sin_family: family(libc::AF_INET),
            sin_port: addr.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from(*addr.ip()).to_be() },
            sin_zero: [0; 8],
        };
        // SAFETY: sockaddr_in6 is larger than sockaddr_in and aligned for it.
        unsafe { self.as_mut_ptr().cast::<libc::sockaddr_in>().write(raw) };
        socklen_of::<libc::sockaddr_in>()
    }

    fn store_v6(&mut self, addr: SocketAddrV6) -> libc::socklen_t {
        self.0 = libc::sockaddr_in6 {
            sin6_family: family(libc::AF_INET6),
            sin6_port: addr.port().to_be(),
            sin6_flowinfo: 0,
            sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
            sin6_scope_id: addr.scope_id(),
        };
        socklen_of::<libc::sockaddr_in6>()
    }
}

fn family(family: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(family).expect("families are small numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_round_trip() {
        for text in ["192.0.2.1:5004", "[2001:db8::1]:5004", "[fe80::1%3]:9"] {
            let addr: SocketAddr = text.parse().unwrap();
            let mut raw = RawAddr::empty();
            raw.store(addr);
            assert_eq!(raw.load(), Some(addr));
            raw.clear();
            assert_eq!(raw.load(), None);
        }
    }

    #[test]
    fn address_of_no_family_is_refused() {
        assert_eq!(RawAddr::empty().load(), None);
    }
}
