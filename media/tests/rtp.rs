//! RTP packets: classification, views, header writing, and agreement with the crate `rtp`.

use proptest::prelude::*;
use rtp::packet::Packet;
use sabha_media::drop_reason::DropReason;
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{
    CSRC_MAX, FIXED_HEADER_LEN, PacketKind, PayloadType, RtpHeader, RtpPacket, RtpTimestamp,
    SequenceNumber, classify, sender_ssrc, write_csrcs,
};
use webrtc_util::marshal::{Marshal, Unmarshal};

const HEADER: RtpHeader = RtpHeader {
    marker: true,
    payload_type: PayloadType(111),
    sequence_number: SequenceNumber(0xfffe),
    timestamp: RtpTimestamp(0x0102_0304),
    ssrc: Ssrc(0xdead_beef),
};

fn packet(csrcs: &[Ssrc], extension: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 1500];
    let mut at = HEADER.write_fixed(csrcs.len() as u8, !extension.is_empty(), &mut out);
    at += write_csrcs(csrcs, &mut out[at..]);
    out.truncate(at);
    out.extend_from_slice(extension);
    out.extend_from_slice(payload);
    out
}

#[test]
fn rtp_and_rtcp_are_told_apart_by_rfc_5761() {
    for second in 0..=255 {
        let expected = match second {
            192..=223 => PacketKind::Rtcp,
            _ => PacketKind::Rtp,
        };
        assert_eq!(classify(&[0x80, second]), expected);
        assert_eq!(classify(&[0xbf, second, 0]), expected);
        for first in [0x00, 0x16, 0x40, 0xc0] {
            assert_eq!(classify(&[first, second]), PacketKind::Neither);
        }
    }
    assert_eq!(classify(&[]), PacketKind::Neither);
    assert_eq!(classify(&[0x80]), PacketKind::Neither);
}

#[test]
fn sender_ssrc_is_read_where_each_kind_has_it() {
    let rtp = packet(&[], &[], &[]);
    assert_eq!(sender_ssrc(&rtp), Some(HEADER.ssrc));
    assert_eq!(sender_ssrc(&rtp[..11]), None);
    let rtcp = [0x80, 201, 0, 1, 1, 2, 3, 4];
    assert_eq!(sender_ssrc(&rtcp), Some(Ssrc(0x0102_0304)));
    assert_eq!(sender_ssrc(&rtcp[..7]), None);
    assert_eq!(sender_ssrc(&[0; 20]), None);
}

#[test]
fn written_header_is_read_back() {
    let csrcs = [Ssrc(1), Ssrc(2), Ssrc(0xffff_ffff)];
    let extension = [0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0];
    let bytes = packet(&csrcs, &extension, b"payload");
    let view = RtpPacket::parse(&bytes).unwrap();
    assert!(view.marker());
    assert_eq!(view.payload_type(), HEADER.payload_type);
    assert_eq!(view.sequence_number(), HEADER.sequence_number);
    assert_eq!(view.timestamp(), HEADER.timestamp);
    assert_eq!(view.ssrc(), HEADER.ssrc);
    assert_eq!(view.csrcs().collect::<Vec<_>>(), csrcs);
    let block = view.extension().unwrap();
    assert_eq!((block.profile, block.bytes), (0xbede, &extension[4..]));
    assert_eq!(view.payload(), b"payload");
    assert_eq!(view.header_len(), 12 + 12 + 8);
}

#[test]
fn header_shorter_than_it_says_is_malformed_at_every_length() {
    let bytes = packet(&[Ssrc(1); CSRC_MAX], &[0xbe, 0xde, 0, 1, 0, 0, 0, 0], &[]);
    for length in 0..bytes.len() {
        assert_eq!(RtpPacket::parse(&bytes[..length]), Err(DropReason::MalformedRtp));
    }
    assert!(RtpPacket::parse(&bytes).is_ok());
}

#[test]
fn other_versions_are_malformed() {
    for version in [0, 1, 3] {
        let mut bytes = packet(&[], &[], &[1]);
        bytes[0] = bytes[0] & 0x3f | version << 6;
        assert_eq!(RtpPacket::parse(&bytes), Err(DropReason::MalformedRtp));
    }
}

