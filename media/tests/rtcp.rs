//! RTCP compounds: writing, reading, refusing, and agreement with the crate `rtcp`.

use std::time::Duration;

use proptest::prelude::*;
use rtcp::goodbye::Goodbye as TheirGoodbye;
use rtcp::packet::Packet;
use rtcp::receiver_report::ReceiverReport as TheirReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport as TheirSenderReport;
use rtcp::source_description::{
    SdesType, SourceDescription as TheirDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use sabha_media::drop_reason::DropReason;
use sabha_media::leg::Ssrc;
use sabha_media::rtcp::{
    Application, COUNT_MAX, CompactNtp, CompoundWriter, ExtendedSequence, LossRle, NtpTimestamp,
    ReportBlock, RtcpPacket, RtcpPackets, RtcpWriteError, SdesChunk, SenderInfo,
};
use sabha_media::rtp::{RtpTimestamp, SequenceNumber};
use webrtc_util::marshal::Unmarshal;

const SSRC: Ssrc = Ssrc(0x1122_3344);

const INFO: SenderInfo = SenderInfo {
    ssrc: SSRC,
    ntp: NtpTimestamp(0x0102_0304_0506_0708),
    rtp: RtpTimestamp(0x1234_5678),
    packet_count: 1000,
    octet_count: 80_000,
};

const BLOCK: ReportBlock = ReportBlock {
    ssrc: Ssrc(7),
    fraction_lost: 25,
    cumulative_lost: -3,
    highest_sequence: ExtendedSequence(0x0001_ffff),
    jitter: 48,
    last_sr: CompactNtp(0x0304_0506),
    delay_since_last_sr: CompactNtp(0x8000),
};

const KEEP_ALIVE: Application<'_> =
    Application { subtype: 3, ssrc: SSRC, name: *b"SABH", data: &[1, 2, 3, 4, 5, 6, 7, 8] };

fn write(write: impl FnOnce(&mut CompoundWriter<'_>) -> Result<(), RtcpWriteError>) -> Vec<u8> {
    let mut out = vec![0xee; 1500];
    let mut writer = CompoundWriter::new(&mut out);
    write(&mut writer).expect("room");
    let length = writer.finish();
    out.truncate(length);
    out
}

fn full_compound() -> Vec<u8> {
    write(|writer| {
        writer.sender_report(&INFO, &[BLOCK, BLOCK])?;
        writer.receiver_report(SSRC, &[BLOCK])?;
        writer.cname(SSRC, b"node@sabha")?;
        writer.application(&KEEP_ALIVE)?;
        writer.goodbye(&[SSRC, Ssrc(8)], b"moved")
    })
}

fn refused(compound: &[u8]) -> bool {
    RtcpPackets::parse(compound).is_err_and(|reason| reason == DropReason::MalformedRtcp)
}

/// A packet with this count, type and body.
fn raw(count: u8, packet_type: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len().is_multiple_of(4));
    [&[0x80 | count, packet_type, 0, (body.len() / 4) as u8], body].concat()
}

fn behind_report(packet: &[u8]) -> Vec<u8> {
    [&raw(0, 201, &[0; 4])[..], packet].concat()
}

#[test]
fn written_compound_is_read_back() {
    let bytes = full_compound();
    let packets: Vec<_> = RtcpPackets::parse(&bytes).unwrap().collect();
    let [
        RtcpPacket::SenderReport(sender),
        RtcpPacket::ReceiverReport(receiver),
        RtcpPacket::SourceDescription(description),
        RtcpPacket::Application(application),
        RtcpPacket::Goodbye(goodbye),
    ] = &packets[..]
    else {
        panic!("{packets:?}")
    };
    assert_eq!(sender.info, INFO);
    assert_eq!(sender.blocks.clone().collect::<Vec<_>>(), [BLOCK, BLOCK]);
    assert_eq!(receiver.ssrc, SSRC);
    assert_eq!(receiver.blocks.clone().collect::<Vec<_>>(), [BLOCK]);
    let chunks: Vec<_> = description.chunks().collect();
    assert_eq!(chunks, [SdesChunk { ssrc: SSRC, cname: Some(b"node@sabha") }]);
    assert_eq!(*application, KEEP_ALIVE);
    assert_eq!(goodbye.sources().collect::<Vec<_>>(), [SSRC, Ssrc(8)]);
    assert_eq!(goodbye.reason(), b"moved");
}

#[test]
fn compound_cut_anywhere_but_between_packets_is_refused() {
    let bytes = full_compound();
    let mut ends = vec![];
    let mut at = 0;
    while at < bytes.len() {
        at += 4 + 4 * usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        ends.push(at);
    }
    for length in 0..=bytes.len() {
        assert_eq!(refused(&bytes[..length]), !ends.contains(&length), "length {length}");
    }
}

#[test]
fn compound_begins_with_a_report() {
    assert!(refused(&raw(0, 203, &[])));
    assert!(refused(&raw(0, 204, &[0; 8])));
    assert!(refused(&raw(0, 207, &[])));
    assert!(!refused(&raw(0, 201, &[0; 4])));
    assert!(!refused(&raw(0, 200, &[0; 24])));

    let mut out = [0; 100];
    let mut writer = CompoundWriter::new(&mut out);
    assert_eq!(writer.application(&KEEP_ALIVE), Err(RtcpWriteError::NotReport));
    assert_eq!(writer.cname(SSRC, b"a"), Err(RtcpWriteError::NotReport));
    assert_eq!(writer.goodbye(&[SSRC], b""), Err(RtcpWriteError::NotReport));
    assert_eq!(writer.finish(), 0);
}

#[test]
fn unknown_types_are_skipped() {
    let compound = behind_report(&[raw(1, 208, &[9; 12]), raw(0, 203, &[])].concat());
    let packets: Vec<_> = RtcpPackets::parse(&compound).unwrap().collect();
    assert!(matches!(packets[..], [RtcpPacket::ReceiverReport(_), RtcpPacket::Goodbye(_)]));
}

#[test]
fn extended_report_tells_which_packets_were_lost() {
    let (begin, end) = (SequenceNumber(65_534), SequenceNumber(3));
    // Received, lost, lost, received, lost.
    let chunks = [0xc8 | 0x80, 0, 0, 0];
    let losses = LossRle { ssrc: Ssrc(7), thinning: 0, begin, end, chunks: &chunks };
    let mut out = [0; 100];
    let mut writer = CompoundWriter::new(&mut out);
    writer.receiver_report(SSRC, &[]).unwrap();
    writer.extended_report(SSRC, &[losses, losses]).unwrap();
    let unaligned = LossRle { chunks: &chunks[..2], ..losses };
    let refused = writer.extended_report(SSRC, &[unaligned]);
    assert_eq!(refused, Err(RtcpWriteError::Unaligned(2)));
    let length = writer.finish();
    assert_eq!(length, 8 + 8 + 2 * 16);
    assert_eq!(out[8..12], [0x80, 207, 0, 9]);
    assert_eq!(out[16..20], [1, 0, 0, 3]);
    let packets: Vec<_> = RtcpPackets::parse(&out[..length]).unwrap().collect();
    let [_, RtcpPacket::ExtendedReport(report)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(report.ssrc, SSRC);
    assert!(report.losses().eq([losses, losses]));
    let lost = losses.runs().filter(|run| !run.is_received).count();
    assert_eq!(lost, 3);
    assert_eq!(losses.burst_lost(), Some(65_536_u32.div_euclid(5) as u16));
}

#[test]
fn bodies_that_break_their_rules_are_refused() {
    assert!(refused(&raw(0, 200, &[0; 20])));
    assert!(refused(&raw(1, 200, &[0; 24])));
    assert!(refused(&raw(0, 201, &[])));
    assert!(refused(&raw(1, 201, &[0; 24])));
    // SDES: no chunk, no end of the list, a text past the packet, a chunk too few.
    assert!(refused(&behind_report(&raw(1, 202, &[]))));
    assert!(refused(&behind_report(&raw(1, 202, &[0, 0, 0, 1, 1, 2, b'a', b'b']))));
    assert!(refused(&behind_report(&raw(1, 202, &[0, 0, 0, 1, 1, 9, b'a', 0]))));
    assert!(refused(&behind_report(&raw(2, 202, &[0, 0, 0, 1, 1, 1, b'a', 0]))));
    // BYE: a source too few, a reason past the packet.
    assert!(refused(&behind_report(&raw(2, 203, &[0; 4]))));
    assert!(refused(&behind_report(&raw(1, 203, &[0, 0, 0, 1, 4, b'a', b'b', b'c']))));
    // APP without a name.
    assert!(refused(&behind_report(&raw(0, 204, &[0; 4]))));
    for version in [0, 1, 3] {
        let mut report = raw(0, 201, &[0; 4]);
        report[0] = version << 6;
        assert!(refused(&report));
    }
}

#[test]
fn padding_is_removed_from_the_last_packet_only() {
    let mut last = raw(0, 204, &[0, 0, 0, 1, b'S', b'A', b'B', b'H', 5, 6, 7, 8, 0, 0, 0, 4]);
    last[0] |= 0x20;
    let compound = behind_report(&last);
    let packets: Vec<_> = RtcpPackets::parse(&compound).unwrap().collect();
    let [_, RtcpPacket::Application(application)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(application.data, [5, 6, 7, 8]);

    assert!(refused(&[compound.clone(), raw(0, 203, &[])].concat()));
    for padding in [0, 3, 20] {
        let mut broken = compound.clone();
        *broken.last_mut().unwrap() = padding;
        assert!(refused(&broken), "padding {padding}");
    }
}

#[test]
fn first_cname_counts_and_other_items_are_passed_over() {
    let body = [
        &[0, 0, 0, 5, 2, 1, b'n', 1, 2, b'c', b'1', 1, 2, b'c', b'2', 0][..],
        &[0, 0, 0, 6, 3, 0, 0, 0],
    ]
    .concat();
    let compound = behind_report(&raw(2, 202, &body));
    let mut packets = RtcpPackets::parse(&compound).unwrap().skip(1);
    let Some(RtcpPacket::SourceDescription(description)) = packets.next() else { panic!() };
    let chunks: Vec<_> = description.chunks().collect();
    let expected =
        [SdesChunk { ssrc: Ssrc(5), cname: Some(b"c1") }, SdesChunk { ssrc: Ssrc(6), cname: None }];
    assert_eq!(chunks, expected);
}

#[test]
fn writer_refuses_what_does_not_fit() {
    let mut out = [0; 64];
    let mut writer = CompoundWriter::new(&mut out);
    let many = [BLOCK; COUNT_MAX + 1];
    assert_eq!(writer.receiver_report(SSRC, &many), Err(RtcpWriteError::TooMany(32)));
    assert_eq!(writer.sender_report(&INFO, &many), Err(RtcpWriteError::TooMany(32)));
    writer.receiver_report(SSRC, &[]).unwrap();
    let no_room = RtcpWriteError::NoRoom { needed: 84, room: 64 };
    assert_eq!(writer.sender_report(&INFO, &[BLOCK, BLOCK]), Err(no_room));
    assert_eq!(writer.cname(SSRC, &[b'a'; 256]), Err(RtcpWriteError::TextTooLong(256)));
    assert_eq!(writer.goodbye(&[SSRC; 32], b""), Err(RtcpWriteError::TooMany(32)));
    let app = |subtype, data| Application { subtype, data, ..KEEP_ALIVE };
    assert_eq!(writer.application(&app(32, &[])), Err(RtcpWriteError::Subtype(32)));
    assert_eq!(writer.application(&app(1, &[0; 5])), Err(RtcpWriteError::Unaligned(5)));
    assert_eq!(writer.finish(), 8);
    assert!(!refused(&out[..8]));
}

#[test]
fn cumulative_loss_is_clamped_to_24_bits() {
    for (lost, written) in [(i32::MIN, -(1 << 23)), (i32::MAX, (1 << 23) - 1), (-1, -1)] {
        let block = ReportBlock { cumulative_lost: lost, ..BLOCK };
        let bytes = write(|writer| writer.receiver_report(SSRC, &[block]));
        let Some(RtcpPacket::ReceiverReport(mut report)) =
            RtcpPackets::parse(&bytes).unwrap().next()
        else {
            panic!()
        };
        assert_eq!(report.blocks.next().unwrap().cumulative_lost, written);
    }
}

#[test]
fn round_trip_is_that_of_rfc_3550() {
    // The example of section 6.4.1: A710:8000 - 0005:4000 - B705:2000 wraps nowhere.
    let block = ReportBlock {
        last_sr: NtpTimestamp(0xb44d_b705_2000_0000).compact(),
        delay_since_last_sr: CompactNtp::from_duration(Duration::from_millis(5250)),
        ..BLOCK
    };
    assert_eq!(block.last_sr, CompactNtp(0xb705_2000));
    assert_eq!(block.delay_since_last_sr, CompactNtp(0x0005_4000));
    let arrival = NtpTimestamp(0xb44d_b710_8000_0000).compact();
    assert_eq!(block.round_trip(arrival), Some(Duration::from_millis(6125)));
    assert_eq!(block.round_trip(CompactNtp(0xb705_2001)), None);
    let no_sr = ReportBlock { last_sr: CompactNtp(0), ..block };
    assert_eq!(no_sr.round_trip(arrival), None);
    assert_eq!(CompactNtp::from_duration(Duration::MAX), CompactNtp(u32::MAX));
}

#[test]
fn compound_of_ours_is_read_alike_by_the_rtcp_crate() {
    let bytes = full_compound();
    let theirs = rtcp::packet::unmarshal(&mut &bytes[..]).unwrap();
    let theirs: Vec<_> = theirs.iter().map(|packet| packet.as_any()).collect();
    let sender = theirs[0].downcast_ref::<TheirSenderReport>().unwrap();
    assert_eq!((sender.ssrc, sender.ntp_time, sender.rtp_time), (SSRC.0, INFO.ntp.0, INFO.rtp.0));
    assert_eq!((sender.packet_count, sender.octet_count), (1000, 80_000));
    let receiver = theirs[1].downcast_ref::<TheirReceiverReport>().unwrap();
    let block = &receiver.reports[0];
    assert_eq!((block.ssrc, block.fraction_lost), (7, 25));
    assert_eq!(block.total_lost, 0x00ff_fffd);
    assert_eq!(block.last_sequence_number, 0x0001_ffff);
    assert_eq!((block.jitter, block.last_sender_report, block.delay), (48, 0x0304_0506, 0x8000));
    let description = theirs[2].downcast_ref::<TheirDescription>().unwrap();
    assert_eq!(description.chunks[0].items[0].text, &b"node@sabha"[..]);
    let goodbye = theirs[4].downcast_ref::<TheirGoodbye>().unwrap();
    assert_eq!(goodbye.sources, [SSRC.0, 8]);
    assert_eq!(goodbye.reason, &b"moved"[..]);
}

#[test]
fn compound_of_the_rtcp_crate_is_read_alike() {
    let block = ReceptionReport {
        ssrc: 7,
        fraction_lost: 25,
        total_lost: 1000,
        last_sequence_number: 0x0001_ffff,
        jitter: 48,
        last_sender_report: 0x0304_0506,
        delay: 0x8000,
    };
    let report = TheirReceiverReport {
        ssrc: SSRC.0,
        reports: vec![block],
        profile_extensions: vec![1, 2, 3, 4].into(),
    };
    let item = |text: &'static str| SourceDescriptionItem {
        sdes_type: SdesType::SdesCname,
        text: text.as_bytes().into(),
    };
    let chunk = |source, text| SourceDescriptionChunk { source, items: vec![item(text)] };
    let description = TheirDescription { chunks: vec![chunk(1, "a"), chunk(2, "longer name")] };
    let goodbye = TheirGoodbye { sources: vec![1, 2], reason: b"bye"[..].into() };
    let packets: [Box<dyn Packet + Send + Sync>; 3] =
        [Box::new(report), Box::new(description), Box::new(goodbye)];
    let bytes = rtcp::packet::marshal(&packets).unwrap();

    let ours: Vec<_> = RtcpPackets::parse(&bytes).unwrap().collect();
    let [
        RtcpPacket::ReceiverReport(report),
        RtcpPacket::SourceDescription(description),
        RtcpPacket::Goodbye(goodbye),
    ] = &ours[..]
    else {
        panic!("{ours:?}")
    };
    let blocks: Vec<_> = report.blocks.clone().collect();
    assert_eq!(blocks, [ReportBlock { cumulative_lost: 1000, ..BLOCK }]);
    let cnames: Vec<_> = description.chunks().map(|chunk| chunk.cname.unwrap()).collect();
    assert_eq!(cnames, [&b"a"[..], b"longer name"]);
    assert_eq!(goodbye.sources().collect::<Vec<_>>(), [Ssrc(1), Ssrc(2)]);
    assert_eq!(goodbye.reason(), b"bye");
    assert!(rtcp::header::Header::unmarshal(&mut &bytes[..]).is_ok());
}

proptest! {
    #[test]
    fn texts_of_every_length_go_through(
        cname in prop::collection::vec(any::<u8>(), 0..=255),
        reason in prop::collection::vec(any::<u8>(), 0..=255),
    ) {
        let bytes = write(|writer| {
            writer.receiver_report(SSRC, &[])?;
            writer.cname(SSRC, &cname)?;
            writer.goodbye(&[SSRC], &reason)
        });
        let packets: Vec<_> = RtcpPackets::parse(&bytes).unwrap().collect();
        let [_, RtcpPacket::SourceDescription(description), RtcpPacket::Goodbye(goodbye)] =
            &packets[..]
        else {
            panic!("{packets:?}")
        };
        prop_assert_eq!(description.chunks().next().unwrap().cname, Some(&cname[..]));
        prop_assert_eq!(goodbye.reason(), &reason[..]);
    }

    #[test]
    fn any_octets_are_read_or_refused(
        bodies in prop::collection::vec(
            (0_u8..64, 199_u8..206, prop::collection::vec(any::<u8>(), 0..40)), 0..5,
        ),
    ) {
        let mut compound = vec![];
        for (low, packet_type, mut body) in bodies {
            body.resize(body.len() / 4 * 4, 0);
            let mut packet = raw(low & 0x1f, packet_type, &body);
            packet[0] |= low & 0x20;
            compound.extend(packet);
        }
        if let Ok(packets) = RtcpPackets::parse(&compound) {
            prop_assert!(packets.count() * 4 <= compound.len());
        }
    }
}
