//! Header extensions of RFC 8285 and the audio levels of RFC 6464 and 6465.

use proptest::prelude::*;
use sabha_media::drop_reason::DropReason;
use sabha_media::extension::{
    CLIENT_LEVEL_ID, ClientLevel, Element, ElementRefused, ElementWriter, Elements, LevelDbov,
    MIXER_LEVEL_ID, MixerLevels,
};
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{ExtensionBlock, RtpHeader, RtpPacket, write_csrcs};

type Read<'a> = Vec<Result<(u8, &'a [u8]), DropReason>>;

fn elements(profile: u16, bytes: &[u8]) -> Read<'_> {
    let elements = Elements::new(ExtensionBlock { profile, bytes });
    elements.map(|element| element.map(|Element { id, bytes }| (id, bytes))).collect()
}

fn packet(csrcs: &[Ssrc], write: impl FnOnce(&mut ElementWriter<'_>)) -> Vec<u8> {
    let mut out = vec![0xee; 200];
    let mut at = RtpHeader::default().write_fixed(csrcs.len() as u8, true, &mut out);
    at += write_csrcs(csrcs, &mut out[at..]);
    let mut writer = ElementWriter::new(&mut out[at..]).expect("room");
    write(&mut writer);
    at += writer.finish();
    out.truncate(at);
    out
}

#[test]
fn one_byte_form_is_read_past_padding() {
    let block = [0x10, 0xaa, 0, 0, 0x21, 1, 2, 0];
    let expected: Read<'_> = vec![Ok((1, &[0xaa])), Ok((2, &[1, 2]))];
    assert_eq!(elements(0xbede, &block), expected);
}

#[test]
fn two_byte_form_is_read_whatever_the_appbits() {
    let block = [1, 0, 0, 200, 2, 7, 8, 0];
    let expected: Read<'_> = vec![Ok((1, &[])), Ok((200, &[7, 8]))];
    for appbits in 0..16 {
        assert_eq!(elements(0x1000 | appbits, &block), expected);
    }
}

#[test]
fn unknown_profile_has_no_elements() {
    assert!(elements(0x1234, &[0x10, 0xaa, 0, 0]).is_empty());
}

#[test]
fn one_byte_form_ends_at_fifteen_and_at_a_zero_with_length() {
    for end in [0xf0, 0x02] {
        let block = [0x10, 0xaa, end, 0x20, 1, 0, 0, 0];
        let expected: Read<'_> = vec![Ok((1, &[0xaa]))];
        assert_eq!(elements(0xbede, &block), expected);
    }
}

#[test]
fn element_past_its_block_is_malformed_once() {
    assert_eq!(elements(0xbede, &[0x13, 1, 2, 3]), vec![Err(DropReason::MalformedExtension)]);
    assert_eq!(elements(0x1000, &[1, 3, 1, 2]), vec![Err(DropReason::MalformedExtension)]);
    assert_eq!(elements(0x1000, &[0, 0, 0, 1]), vec![Err(DropReason::MalformedExtension)]);
}

#[test]
fn client_level_goes_through_a_packet() {
    for level in 0..=127 {
        for voice in [false, true] {
            let stated = ClientLevel { voice, level: LevelDbov(level) };
            let bytes = packet(&[], |writer| stated.write(writer).unwrap());
            assert_eq!(ClientLevel::read(&RtpPacket::parse(&bytes).unwrap()), Ok(stated));
        }
    }
}

#[test]
fn client_level_is_read_from_the_two_byte_form() {
    let mut bytes = [0; 20];
    RtpHeader::default().write_fixed(0, true, &mut bytes);
    bytes[12..].copy_from_slice(&[0x10, 0, 0, 1, CLIENT_LEVEL_ID, 1, 0x80 | 30, 0]);
    let level = ClientLevel::read(&RtpPacket::parse(&bytes).unwrap());
    assert_eq!(level, Ok(ClientLevel { voice: true, level: LevelDbov(30) }));
}

#[test]
fn packet_without_level_says_so() {
    let read = |bytes: &[u8]| ClientLevel::read(&RtpPacket::parse(bytes).unwrap());
    let mut plain = [0; 12];
    RtpHeader::default().write_fixed(0, false, &mut plain);
    assert_eq!(read(&plain), Err(DropReason::NoLevel));
    let other = packet(&[], |writer| writer.push(MIXER_LEVEL_ID, &[1]).unwrap());
    assert_eq!(read(&other), Err(DropReason::NoLevel));
    let mut broken = packet(&[], |writer| writer.push(3, &[1, 2, 3]).unwrap());
    broken[16] = 0x34;
    assert_eq!(read(&broken), Err(DropReason::MalformedExtension));
}

#[test]
fn mixer_levels_pair_with_the_contributing_sources() {
    let csrcs: Vec<_> = (1..=15).map(Ssrc).collect();
    let levels: Vec<_> = (20..35).map(LevelDbov).collect();
    let bytes = packet(&csrcs, |writer| MixerLevels::write(&levels, writer).unwrap());
    let view = RtpPacket::parse(&bytes).unwrap();
    let read: Vec<_> = MixerLevels::read(&view).unwrap().collect();
    assert_eq!(read, csrcs.into_iter().zip(levels).collect::<Vec<_>>());
}

#[test]
fn mixer_levels_end_with_the_shorter_list() {
    let few = packet(&[Ssrc(1), Ssrc(2)], |w| MixerLevels::write(&[LevelDbov(9)], w).unwrap());
    let read: Vec<_> = MixerLevels::read(&RtpPacket::parse(&few).unwrap()).unwrap().collect();
    assert_eq!(read, [(Ssrc(1), LevelDbov(9))]);
    let many = packet(&[Ssrc(1)], |w| MixerLevels::write(&[LevelDbov(9); 20], w).unwrap());
    let read: Vec<_> = MixerLevels::read(&RtpPacket::parse(&many).unwrap()).unwrap().collect();
    assert_eq!(read, [(Ssrc(1), LevelDbov(9))]);
    let none = packet(&[Ssrc(1)], |w| MixerLevels::write(&[], w).unwrap());
    assert_eq!(MixerLevels::read(&RtpPacket::parse(&none).unwrap()).unwrap().count(), 0);
}

#[test]
fn writer_refuses_what_the_form_cannot_carry() {
    let mut out = [0; 8];
    assert_eq!(
        ElementWriter::new(&mut out[..3]).unwrap_err(),
        ElementRefused::NoRoom { needed: 4, room: 3 }
    );
    let mut writer = ElementWriter::new(&mut out).unwrap();
    assert_eq!(writer.push(0, &[1]), Err(ElementRefused::Id(0)));
    assert_eq!(writer.push(15, &[1]), Err(ElementRefused::Id(15)));
    assert_eq!(writer.push(1, &[]), Err(ElementRefused::Length(0)));
    assert_eq!(writer.push(1, &[0; 17]), Err(ElementRefused::Length(17)));
    assert_eq!(writer.push(1, &[0; 4]), Err(ElementRefused::NoRoom { needed: 12, room: 8 }));
    assert_eq!(writer.push(1, &[5; 3]), Ok(()));
    assert_eq!(writer.finish(), 8);
    assert_eq!(out, [0xbe, 0xde, 0, 1, 0x12, 5, 5, 5]);
}

#[test]
fn level_is_that_of_known_signals() {
    let frame = |amplitude: f32, sample: fn(f32) -> f32| -> Vec<f32> {
        (0..960).map(|n| amplitude * sample(n as f32 / 48.0)).collect()
    };
    let sine: fn(f32) -> f32 = |turn| (turn * std::f32::consts::TAU).sin();
    let square: fn(f32) -> f32 = |turn| if turn.fract() < 0.5 { 1.0 } else { -1.0 };
    assert_eq!(LevelDbov::from_samples(&frame(1.0, square)), LevelDbov::LOUDEST);
    assert_eq!(LevelDbov::from_samples(&frame(1.0, sine)), LevelDbov(3));
    assert_eq!(LevelDbov::from_samples(&frame(0.1, sine)), LevelDbov(23));
    assert_eq!(LevelDbov::from_samples(&frame(0.001, square)), LevelDbov(60));
    assert_eq!(LevelDbov::from_samples(&frame(0.0, sine)), LevelDbov::SILENCE);
    assert_eq!(LevelDbov::from_samples(&[]), LevelDbov::SILENCE);
}

#[test]
fn level_is_clamped() {
    assert_eq!(LevelDbov::from_rms(2.0), LevelDbov::LOUDEST);
    assert_eq!(LevelDbov::from_rms(f32::INFINITY), LevelDbov::LOUDEST);
    assert_eq!(LevelDbov::from_rms(1e-9), LevelDbov::SILENCE);
    assert_eq!(LevelDbov::from_rms(-1.0), LevelDbov::SILENCE);
    assert_eq!(LevelDbov::from_rms(f32::NAN), LevelDbov::SILENCE);
    assert!(LevelDbov(10).is_louder_than(LevelDbov(11)));
    assert!(!LevelDbov(10).is_louder_than(LevelDbov(10)));
}

proptest! {
    #[test]
    fn written_elements_are_read_back(
        elements in prop::collection::vec(
            (1_u8..=14, prop::collection::vec(any::<u8>(), 1..=16)), 0..10,
        ),
    ) {
        let mut out = [0xee; 200];
        let mut writer = ElementWriter::new(&mut out).unwrap();
        for (id, value) in &elements {
            writer.push(*id, value).unwrap();
        }
        let length = writer.finish();
        prop_assert_eq!(length % 4, 0);
        prop_assert_eq!(usize::from(u16::from_be_bytes([out[2], out[3]])) * 4 + 4, length);
        let block = ExtensionBlock { profile: 0xbede, bytes: &out[4..length] };
        let read: Vec<_> = Elements::new(block).map(Result::unwrap).collect();
        let read: Vec<_> = read.iter().map(|e| (e.id, e.bytes.to_vec())).collect();
        prop_assert_eq!(read, elements);
    }

    #[test]
    fn any_block_is_read_to_an_end(
        profile in prop::sample::select(vec![0xbede, 0x1000, 0x100f]),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let block = ExtensionBlock { profile, bytes: &bytes };
        let read: Vec<_> = Elements::new(block).collect();
        prop_assert!(read.len() <= bytes.len());
        let errors = read.iter().filter(|element| element.is_err()).count();
        prop_assert!(errors <= 1);
        prop_assert!(errors == 0 || read.last().unwrap().is_err());
    }
}
