//! Which ciphers a session uses, and what follows from that.

/// An SRTP protection profile.
///
/// Every length comes from here, so that a suite without an AEAD can join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SrtpSuite {
    /// AES-128 in Galois/counter mode, 16-octet tag. Source: RFC 7714 section 12.
    AeadAes128Gcm,
}

impl SrtpSuite {
    /// Every suite, best first.
    pub const ALL: &'static [Self] = &[Self::AeadAes128Gcm];

    /// Returns the IANA number of the DTLS-SRTP protection profile. RFC 7714 section 14.2.
    pub const fn id(self) -> u16 {
        match self {
            Self::AeadAes128Gcm => 0x0007,
        }
    }

    /// Returns the suite of an IANA number, if we have it.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.id() == id)
    }

    /// Returns the length of the master key, in octets.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 16,
        }
    }

    /// Returns the length of the master salt, in octets.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 12,
        }
    }

    /// Returns how many octets of keying material one direction needs: key, then salt.
    pub const fn keying_material_len(self) -> usize {
        self.key_len() + self.salt_len()
    }

    /// Returns the length of the authentication tag, in octets.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 16,
        }
    }

    /// Returns how many octets protection adds to an RTP packet.
    pub const fn rtp_overhead(self) -> usize {
        self.tag_len()
    }

    /// Returns how many octets protection adds to an RTCP compound: tag, E bit and index.
    pub const fn rtcp_overhead(self) -> usize {
        self.tag_len() + 4
    }
}
