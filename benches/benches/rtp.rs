//! Reading what a shard reads of each decrypted packet: header, level, payload.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sabha_benches::write_packet;
use sabha_media::extension::{ClientLevel, LevelDbov};
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{RtpPacket, classify, sender_ssrc};

fn parse(criterion: &mut Criterion) {
    let mut bytes = [0; 160];
    let length = write_packet(&mut bytes, Ssrc(7), 1, LevelDbov(20), &[0x5a; 100]);
    let bytes = &bytes[..length];
    criterion.bench_function("rtp/classify_and_find_ssrc", |bencher| {
        bencher.iter(|| (classify(black_box(bytes)), sender_ssrc(black_box(bytes))));
    });
    criterion.bench_function("rtp/parse_header_level_payload", |bencher| {
        bencher.iter(|| {
            let packet = RtpPacket::parse(black_box(bytes)).expect("written above");
            let level = ClientLevel::read(&packet).expect("written above");
            (packet.sequence_number(), packet.timestamp(), level, packet.payload().len())
        });
    });
}

criterion_group!(benches, parse);
criterion_main!(benches);
