//! One derived key at work: seals and opens packets whose index is known.
//!
//! Keeps no counters: that no nonce repeats is the sender's care. Source: RFC 7714.

use std::fmt;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::leg::Ssrc;
use crate::srtp::PacketIndex;
use crate::srtp::aead::{Aes128Gcm, KEY_LEN, NONCE_LEN, TAG_LEN, TagMismatch};
use crate::srtp::derivation::{Label, derive};
use crate::srtp::master_key::MasterKey;

/// The session key and salt of RTP or of RTCP.
pub(super) struct SessionKey {
    key: Aes128Gcm,
    salt: Zeroizing<[u8; NONCE_LEN]>,
    hash: u64,
}

impl SessionKey {
    /// Derives the key for RTP.
    pub fn rtp(master: &MasterKey) -> Self {
        Self::derived(master, Label::RtpKey, Label::RtpSalt)
    }

    /// Derives the key for RTCP.
    pub fn rtcp(master: &MasterKey) -> Self {
        Self::derived(master, Label::RtcpKey, Label::RtcpSalt)
    }

    fn derived(master: &MasterKey, key_label: Label, salt_label: Label) -> Self {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let mut salt = Zeroizing::new([0; NONCE_LEN]);
        derive(master, key_label, key.as_mut());
        derive(master, salt_label, salt.as_mut());
        Self::new(&key, salt)
    }

    /// Takes a session key as it is; outside derivation only test vectors do so.
    pub(super) fn new(key: &[u8; KEY_LEN], salt: Zeroizing<[u8; NONCE_LEN]>) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(key);
        hash.update(salt.as_ref());
        let hash = hash.finish();
        let (first, _) = hash.as_ref().split_first_chunk().expect("SHA-256 has 32 octets");
        Self { key: Aes128Gcm::new(key), salt, hash: u64::from_be_bytes(*first) }
    }

    /// Encrypts `plain` in place and writes the tag after it, into `tag`.
    pub fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], plain: &mut [u8], tag: &mut [u8]) {
        let tag: &mut [u8; TAG_LEN] = tag.try_into().expect("callers leave room for a tag");
        self.key.seal(&nonce, aad, plain, tag);
    }

    /// Decrypts cipher text and tag in place; the plain text is as much shorter as the tag.
    ///
    /// # Errors
    /// `TagMismatch`; the cipher text is then spoilt.
    pub fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), TagMismatch> {
        self.key.open(&nonce, aad, sealed)
    }

    /// Returns the nonce of an SRTP packet. Source: RFC 7714 section 8.1.
    pub fn rtp_nonce(&self, ssrc: Ssrc, index: PacketIndex) -> [u8; NONCE_LEN] {
        self.nonce(ssrc, index.0)
    }

    /// Returns the nonce of an SRTCP packet. Source: RFC 7714 section 9.1.
    pub fn rtcp_nonce(&self, ssrc: Ssrc, index: PacketIndex) -> [u8; NONCE_LEN] {
        self.nonce(ssrc, u64::from(index.0 as u32))
    }

    /// Returns the first eight octets of SHA-256 over key and salt, which name the key in a tap.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Two octets of zero, the SSRC, and six octets of index, all exclusive-ored with the salt: as
    /// words, for compilers do it octet by octet otherwise.
    fn nonce(&self, ssrc: Ssrc, index: u64) -> [u8; NONCE_LEN] {
        let mut nonce = *self.salt;
        let (high, low) = nonce.split_first_chunk_mut().expect("12 octets");
        *high = (u32::from_be_bytes(*high) ^ ssrc.0 >> 16).to_be_bytes();
        let low: &mut [u8; 8] = low.try_into().expect("the other 8");
        *low = (u64::from_be_bytes(*low) ^ u64::from(ssrc.0) << 48 ^ index).to_be_bytes();
        nonce
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey").finish_non_exhaustive()
    }
}