#[test]
fn padding_is_removed_and_checked() {
    let padded = |tail: &[u8]| {
        let mut bytes = packet(&[], &[], tail);
        bytes[0] |= 0x20;
        RtpPacket::parse(&bytes).map(|view| view.payload().to_vec())
    };
    assert_eq!(padded(&[7, 8, 0, 0, 3]), Ok(vec![7, 8]));
    assert_eq!(padded(&[1]), Ok(vec![]));
    assert_eq!(padded(&[7, 0]), Err(DropReason::MalformedRtp));
    assert_eq!(padded(&[7, 3]), Err(DropReason::MalformedRtp));
    // No octet follows the header: its last octet is not a padding count.
    assert_eq!(padded(&[]), Err(DropReason::MalformedRtp));
}

#[test]
fn sources_beyond_fifteen_are_left_out() {
    let csrcs = [Ssrc(9); CSRC_MAX + 1];
    let mut out = [0; FIXED_HEADER_LEN + 4 * CSRC_MAX];
    HEADER.write_fixed(csrcs.len() as u8, false, &mut out);
    let length = write_csrcs(&csrcs, &mut out[FIXED_HEADER_LEN..]);
    assert_eq!(length, 4 * CSRC_MAX);
    assert_eq!(RtpPacket::parse(&out).unwrap().csrcs().len(), CSRC_MAX);
}

#[test]
fn numbers_wrap() {
    let last = SequenceNumber(u16::MAX);
    assert_eq!(last.next(), SequenceNumber(0));
    assert_eq!(last.wrapping_add(3).distance_from(last), 3);
    assert!(SequenceNumber(2).is_after(last));
    assert!(!last.is_after(SequenceNumber(2)));
    assert!(!last.is_after(last));
    assert_eq!(last.wrapping_add(1 << 15).distance_from(last), i16::MIN);
    let late = RtpTimestamp(u32::MAX);
    assert_eq!(late.wrapping_add(960).distance_from(late), 960);
    assert_eq!(late.distance_from(late.wrapping_add(960)), -960);
}

proptest! {
    #[test]
    fn any_octets_parse_within_bounds(mut bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Some(first) = bytes.first_mut() {
            *first = *first & 0x3f | 0x80;
        }
        if let Ok(view) = RtpPacket::parse(&bytes) {
            prop_assert!(view.header_len() + view.payload().len() <= bytes.len());
            prop_assert_eq!(Some(view.ssrc()), Some(Ssrc(u32::from_be_bytes(
                bytes[8..12].try_into().unwrap(),
            ))));
        }
    }

    #[test]
    fn packets_of_the_rtp_crate_are_read_alike(
        marker: bool,
        payload_type in 0_u8..128,
        number: u16,
        timestamp: u32,
        ssrc: u32,
        csrcs in prop::collection::vec(any::<u32>(), 0..16),
        level in prop::option::of(any::<u8>()),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut theirs = Packet::default();
        theirs.header.version = 2;
        theirs.header.marker = marker;
        theirs.header.payload_type = payload_type;
        theirs.header.sequence_number = number;
        theirs.header.timestamp = timestamp;
        theirs.header.ssrc = ssrc;
        theirs.header.csrc = csrcs.clone();
        if let Some(level) = level {
            theirs.header.set_extension(1, vec![level].into()).unwrap();
        }
        theirs.payload = payload.clone().into();
        let bytes = theirs.marshal().unwrap();

        let ours = RtpPacket::parse(&bytes).unwrap();
        prop_assert_eq!(ours.marker(), marker);
        prop_assert_eq!(ours.payload_type().0, payload_type);
        prop_assert_eq!(ours.sequence_number().0, number);
        prop_assert_eq!(ours.timestamp().0, timestamp);
        prop_assert_eq!(ours.ssrc().0, ssrc);
        prop_assert_eq!(ours.csrcs().map(|csrc| csrc.0).collect::<Vec<_>>(), csrcs);
        prop_assert_eq!(ours.extension().is_some(), level.is_some());
        prop_assert_eq!(ours.payload(), &payload[..]);
    }

    #[test]
    fn packets_of_ours_are_read_alike_by_the_rtp_crate(
        csrcs in prop::collection::vec(any::<u32>(), 0..16),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let ours: Vec<_> = csrcs.iter().copied().map(Ssrc).collect();
        let bytes = packet(&ours, &[0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0], &payload);
        let theirs = Packet::unmarshal(&mut &bytes[..]).unwrap();
        prop_assert_eq!(theirs.header.sequence_number, HEADER.sequence_number.0);
        prop_assert_eq!(theirs.header.timestamp, HEADER.timestamp.0);
        prop_assert_eq!(theirs.header.csrc.clone(), csrcs);
        prop_assert_eq!(theirs.header.get_extension(1).unwrap().to_vec(), vec![0xaa]);
        prop_assert_eq!(theirs.payload.to_vec(), payload);
    }
}
