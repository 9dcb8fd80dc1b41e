//! Packets of RFC 7714 sections 16 and 17, and the ends of the index space.
//!
//! The RFC gives session keys, not master keys, so these tests cannot live in `tests/`.

use zeroize::Zeroizing;

use crate::drop_reason::DropReason;
use crate::leg::Ssrc;
use crate::srtp::session::SessionKey;
use crate::srtp::{PacketIndex, ProtectError, SrtpReceiver, SrtpSender};

/// Reads hexadecimal digits.
pub(super) fn hex(digits: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(octet).collect()
}

const RTP_SSRC: Ssrc = Ssrc(0x5501_a0b2);
const RTP_PLAIN: &str = concat!(
    "8040f17b8041f8d35501a0b2",
    "47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573",
);
/// Section 16.1.1.
const RTP_SEALED: &str = concat!(
    "8040f17b8041f8d35501a0b2",
    "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833",
    "899d7f27beb16a9152cf765ee4390cce",
);

/// "Mars".
const RTCP_SSRC: Ssrc = Ssrc(0x4d61_7273);
const RTCP_PLAIN: &str = concat!(
    "81c8000d4d6172734e5450314e545032525450200000042a0000e930",
    "4c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
);
/// Section 17.1.
const RTCP_SEALED: &str = concat!(
    "81c8000d4d617273",
    "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b46",
    "86303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
);
/// Section 17.3: authenticated, not encrypted.
const RTCP_TAGGED: &str = concat!(
    "81c8000d4d6172734e5450314e545032525450200000042a0000e930",
    "4c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    "841dd9683dd78ec92ae58790125f62b3000005d4",
);
const RTCP_INDEX: u64 = 0x5d4;

fn session_key() -> SessionKey {
    let key = std::array::from_fn(|octet| octet as u8);
    SessionKey::new(&key, Zeroizing::new(*b"Quid pro quo"))
}

fn sender(ssrc: Ssrc) -> SrtpSender {
    SrtpSender::from_session_keys(session_key(), session_key(), ssrc)
}

fn receiver(ssrc: Ssrc) -> SrtpReceiver {
    SrtpReceiver::from_session_keys(session_key(), session_key(), ssrc)
}

fn packet(number: u16, room: usize) -> Vec<u8> {
    let mut packet = hex(RTP_PLAIN);
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet.resize(packet.len() + room, 0);
    packet
}

#[test]
fn rtp_is_protected_as_in_section_16_1_1() {
    let mut buffer = packet(0xf17b, 16);
    let length = sender(RTP_SSRC).protect_rtp(&mut buffer, 50).unwrap();
    assert_eq!(buffer[..length], hex(RTP_SEALED));
}

#[test]
fn rtp_is_unprotected_as_in_section_16_1_2() {
    let mut buffer = hex(RTP_SEALED);
    let unprotected = receiver(RTP_SSRC).unprotect_rtp(&mut buffer).unwrap();
    assert_eq!(buffer[..unprotected.length], hex(RTP_PLAIN));
    assert_eq!(unprotected.index, PacketIndex(0xf17b));
}

#[test]
fn rtcp_is_protected_as_in_section_17_1() {
    let mut sender = sender(RTCP_SSRC);
    sender.seek(RTCP_SSRC, PacketIndex(0), RTCP_INDEX);
    let mut buffer = hex(RTCP_PLAIN);
    let length = buffer.len();
    buffer.resize(length + 20, 0);
    let length = sender.protect_rtcp(&mut buffer, length).unwrap();
    assert_eq!(buffer[..length], hex(RTCP_SEALED));
}

#[test]
fn rtcp_is_unprotected_as_in_section_17_2() {
    let mut buffer = hex(RTCP_SEALED);
    let unprotected = receiver(RTCP_SSRC).unprotect_rtcp(&mut buffer).unwrap();
    assert_eq!(buffer[..unprotected.length], hex(RTCP_PLAIN));
    assert_eq!(unprotected.index, PacketIndex(RTCP_INDEX));
}

#[test]
fn rtcp_without_encryption_of_section_17_3_is_refused() {
    let mut buffer = hex(RTCP_TAGGED);
    let refused = receiver(RTCP_SSRC).unprotect_rtcp(&mut buffer);
    assert_eq!(refused, Err(DropReason::Unauthentic));
}

#[test]
fn rtp_index_ends_instead_of_wrapping() {
    let (mut sender, mut receiver) = (sender(RTP_SSRC), receiver(RTP_SSRC));
    let before_last = PacketIndex(PacketIndex::RTP_MAX.0 - 1);
    sender.seek(RTP_SSRC, before_last, 0);
    receiver.seek(RTP_SSRC, before_last);

    let mut last = packet(0xffff, 16);
    sender.protect_rtp(&mut last, 50).unwrap();
    assert_eq!(receiver.unprotect_rtp(&mut last).unwrap().index, PacketIndex::RTP_MAX);

    let refused = sender.protect_rtp(&mut packet(0, 16), 50);
    assert_eq!(refused, Err(ProtectError::IndexExhausted(RTP_SSRC)));
    assert_eq!(receiver.unprotect_rtp(&mut packet(0, 16)), Err(DropReason::IndexExhausted));
}

#[test]
fn rtcp_index_ends_instead_of_wrapping() {
    let (mut sender, mut receiver) = (sender(RTCP_SSRC), receiver(RTCP_SSRC));
    sender.seek(RTCP_SSRC, PacketIndex(0), PacketIndex::RTCP_MAX.0);
    let plain = hex(RTCP_PLAIN);
    let mut buffer = plain.clone();
    buffer.resize(plain.len() + 20, 0);
    sender.protect_rtcp(&mut buffer, plain.len()).unwrap();
    assert_eq!(receiver.unprotect_rtcp(&mut buffer).unwrap().index, PacketIndex::RTCP_MAX);

    let refused = sender.protect_rtcp(&mut buffer, plain.len());
    assert_eq!(refused, Err(ProtectError::IndexExhausted(RTCP_SSRC)));
}
