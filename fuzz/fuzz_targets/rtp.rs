//! RTP views, header extensions and levels over arbitrary octets.
//!
//! What parses stays within its bounds, and writing it anew gives the same octets.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sabha_media::extension::{ClientLevel, ElementWriter, Elements, MixerLevels};
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{
    CSRC_MAX, ExtensionBlock, PacketKind, RtpHeader, RtpPacket, classify, sender_ssrc, write_csrcs,
};

fuzz_target!(|datagram: &[u8]| {
    let kind = classify(datagram);
    let claimed = sender_ssrc(datagram);
    let Ok(packet) = RtpPacket::parse(datagram) else { return };
    assert_ne!(kind, PacketKind::Neither);
    if kind == PacketKind::Rtp {
        assert_eq!(claimed, Some(packet.ssrc()));
    }
    check_header(datagram, &packet);
    check_levels(&packet);
    if let Some(block) = packet.extension() {
        check_elements(block);
    }
});

fn check_header(datagram: &[u8], packet: &RtpPacket<'_>) {
    let padding = datagram.len() - packet.header_len() - packet.payload().len();
    assert_eq!(padding != 0, datagram[0] & 0x20 != 0);
    assert!(padding == 0 || padding == usize::from(datagram[datagram.len() - 1]));

    let header = RtpHeader {
        marker: packet.marker(),
        payload_type: packet.payload_type(),
        sequence_number: packet.sequence_number(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
    };
    let csrcs: Vec<Ssrc> = packet.csrcs().collect();
    assert!(csrcs.len() <= CSRC_MAX);
    let mut out = [0; 12 + 4 * CSRC_MAX];
    let at = header.write_fixed(csrcs.len() as u8, packet.extension().is_some(), &mut out);
    let at = at + write_csrcs(&csrcs, &mut out[at..]);
    out[0] |= datagram[0] & 0x20;
    assert_eq!(out[..at], datagram[..at]);
}

fn check_levels(packet: &RtpPacket<'_>) {
    if let Ok(client) = ClientLevel::read(packet) {
        assert!(client.level.0 <= 127);
    }
    if let Ok(levels) = MixerLevels::read(packet) {
        let read: Vec<_> = levels.collect();
        assert!(read.len() <= packet.csrcs().len());
        for ((csrc, level), listed) in read.iter().zip(packet.csrcs()) {
            assert_eq!(*csrc, listed);
            assert!(level.0 <= 127);
        }
    }
}

/// Elements that the one-byte form can carry are written and read back.
fn check_elements(block: ExtensionBlock<'_>) {
    let mut out = vec![0; block.bytes.len() + 8];
    let mut writer = ElementWriter::new(&mut out).expect("at least eight octets");
    let mut written = vec![];
    let mut broken = 0;
    for element in Elements::new(block) {
        assert_eq!(broken, 0, "elements end with the first error");
        match element {
            Ok(element) if writer.push(element.id, element.bytes).is_ok() => written.push(element),
            Ok(_) => assert_ne!(block.profile, 0xbede, "what was read in one form can be written"),
            Err(_) => broken += 1,
        }
    }
    let length = writer.finish();
    let anew = ExtensionBlock { profile: 0xbede, bytes: &out[4..length] };
    let read: Vec<_> = Elements::new(anew).map(|element| element.expect("own writing")).collect();
    assert_eq!(read, written);
}
