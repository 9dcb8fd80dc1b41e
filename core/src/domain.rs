//! Domain separation: every use of a key or hash has its own tag and one framing.
//!
//! A signature made for one purpose can therefore never be read as one for another.

use aws_lc_rs::digest;

/// One purpose of a signature or a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain(&'static str);

impl Domain {
    /// Proof that a newcomer holds the key that it asks a certificate for.
    pub const ENROL: Self = Self("sabha/1 enrol");
    /// Proof that a device which renews its certificate still holds the key.
    pub const RENEW: Self = Self("sabha/1 renew");
    /// Hash under which the CA keeps a one-time password.
    pub const OTP: Self = Self("sabha/1 otp");
    /// Hash that names a conference.
    pub const CONFERENCE: Self = Self("sabha/1 conference");
    /// Checksum of a join link.
    pub const JOIN_LINK: Self = Self("sabha/1 join link");
    /// A host's signature over a permit list.
    pub const PERMIT_LIST: Self = Self("sabha/1 permit list");
    /// A host's or co-host's signature over a ticket.
    pub const TICKET: Self = Self("sabha/1 ticket");
    /// Hash that is the context of the media keys' TLS exporter.
    pub const MEDIA_KEY: Self = Self("sabha/1 media key");

    /// Frames `parts` for signing: tag, a zero byte, then each part behind its length.
    ///
    /// Lengths are 32-bit big-endian, so two different lists of parts never frame alike.
    #[must_use]
    pub fn frame(self, parts: &[&[u8]]) -> Vec<u8> {
        let body: usize = parts.iter().map(|part| 4 + part.len()).sum();
        let mut framed = Vec::with_capacity(self.0.len() + 1 + body);
        framed.extend_from_slice(self.0.as_bytes());
        framed.push(0);
        for part in parts {
            let len = u32::try_from(part.len()).expect("every part is a length-limited field");
            framed.extend_from_slice(&len.to_be_bytes());
            framed.extend_from_slice(part);
        }
        framed
    }

    /// Returns SHA-256 over the framed `parts`.
    #[must_use]
    pub fn sha256(self, parts: &[&[u8]]) -> [u8; 32] {
        sha256(&self.frame(parts))
    }
}

/// Returns plain SHA-256, as used for certificate fingerprints.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_parts_changes_the_frame() {
        assert_ne!(Domain::TICKET.frame(&[b"ab", b"c"]), Domain::TICKET.frame(&[b"a", b"bc"]));
        assert_ne!(Domain::TICKET.frame(&[b"abc"]), Domain::TICKET.frame(&[b"abc", b""]));
    }

    #[test]
    fn frames_of_two_domains_differ() {
        assert_ne!(Domain::ENROL.frame(&[b"x"]), Domain::RENEW.frame(&[b"x"]));
    }
}
