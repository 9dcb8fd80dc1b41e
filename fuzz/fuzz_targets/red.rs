//! Redundant payloads over arbitrary octets.
//!
//! What parses is written anew as the same octets, and each copy that is given out is of a packet
//! before it, as far back by its timestamp as by its number.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sabha_media::codec::opus::Opus;
use sabha_media::red::{COPIES_MAX, RedArrivals, RedPacket};
use sabha_media::rtp::RtpTimestamp;

fuzz_target!(|payload: &[u8]| {
    let Ok(packet) = RedPacket::parse(payload) else { return };
    let mut out = vec![0; payload.len()];
    assert_eq!(packet.write(&mut out), Some(payload.len()));
    assert_eq!(out, payload);
    let copies: Vec<_> = packet.copies().collect();
    assert!(copies.len() <= COPIES_MAX);
    assert_eq!(RedPacket::new(packet.primary(), &copies), packet);

    let (index, start) = (20_000, RtpTimestamp(7));
    for copy in packet.predecessors(&Opus, index, start) {
        assert!(copy.index < index);
        let samples = (index - copy.index) as u32 * copy.samples;
        assert_eq!(copy.timestamp.wrapping_add(samples), start);
    }
    let mut arrivals = RedArrivals::default();
    arrivals.count(Some(&packet));
    assert_eq!(usize::from(arrivals.copies()), copies.len());
});
