//! Packet for packet against the crate `webrtc-srtp`, which shares no code with ours.

use rtp::packet::Packet;
use sabha_media::leg::Ssrc;
use sabha_media::srtp::{MasterKey, SrtpReceiver, SrtpSender, SrtpSuite};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;
use webrtc_util::marshal::Marshal;

const SSRC: Ssrc = Ssrc(0xcafe_babe);
const KEY: [u8; 16] = *b"an oracle's key!";
const SALT: [u8; 12] = *b"and its salt";

/// Streams start here, so that the first of three wraps is near.
const START: u16 = 32_000;

fn master() -> MasterKey {
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &[&KEY[..], &SALT].concat()).expect("28 octets")
}

fn oracle() -> Context {
    Context::new(&KEY, &SALT, ProtectionProfile::AeadAes128Gcm, None, None).expect("lengths fit")
}

/// The nth packet of a stream of three wraps: sources, extension and length vary.
fn packet(nth: u32) -> Vec<u8> {
    let mut packet = Packet::default();
    packet.header.version = 2;
    packet.header.marker = nth.is_multiple_of(5);
    packet.header.payload_type = 111;
    packet.header.sequence_number = START.wrapping_add((nth * 101) as u16);
    packet.header.timestamp = nth.wrapping_mul(960);
    packet.header.ssrc = SSRC.0;
    packet.header.csrc = (0..nth % 16).collect();
    if nth.is_multiple_of(2) {
        packet.header.set_extension(1, vec![nth as u8].into()).expect("one octet");
    }
    packet.payload = (0..nth % 333).map(|octet| octet as u8).collect::<Vec<_>>().into();
    packet.marshal().expect("a packet").to_vec()
}

/// Enough steps of 101 for three wraps.
const PACKETS: u32 = 2300;

fn compound(nth: u32) -> Vec<u8> {
    let words = nth % 60 + 1;
    let mut out = vec![0x80, 201, 0, words as u8];
    out.extend_from_slice(&SSRC.0.to_be_bytes());
    out.resize(4 * (words as usize + 1), nth as u8);
    out
}

fn with_room(plain: &[u8], room: usize) -> Vec<u8> {
    [plain, &vec![0; room]].concat()
}

#[test]
fn rtp_is_protected_alike_and_both_read_the_other() {
    let (mut theirs, mut their_receiver) = (oracle(), oracle());
    let mut ours = SrtpSender::new(&master(), &[SSRC]).unwrap();
    let mut our_receiver = SrtpReceiver::new(&master(), &[SSRC]).unwrap();
    for nth in 0..PACKETS {
        let plain = packet(nth);
        let mut sealed = with_room(&plain, 16);
        let length = ours.protect_rtp(&mut sealed, plain.len()).unwrap();
        let their_sealed = theirs.encrypt_rtp(&plain).unwrap();
        assert_eq!(sealed[..length], their_sealed, "packet {nth}");

        assert_eq!(their_receiver.decrypt_rtp(&sealed).unwrap(), plain, "packet {nth}");
        let mut their_sealed = their_sealed.to_vec();
        let unprotected = our_receiver.unprotect_rtp(&mut their_sealed).unwrap();
        assert_eq!(their_sealed[..unprotected.length], plain, "packet {nth}");
        assert_eq!(unprotected.index.0, u64::from(START) + u64::from(nth * 101));
    }
    assert!(our_receiver.newest_index(SSRC).unwrap().0 > 3 << 16);
}

#[test]
fn rtcp_is_protected_alike_and_both_read_the_other() {
    let (mut theirs, mut their_receiver) = (oracle(), oracle());
    let mut ours = SrtpSender::new(&master(), &[SSRC]).unwrap();
    let mut our_receiver = SrtpReceiver::new(&master(), &[SSRC]).unwrap();
    // The oracle counts from 1, RFC 3711 section 3.4 from 0: use up our first index.
    ours.protect_rtcp(&mut with_room(&compound(0), 20), compound(0).len()).unwrap();
    for nth in 1..500 {
        let plain = compound(nth);
        let mut sealed = with_room(&plain, 20);
        let length = ours.protect_rtcp(&mut sealed, plain.len()).unwrap();
        let their_sealed = theirs.encrypt_rtcp(&plain).unwrap();
        assert_eq!(sealed[..length], their_sealed, "compound {nth}");

        assert_eq!(their_receiver.decrypt_rtcp(&sealed).unwrap(), plain, "compound {nth}");
        let mut their_sealed = their_sealed.to_vec();
        let unprotected = our_receiver.unprotect_rtcp(&mut their_sealed).unwrap();
        assert_eq!(their_sealed[..unprotected.length], plain, "compound {nth}");
        assert_eq!(unprotected.index.0, u64::from(nth));
    }
}
