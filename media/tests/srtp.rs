//! SRTP and SRTCP: what passes, what is refused, and that refusals change nothing.

use std::sync::Arc;

use proptest::prelude::*;
use sabha_media::drop_reason::DropReason;
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{RtpHeader, SequenceNumber};
use sabha_media::srtp::{
    KeyUseLog, MasterKey, MasterKeyError, PacketIndex, ProtectError, REPLAY_WINDOW, STREAMS_MAX,
    SrtpReceiver, SrtpSender, SrtpSuite, StreamsError,
};

const SSRC: Ssrc = Ssrc(0x1234_5678);
const OTHER: Ssrc = Ssrc(0x1234_5679);
const PAYLOAD: &[u8] = b"twenty milliseconds of Opus";

fn master(seed: u8) -> MasterKey {
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &[seed; 28]).expect("28 octets")
}

fn sender() -> SrtpSender {
    SrtpSender::new(&master(7), &[SSRC, OTHER]).expect("two streams")
}

fn receiver() -> SrtpReceiver {
    SrtpReceiver::new(&master(7), &[SSRC, OTHER]).expect("two streams")
}

fn plain_rtp(ssrc: Ssrc, number: u16) -> Vec<u8> {
    let mut out = vec![0; 12];
    let sequence_number = SequenceNumber(number);
    RtpHeader { ssrc, sequence_number, ..RtpHeader::default() }.write_fixed(0, false, &mut out);
    out.extend_from_slice(PAYLOAD);
    out
}

fn rtp(sender: &mut SrtpSender, ssrc: Ssrc, number: u16) -> Vec<u8> {
    let mut buffer = plain_rtp(ssrc, number);
    let length = buffer.len();
    buffer.resize(length + 16, 0);
    assert_eq!(sender.protect_rtp(&mut buffer, length), Ok(length + 16));
    buffer
}

fn plain_rtcp(ssrc: Ssrc) -> Vec<u8> {
    let mut out = vec![0x80, 201, 0, 1];
    out.extend_from_slice(&ssrc.0.to_be_bytes());
    out.extend_from_slice(&[0x81, 204, 0, 2, 1, 2, 3, 4, b'S', b'A', b'B', b'H']);
    out
}

fn rtcp(sender: &mut SrtpSender, ssrc: Ssrc) -> Vec<u8> {
    let mut buffer = plain_rtcp(ssrc);
    let length = buffer.len();
    buffer.resize(length + 20, 0);
    assert_eq!(sender.protect_rtcp(&mut buffer, length), Ok(length + 20));
    buffer
}

