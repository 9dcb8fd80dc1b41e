//! Session keys from a master key.
//!
//! The key derivation rate is 0: each key is derived once, and its use ends with its leg.
//! Source: RFC 3711 section 4.3, RFC 7714 section 11.

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use crate::srtp::master_key::{MasterKey, SALT_LEN_MAX};

/// What a derived key is for; its number enters the derivation. RFC 3711 section 4.3.1.
///
/// The labels between are authentication keys (1 and 4), which an AEAD has no use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Label {
    RtpKey = 0,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpSalt = 5,
}

/// Fills `out` with the session key of `label`.
pub(super) fn derive(master: &MasterKey, label: Label, out: &mut [u8]) {
    aes_cm_prf(master.key(), master.salt(), label as u8, out);
}

/// The pseudo-random function AES-CM. Source: RFC 3711 section 4.3.3.
fn aes_cm_prf(key: &[u8], salt: &[u8; SALT_LEN_MAX], label: u8, out: &mut [u8]) {
    // x = (label || 48 zero bits) XOR salt, aligned right; the counter follows in two octets.
    let mut counter = [0; 16];
    counter[..SALT_LEN_MAX].copy_from_slice(salt);
    counter[7] ^= label;
    out.fill(0);
    UnboundCipherKey::new(&AES_128, key)
        .and_then(EncryptingKey::ctr)
        .and_then(|key| {
            key.less_safe_encrypt(out, EncryptionContext::Iv128(FixedLength::from(counter)))
        })
        .expect("a 16-octet key and a 16-octet counter fit AES-128");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::vectors::hex;

    fn b3(label: u8, length: usize) -> Vec<u8> {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6").try_into().unwrap();
        let mut out = vec![0xff; length];
        aes_cm_prf(&key, &salt, label, &mut out);
        out
    }

    #[test]
    fn session_keys_match_rfc_3711_appendix_b_3() {
        assert_eq!(b3(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(b3(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
        let auth = hex(concat!(
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE",
            "E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25",
            "6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
        ));
        assert_eq!(b3(1, 94), auth);
    }

    #[test]
    fn rtcp_labels_derive_other_keys() {
        // Published with libsrtp's and Wireshark's tests for the master key of appendix B.3.
        assert_eq!(b3(Label::RtcpKey as u8, 16), hex("4C1AA45A81F73D61C800BBB00FBB1EAA"));
        assert_eq!(b3(Label::RtcpSalt as u8, 14), hex("9581C7AD87B3E530BF3E4454A8B3"));
    }
}
