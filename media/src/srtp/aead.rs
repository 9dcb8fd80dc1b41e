//! One AES-128-GCM key, by aws-lc.
//!
//! `aws-lc-rs` offers the same, but puts each key schedule into a place of its own. A shard that
//! seals for thousands of legs in turn finds it gone from the caches, and its address from those of
//! translated addresses; so here it lies within its owner, who can ask for it ahead. This stands on
//! `aws-lc-sys`, which `aws-lc-rs` is built on.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;

use aws_lc_sys as sys;
use zeroize::zeroize_flat_type;

/// A key's schedule and the table of its hash.
pub(super) struct Aes128Gcm {
    context: sys::EVP_AEAD_CTX,
}

/// The authentication tag does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TagMismatch;

// SAFETY: a context is not bound to a thread; its one pointer is to static data.
unsafe impl Send for Aes128Gcm {}

// SAFETY: sealing and opening read the context only; aead.h allows both from several threads.
unsafe impl Sync for Aes128Gcm {}

impl Aes128Gcm {
    /// Expands a key.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut context = MaybeUninit::zeroed();
        // SAFETY: the key is read for its length and expanded into the context, a plain structure
        // for which zeros are no key. It points nowhere into itself and may be moved: aws-lc, too,
        // copies the state of an AES-GCM key octet for octet (`aead_ctx_copy_state_trivial`).
        let (is_made, context) = unsafe {
            sys::CRYPTO_library_init();
            let kind = sys::EVP_aead_aes_128_gcm();
            let (own, engine) = (context.as_mut_ptr(), ptr::null_mut());
            let made = sys::EVP_AEAD_CTX_init(own, kind, key.as_ptr(), KEY_LEN, TAG_LEN, engine);
            (made == 1, context.assume_init())
        };
        assert!(is_made, "a key of 16 octets is one of AES-128");
        Self { context }
    }

    /// Encrypts `plain` in place and writes the tag. No nonce may come twice.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plain: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) {
        let (text, mut tag_len) = (plain.as_mut_ptr(), 0);
        // SAFETY: the context is initialised and every pointer goes with its slice's length. Text
        // and tag, the only outputs, do not overlap; cipher text may take the plain text's place.
        let is_sealed = unsafe {
            sys::EVP_AEAD_CTX_seal_scatter(
                &raw const self.context,
                text,
                tag.as_mut_ptr(),
                &raw mut tag_len,
                TAG_LEN,
                nonce.as_ptr(),
                NONCE_LEN,
                text,
                plain.len(),
                ptr::null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        };
        let is_whole = is_sealed == 1 && tag_len == TAG_LEN;
        assert!(is_whole, "a datagram is far below AES-GCM's limit of 2^36 octets");
    }

    /// Decrypts `sealed`, whose end is the tag, in place; the plain text is as much shorter.
    ///
    /// # Errors
    /// `TagMismatch`; the cipher text is then spoilt.
    pub fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), TagMismatch> {
        let (cipher, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(TagMismatch)?;
        let text = cipher.as_mut_ptr();
        // SAFETY: as in `seal`; the text is the only output.
        let is_opened = unsafe {
            sys::EVP_AEAD_CTX_open_gather(
                &raw const self.context,
                text,
                nonce.as_ptr(),
                NONCE_LEN,
                text,
                cipher.len(),
                tag.as_ptr(),
                TAG_LEN,
                aad.as_ptr(),
                aad.len(),
            )
        };
        if is_opened == 1 { Ok(()) } else { Err(TagMismatch) }
    }
}

impl Drop for Aes128Gcm {
    fn drop(&mut self) {
        // SAFETY: `new` made the context, nobody reads it again, and zeros are valid in it.
        unsafe {
            sys::EVP_AEAD_CTX_cleanup(&raw mut self.context);
            zeroize_flat_type(&raw mut self.context);
        }
    }
}

/// Octets of an AES-128 session key. Source: RFC 7714 section 12.
pub(super) const KEY_LEN: usize = 16;

/// Octets of a nonce. Source: RFC 7714 section 8.1.
pub(super) const NONCE_LEN: usize = 12;

/// Octets of the tag. Source: RFC 7714 section 12.
pub(super) const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// Case 4 of the specification of GCM (McGrew and Viega), cut to what a nonce of 12 octets and
    /// associated data need.
    #[test]
    fn seals_as_the_specification_says_and_opens_again() {
        let key = Aes128Gcm::new(&hex("feffe9928665731c6d6a8f9467308308"));
        let nonce = hex("cafebabefacedbaddecaf888");
        let aad: [u8; 20] = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plain: [u8; 60] = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let cipher: [u8; 60] = hex(
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        );
        let (mut text, mut tag) = (plain, [0; TAG_LEN]);
        key.seal(&nonce, &aad, &mut text, &mut tag);
        assert_eq!((text, tag), (cipher, hex("5bc94fbc3221a5db94fae95ae7121a47")));

        let mut sealed = [&cipher[..], &tag].concat();
        assert_eq!(key.open(&nonce, &aad, &mut sealed), Ok(()));
        assert_eq!(sealed[..60], plain);
    }

    #[test]
    fn opens_nothing_that_was_changed_or_is_shorter_than_a_tag() {
        let (key, nonce) = (Aes128Gcm::new(&[7; KEY_LEN]), [1; NONCE_LEN]);
        let (mut text, mut tag) = (*b"voice", [0; TAG_LEN]);
        key.seal(&nonce, b"head", &mut text, &mut tag);
        let sealed = [&text[..], &tag].concat();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&nonce, b"head", &mut changed), Err(TagMismatch), "octet {at}");
        }
        assert_eq!(key.open(&nonce, b"Head", &mut sealed.clone()), Err(TagMismatch));
        assert_eq!(key.open(&[2; NONCE_LEN], b"head", &mut sealed.clone()), Err(TagMismatch));
        assert_eq!(key.open(&nonce, b"head", &mut tag[1..]), Err(TagMismatch));
        assert_eq!(key.open(&nonce, b"head", &mut []), Err(TagMismatch));
    }

    fn hex<const N: usize>(digits: &str) -> [u8; N] {
        assert_eq!(digits.len(), 2 * N);
        std::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..][..2], 16).expect("digits"))
    }
}
