//! Redundant payloads over arbitrary octets.
//!
//! What parses is written anew as the same octets, and each copy that is given out as a packet's
//! predecessor ends where the next one begins.

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

    let (mut index, mut start) = (1, RtpTimestamp(7));
    for copy in packet.predecessors(&Opus, index, start) {
        index -= 1;
        assert_eq!(copy.index, index);
        assert_eq!(copy.timestamp.wrapping_add(copy.samples), start);
        start = copy.timestamp;
    }
    let mut arrivals = RedArrivals::default();
    arrivals.count(Some(&packet));
    assert_eq!(usize::from(arrivals.copies()), copies.len());
});