/// Unprotects a copy, and returns the packet's index.
fn pass(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<u64, DropReason> {
    let mut packet = packet.to_vec();
    receiver.unprotect_rtp(&mut packet).map(|unprotected| unprotected.index.0)
}

fn pass_rtcp(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<u64, DropReason> {
    let mut packet = packet.to_vec();
    receiver.unprotect_rtcp(&mut packet).map(|unprotected| unprotected.index.0)
}

#[test]
fn protected_packets_come_back() {
    let (mut sender, mut receiver) = (sender(), receiver());
    for number in 0..100 {
        let mut packet = rtp(&mut sender, SSRC, number);
        assert_ne!(packet[12..12 + PAYLOAD.len()], *PAYLOAD);
        let unprotected = receiver.unprotect_rtp(&mut packet).unwrap();
        assert_eq!(packet[..unprotected.length], plain_rtp(SSRC, number));
        assert_eq!(unprotected.index, PacketIndex(u64::from(number)));

        let mut packet = rtcp(&mut sender, SSRC);
        let unprotected = receiver.unprotect_rtcp(&mut packet).unwrap();
        assert_eq!(packet[..unprotected.length], plain_rtcp(SSRC));
        assert_eq!(unprotected.index, PacketIndex(u64::from(number)));
    }
}

#[test]
fn suite_is_found_by_its_iana_number() {
    assert_eq!(SrtpSuite::from_id(0x0007), Some(SrtpSuite::AeadAes128Gcm));
    assert_eq!(SrtpSuite::from_id(0x0001), None);
    for suite in SrtpSuite::ALL {
        assert_eq!(SrtpSuite::from_id(suite.id()), Some(*suite));
    }
}

#[test]
fn keying_material_has_one_length() {
    for actual in [0, 27, 29] {
        let refused = MasterKey::new(SrtpSuite::AeadAes128Gcm, &vec![0; actual]).unwrap_err();
        assert_eq!(refused, MasterKeyError::Length { needed: 28, actual });
    }
}

#[test]
fn keys_are_not_shown() {
    assert_eq!(format!("{:?}", master(77)), "MasterKey { suite: AeadAes128Gcm, .. }");
    for shown in [format!("{:?}", sender()), format!("{:?}", receiver())] {
        assert!(!shown.contains("key") && !shown.contains("salt"), "{shown}");
    }
}

#[test]
fn stream_list_is_bounded_and_without_repeats() {
    let ssrcs: Vec<_> = (0..=STREAMS_MAX as u32).map(Ssrc).collect();
    assert!(SrtpSender::new(&master(1), &ssrcs[1..]).is_ok());
    let refused = SrtpSender::new(&master(1), &ssrcs).unwrap_err();
    assert_eq!(refused, StreamsError::TooMany(STREAMS_MAX + 1));
    let refused = SrtpReceiver::new(&master(1), &[SSRC, OTHER, SSRC]).unwrap_err();
    assert_eq!(refused, StreamsError::Repeated(SSRC));
}

#[test]
fn unknown_stream_is_refused() {
    let mut stranger = SrtpSender::new(&master(7), &[Ssrc(1)]).unwrap();
    assert_eq!(
        pass(&mut receiver(), &rtp(&mut stranger, Ssrc(1), 0)),
        Err(DropReason::UnknownSsrc)
    );
    let packet = rtcp(&mut stranger, Ssrc(1));
    assert_eq!(pass_rtcp(&mut receiver(), &packet), Err(DropReason::UnknownSsrc));
    assert_eq!(
        stranger.protect_rtp(&mut [plain_rtp(SSRC, 0), vec![0; 16]].concat(), 39),
        Err(ProtectError::UnknownSsrc(SSRC))
    );
    assert_eq!(
        stranger.protect_rtcp(&mut [plain_rtcp(SSRC), vec![0; 20]].concat(), 20),
        Err(ProtectError::UnknownSsrc(SSRC))
    );
}

#[test]
fn streams_keep_their_own_counters() {
    let (mut sender, mut receiver) = (sender(), receiver());
    for number in [5, 30_000, 60_000, 3] {
        // The last number is SSRC's next cycle; OTHER has not moved.
        assert!(pass(&mut receiver, &rtp(&mut sender, SSRC, number)).is_ok());
    }
    assert_eq!(pass(&mut receiver, &rtp(&mut sender, OTHER, 3)), Ok(3));
    assert_eq!(receiver.newest_index(SSRC), Some(PacketIndex(65_539)));
    assert_eq!(receiver.newest_index(OTHER), Some(PacketIndex(3)));
    assert_eq!(receiver.newest_index(Ssrc(0)), None);
    assert_eq!(pass_rtcp(&mut receiver, &rtcp(&mut sender, SSRC)), Ok(0));
    assert_eq!(pass_rtcp(&mut receiver, &rtcp(&mut sender, OTHER)), Ok(0));
}

#[test]
fn replayed_packet_is_refused_before_decryption() {
    let (mut sender, mut receiver) = (sender(), receiver());
    let first = rtp(&mut sender, SSRC, 1);
    let second = rtp(&mut sender, SSRC, 2);
    assert_eq!(pass(&mut receiver, &second), Ok(2));
    assert_eq!(pass(&mut receiver, &first), Ok(1));
    let mut replay = first.clone();
    assert_eq!(receiver.unprotect_rtp(&mut replay), Err(DropReason::Replayed));
    assert_eq!(replay, first, "a replay must not be decrypted");

    let packet = rtcp(&mut sender, SSRC);
    assert_eq!(pass_rtcp(&mut receiver, &packet), Ok(0));
    assert_eq!(pass_rtcp(&mut receiver, &packet), Err(DropReason::Replayed));
}

#[test]
fn packet_older_than_the_window_is_refused() {
    let (mut sender, mut receiver) = (sender(), receiver());
    let packets: Vec<_> = (0..=128).map(|number| rtp(&mut sender, SSRC, number)).collect();
    let compounds: Vec<_> = (0..=128).map(|_| rtcp(&mut sender, SSRC)).collect();
    assert_eq!(packets.len() as u64, REPLAY_WINDOW + 1);
    assert_eq!(pass(&mut receiver, &packets[128]), Ok(128));
    assert_eq!(pass(&mut receiver, &packets[0]), Err(DropReason::TooOld));
    assert_eq!(pass(&mut receiver, &packets[1]), Ok(1));
    assert_eq!(pass_rtcp(&mut receiver, &compounds[128]), Ok(128));
    assert_eq!(pass_rtcp(&mut receiver, &compounds[0]), Err(DropReason::TooOld));
    assert_eq!(pass_rtcp(&mut receiver, &compounds[1]), Ok(1));
}

#[test]
fn packet_from_before_the_first_cycle_is_refused() {
    let (mut sender, mut receiver) = (sender(), receiver());
    assert_eq!(pass(&mut receiver, &rtp(&mut sender, SSRC, 1)), Ok(1));
    assert_eq!(pass(&mut receiver, &plain_rtp(SSRC, 65_000)), Err(DropReason::TooOld));
}

#[test]
fn truncated_packet_is_refused_at_every_length() {
    let (mut sender, mut receiver) = (sender(), receiver());
    let packet = rtp(&mut sender, SSRC, 1);
    for length in 0..packet.len() {
        let expected = if length < 28 { DropReason::TooShort } else { DropReason::Unauthentic };
        assert_eq!(pass(&mut receiver, &packet[..length]), Err(expected), "length {length}");
    }
    assert_eq!(receiver.newest_index(SSRC), None);
    assert_eq!(pass(&mut receiver, &packet), Ok(1));

    let packet = rtcp(&mut sender, SSRC);
    for length in 0..packet.len() {
        let refused = pass_rtcp(&mut receiver, &packet[..length]).unwrap_err();
        let expected = matches!(refused, DropReason::TooShort) == (length < 28);
        assert!(expected, "length {length}: {refused:?}");
    }
    assert_eq!(pass_rtcp(&mut receiver, &packet), Ok(0));
}

#[test]
fn header_that_runs_into_the_tag_is_refused() {
    let (mut sender, mut receiver) = (sender(), receiver());
    let packet = rtp(&mut sender, SSRC, 1);
    for csrc_count in 1..16 {
        let mut longer = packet[..44].to_vec();
        longer[0] |= csrc_count;
        let refused = pass(&mut receiver, &longer).unwrap_err();
        let header_len = 12 + 4 * usize::from(csrc_count);
        let expected = match 44_usize.checked_sub(header_len) {
            None => DropReason::MalformedRtp,
            Some(0..16) => DropReason::TooShort,
            Some(_) => DropReason::Unauthentic,
        };
        assert_eq!(refused, expected);
    }
}

#[test]
fn flipped_bit_is_refused_at_every_position() {
    let (mut sender, mut receiver) = (sender(), receiver());
    let packet = rtp(&mut sender, SSRC, 1);
    let compound = rtcp(&mut sender, SSRC);
    for bit in 0..8 * packet.len() {
        let mut flipped = packet.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(pass(&mut receiver, &flipped).is_err(), "bit {bit}");
    }
    for bit in 0..8 * compound.len() {
        let mut flipped = compound.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(pass_rtcp(&mut receiver, &flipped).is_err(), "bit {bit}");
    }
    // Nothing was learned from all that.
    assert_eq!(receiver.newest_index(SSRC), None);
    assert_eq!(pass(&mut receiver, &packet), Ok(1));
    assert_eq!(pass_rtcp(&mut receiver, &compound), Ok(0));
}

#[test]
fn other_version_is_refused() {
    let (mut sender, mut receiver) = (sender(), receiver());
    let mut packet = rtp(&mut sender, SSRC, 1);
    packet[0] ^= 0xc0;
    assert_eq!(pass(&mut receiver, &packet), Err(DropReason::MalformedRtp));
    let mut packet = rtcp(&mut sender, SSRC);
    packet[0] ^= 0xc0;
    assert_eq!(pass_rtcp(&mut receiver, &packet), Err(DropReason::MalformedRtcp));
}

#[test]
fn other_key_is_refused() {
    let mut other = SrtpSender::new(&master(8), &[SSRC]).unwrap();
    let mut receiver = receiver();
    assert_eq!(pass(&mut receiver, &rtp(&mut other, SSRC, 1)), Err(DropReason::Unauthentic));
    let packet = rtcp(&mut other, SSRC);
    assert_eq!(pass_rtcp(&mut receiver, &packet), Err(DropReason::Unauthentic));
}

#[test]
fn sequence_number_serves_once_and_not_long_after_others() {
    let mut sender = sender();
    rtp(&mut sender, SSRC, 100);
    rtp(&mut sender, SSRC, 97);
    rtp(&mut sender, SSRC, 230);
    rtp(&mut sender, SSRC, 200);
    for number in [230, 200, 166, 102, 0, 65_535, 230 + 32_768] {
        let mut buffer = [plain_rtp(SSRC, number), vec![0; 16]].concat();
        let before = buffer.clone();
        let refused = sender.protect_rtp(&mut buffer, 39);
        let (number, last) = (SequenceNumber(number), SequenceNumber(230));
        assert_eq!(refused, Err(ProtectError::NotAhead { ssrc: SSRC, number, last }));
        assert_eq!(buffer, before, "a refused packet stays as it was");
    }
    rtp(&mut sender, SSRC, 167);
    rtp(&mut sender, SSRC, 231);
}

#[test]
fn buffer_without_room_is_refused_and_uses_no_index() {
    let mut sender = sender();
    let plain = plain_rtp(SSRC, 1);
    let refused = sender.protect_rtp(&mut [&plain[..], &[0; 15]].concat(), 39);
    assert_eq!(refused, Err(ProtectError::NoRoom { needed: 55, room: 54 }));
    let refused = sender.protect_rtcp(&mut [plain_rtcp(SSRC), vec![0; 19]].concat(), 20);
    assert_eq!(refused, Err(ProtectError::NoRoom { needed: 40, room: 39 }));
    assert_eq!(sender.protect_rtp(&mut [0x80; 99], 11), Err(ProtectError::Malformed(11)));
    assert_eq!(sender.protect_rtcp(&mut [0x80; 99], 7), Err(ProtectError::Malformed(7)));
    assert_eq!(sender.protect_rtcp(&mut [0; 99], 20), Err(ProtectError::Malformed(20)));
    assert_eq!(
        sender.protect_rtp(&mut [0; 9], usize::MAX),
        Err(ProtectError::NoRoom { needed: usize::MAX, room: 9 })
    );
    let mut receiver = receiver();
    assert_eq!(pass(&mut receiver, &rtp(&mut sender, SSRC, 1)), Ok(1));
    assert_eq!(pass_rtcp(&mut receiver, &rtcp(&mut sender, SSRC)), Ok(0));
}

#[test]
fn tap_sees_every_use_and_finds_repeats() {
    let log = Arc::new(KeyUseLog::new(10));
    assert!(log.is_empty());
    let mut first = sender();
    first.set_tap(Some(log.clone()));
    rtp(&mut first, SSRC, 1);
    rtp(&mut first, OTHER, 1);
    rtp(&mut first, SSRC, 2);
    rtcp(&mut first, SSRC);
    rtcp(&mut first, SSRC);
    assert_eq!((log.len(), log.repeats(), log.overflow()), (5, 0, 0));

    // A second sender under the same master key is just what must never happen.
    let mut second = sender();
    second.set_tap(Some(log.clone()));
    rtp(&mut second, SSRC, 1);
    rtcp(&mut second, SSRC);
    assert_eq!((log.len(), log.repeats(), log.overflow()), (7, 2, 0));

    let mut other_key = SrtpSender::new(&master(8), &[SSRC]).unwrap();
    other_key.set_tap(Some(log.clone()));
    for number in 1..6 {
        rtp(&mut other_key, SSRC, number);
    }
    assert_eq!((log.len(), log.repeats(), log.overflow()), (10, 2, 2));
    first.set_tap(None);
    rtp(&mut first, SSRC, 3);
    assert_eq!(log.overflow(), 2);
}

#[test]
fn roll_over_counter_follows_three_wraps_out_of_order() {
    let (mut sender, mut receiver) = (sender(), receiver());
    // Every 60th packet of 3.3 cycles; each two change places, within the replay window.
    let indices: Vec<u64> = (0..3600).map(|step| 5000 + step * 60).collect();
    for group in indices.chunks(2) {
        let packets: Vec<_> =
            group.iter().map(|index| (*index, rtp(&mut sender, SSRC, *index as u16))).collect();
        for (index, packet) in packets.iter().rev() {
            assert_eq!(pass(&mut receiver, packet), Ok(*index));
        }
        assert_eq!(receiver.newest_index(SSRC), group.last().copied().map(PacketIndex));
    }
    assert!(receiver.newest_index(SSRC).unwrap().0 > 3 * 65_536);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a model that remembers everything: each packet passes once, if it is not too old.
    #[test]
    fn receiver_lets_each_packet_of_a_reordered_stream_through_once(
        start in 0_u64..32_768,
        skips in prop::collection::vec(prop_oneof![9 => 1_u64..4, 1 => 1_u64..30_000], 1..150),
        delays in prop::collection::vec(0_usize..200, 300),
    ) {
        let (mut sender, mut receiver) = (sender(), receiver());
        let mut index = start;
        let mut arrivals = Vec::new();
        for (place, skip) in skips.iter().enumerate() {
            let packet = rtp(&mut sender, SSRC, index as u16);
            // Each packet arrives twice; the first is never delayed, as a stream begins in order.
            let delay = |copy: usize| if place == 0 { 0 } else { delays[2 * place + copy - 2] };
            arrivals.push((place + delay(0), index, packet.clone()));
            arrivals.push((place + delay(1), index, packet));
            index += skip;
        }
        arrivals.sort_by_key(|(at, ..)| *at);

        let mut seen = std::collections::BTreeSet::new();
        for (_, index, packet) in arrivals {
            let newest = seen.last().copied().unwrap_or(index);
            // Just half a cycle away, the newest's own cycle is taken (RFC 3711 section 3.3.1).
            let is_in_first_half = newest % 65_536 < 32_768;
            let ahead_max = 32_767 + u64::from(is_in_first_half);
            let behind_max = 32_767 + u64::from(!is_in_first_half);
            if newest > index + behind_max || index > newest + ahead_max {
                // So far away that the cycle is guessed wrongly: refused, and harmless.
                prop_assert!(pass(&mut receiver, &packet).is_err());
                continue;
            }
            let expected = if newest >= index + REPLAY_WINDOW {
                Err(DropReason::TooOld)
            } else if !seen.insert(index) {
                Err(DropReason::Replayed)
            } else {
                Ok(index)
            };
            prop_assert_eq!(pass(&mut receiver, &packet), expected);
        }
    }
}
