//! An SRTP receiver against arbitrary octets, and against one altered packet.
//!
//! Nothing but the untouched packet may pass, and nothing refused may change the receiver.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{RtpHeader, SequenceNumber};
use sabha_media::srtp::{MasterKey, PacketIndex, SrtpReceiver, SrtpSender, SrtpSuite};

const SSRC: Ssrc = Ssrc(0x5abb_a000);

fuzz_target!(|input: &[u8]| {
    forge(input);
    alter_one(input);
});

/// Arbitrary octets, also with the one SSRC that gets past the first look.
///
/// Under a key that never seals: the fuzzer learns what the harness compares, so it would
/// otherwise replay a tag that the harness itself had made.
fn forge(input: &[u8]) {
    let mut receiver = SrtpReceiver::new(&master(0xf0), &[SSRC]).expect("one stream");
    for offset in [None, Some(8), Some(4)] {
        let mut forged = input.to_vec();
        if let Some(place) = offset.and_then(|at| forged.get_mut(at..at + 4)) {
            place.copy_from_slice(&SSRC.0.to_be_bytes());
        }
        assert!(receiver.unprotect_rtp(&mut forged.clone()).is_err());
        assert!(receiver.unprotect_rtcp(&mut forged).is_err());
        assert_eq!(receiver.newest_index(SSRC), None);
    }
}

/// The input says how to alter a valid packet: number, how long it is, and a mask to lay on it.
fn alter_one(input: &[u8]) {
    let mut sender = SrtpSender::new(&master(0x5a), &[SSRC]).expect("one stream");
    let mut receiver = SrtpReceiver::new(&master(0x5a), &[SSRC]).expect("one stream");
    let [high, low, length, mask @ ..] = input else { return };
    let number = u16::from_be_bytes([*high, *low]);
    let (plain, sealed) = rtp(&mut sender, number, usize::from(*length));
    let altered = alter(&sealed, mask);
    if altered != sealed {
        assert!(receiver.unprotect_rtp(&mut altered.clone()).is_err());
        assert_eq!(receiver.newest_index(SSRC), None);
    }
    let mut arrived = sealed.clone();
    let unprotected = receiver.unprotect_rtp(&mut arrived).expect("an untouched packet passes");
    assert_eq!(arrived[..unprotected.length], plain);
    assert_eq!(unprotected.index, PacketIndex(u64::from(number)));
    assert!(receiver.unprotect_rtp(&mut sealed.clone()).is_err(), "but only once");

    let (plain, sealed) = rtcp(&mut sender, usize::from(*length));
    let altered = alter(&sealed, mask);
    if altered != sealed {
        assert!(receiver.unprotect_rtcp(&mut altered.clone()).is_err());
    }
    let mut arrived = sealed.clone();
    let unprotected = receiver.unprotect_rtcp(&mut arrived).expect("an untouched packet passes");
    assert_eq!(arrived[..unprotected.length], plain);
    assert!(receiver.unprotect_rtcp(&mut sealed.clone()).is_err(), "but only once");
}

fn master(octet: u8) -> MasterKey {
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &[octet; 28]).expect("28 octets")
}

fn rtp(sender: &mut SrtpSender, number: u16, length: usize) -> (Vec<u8>, Vec<u8>) {
    let mut plain = vec![0x33; 12 + length];
    let sequence_number = SequenceNumber(number);
    let header = RtpHeader { ssrc: SSRC, sequence_number, ..RtpHeader::default() };
    header.write_fixed(0, false, &mut plain);
    let mut sealed = plain.clone();
    sealed.resize(plain.len() + 16, 0);
    let length = sender.protect_rtp(&mut sealed, plain.len()).expect("a valid packet");
    assert_eq!(length, sealed.len());
    (plain, sealed)
}

fn rtcp(sender: &mut SrtpSender, length: usize) -> (Vec<u8>, Vec<u8>) {
    let mut plain = vec![0x80, 201, 0, 1];
    plain.extend_from_slice(&SSRC.0.to_be_bytes());
    plain.resize(8 + length, 0x44);
    let mut sealed = plain.clone();
    sealed.resize(plain.len() + 20, 0);
    let length = sender.protect_rtcp(&mut sealed, plain.len()).expect("a valid compound");
    assert_eq!(length, sealed.len());
    (plain, sealed)
}

/// Cuts the packet by the mask's first octet and flips bits by the others.
fn alter(sealed: &[u8], mask: &[u8]) -> Vec<u8> {
    let [cut, mask @ ..] = mask else { return sealed.to_vec() };
    let mut altered = sealed[..sealed.len().saturating_sub(usize::from(*cut))].to_vec();
    for (octet, mask) in altered.iter_mut().zip(mask) {
        *octet ^= mask;
    }
    altered
}
