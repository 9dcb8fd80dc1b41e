//! One packet of 100 octets in and out of a jitter buffer in steady state.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::{BufferedPacket, JitterBuffer, JitterSettings, Pull};
use sabha_media::rtp::RtpTimestamp;
use sabha_media::time::Instant;

const FRAME: Duration = Duration::from_millis(20);

fn insert_and_pull(criterion: &mut Criterion) {
    let target_min = Duration::from_millis(4);
    let settings = JitterSettings {
        target_min,
        target_max: FRAME * 10,
        quiet: LevelDbov(65),
        margin_percent: 0,
        stretch: true,
    };
    let mut buffer = JitterBuffer::new(settings);
    let (mut index, mut received_at) = (0, Instant::from_millis(1_000));
    criterion.bench_function("jitter_buffer/insert_and_pull", |bencher| {
        bencher.iter(|| {
            index += 1;
            received_at += FRAME;
            let packet = BufferedPacket {
                index,
                timestamp: RtpTimestamp((index as u32).wrapping_mul(FRAME_SAMPLES as u32)),
                samples: FRAME_SAMPLES as u32,
                level: LevelDbov(20),
                received_at,
                payload: &[0x5a; 100],
            };
            buffer.insert(&packet).expect("the buffer is empty");
            match buffer.pull(received_at + target_min, true, 960) {
                Pull::Play(packet) => packet.payload.len(),
                other => panic!("each packet is due: {other:?}"),
            }
        });
    });
}

criterion_group!(benches, insert_and_pull);
criterion_main!(benches);
