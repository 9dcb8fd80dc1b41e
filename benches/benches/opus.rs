//! What one frame of 20 ms costs to encode, decode and conceal, and what a copied state costs.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sabha_benches::speech;
use sabha_media::codec::opus::{OpusDecoder, OpusEncoder};
use sabha_media::codec::{
    Decoder, Encoder, EncoderSettings, FRAME_SAMPLES, PACKET_SAMPLES_MAX, PAYLOAD_SIZE_MAX,
};

const VOICE: EncoderSettings = EncoderSettings { bitrate: 32_000, complexity: 9 };

fn encode(criterion: &mut Criterion) {
    let frames = speech(0);
    let mut group = criterion.benchmark_group("opus/encode");
    let voice = |complexity| EncoderSettings { complexity, ..VOICE };
    let mix = |complexity| EncoderSettings { bitrate: 64_000, complexity };
    let encoders = [
        ("32_kbit_s_complexity_5", OpusEncoder::new(voice(5))),
        ("32_kbit_s_complexity_9", OpusEncoder::new(voice(9))),
        ("mix_64_kbit_s_complexity_5", OpusEncoder::for_mix(mix(5))),
        ("mix_64_kbit_s_complexity_9", OpusEncoder::for_mix(mix(9))),
    ];
    for (name, mut encoder) in encoders {
        let mut payload = [0; PAYLOAD_SIZE_MAX];
        let mut frames = frames.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| encoder.encode(frames.next().expect("endless"), &mut payload));
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut encoder = OpusEncoder::new(VOICE);
    let mut payload = [0; PAYLOAD_SIZE_MAX];
    let payloads: Vec<_> = speech(0)
        .iter()
        .map(|frame| {
            let length = encoder.encode(frame, &mut payload).expect("room for the largest payload");
            payload[..length].to_vec()
        })
        .collect();
    let (mut decoder, mut pcm) = (OpusDecoder::new(), [0.0; PACKET_SAMPLES_MAX]);
    let mut group = criterion.benchmark_group("opus/decode");
    let mut packets = payloads.iter().cycle();
    group.bench_function("packet", |bencher| {
        bencher.iter(|| decoder.decode(packets.next().map(Vec::as_slice), &mut pcm));
    });
    // Concealment fades out within a few frames, so every other frame is a real one.
    group.bench_function("packet_and_concealment", |bencher| {
        bencher.iter(|| {
            let played = decoder.decode(packets.next().map(Vec::as_slice), &mut pcm);
            (played, decoder.decode(None, &mut pcm[..FRAME_SAMPLES]))
        });
    });
    group.finish();
}

fn copy_state(criterion: &mut Criterion) {
    let (shared, mut personal) = (OpusEncoder::new(VOICE), OpusEncoder::new(VOICE));
    criterion.bench_function("opus/copy_state", |bencher| {
        bencher.iter(|| personal.copy_state_from(black_box(&shared)));
    });
}

criterion_group!(benches, encode, decode, copy_state);
criterion_main!(benches);
