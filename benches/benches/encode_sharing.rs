//! What N listeners cost if they share one encode, and if each has an encode of their own.
//!
//! One iteration is 20 ms of mix for all of them: encoding, and sealing a packet for each.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sabha_benches::{speech, write_packet};
use sabha_media::codec::opus::OpusEncoder;
use sabha_media::codec::{Encoder, EncoderSettings, Frame, PAYLOAD_SIZE_MAX};
use sabha_media::extension::LevelDbov;
use sabha_media::leg::Ssrc;
use sabha_media::srtp::{MasterKey, SrtpSender, SrtpSuite};
use sabha_media::transmit::DATAGRAM_SIZE_MAX;

/// The mixer's own settings.
const MIX: EncoderSettings = EncoderSettings { bitrate: 64_000, complexity: 9 };

fn encode(criterion: &mut Criterion) {
    let frames = speech(0);
    let mut group = criterion.benchmark_group("encode_sharing");
    for (name, is_shared, listeners) in [
        ("shared", true, 10),
        ("shared", true, 100),
        ("personal", false, 10),
        ("personal", false, 100),
    ] {
        let mut tick = Tick::new(listeners, is_shared);
        let mut frames = frames.iter().cycle();
        group.bench_function(BenchmarkId::new(name, listeners), |bencher| {
            bencher.iter(|| tick.run(frames.next().expect("endless")));
        });
    }
    group.finish();
}

struct Tick {
    encoders: Vec<OpusEncoder>,
    listeners: Vec<SrtpSender>,
    payload: [u8; PAYLOAD_SIZE_MAX],
    slot: [u8; DATAGRAM_SIZE_MAX],
    nth: u64,
}

impl Tick {
    fn new(listeners: usize, is_shared: bool) -> Self {
        let encoders = if is_shared { 1 } else { listeners };
        let master = MasterKey::new(SrtpSuite::AeadAes128Gcm, &[7; 28]).expect("28 octets");
        let sender = |_| SrtpSender::new(&master, &[Ssrc(7)]).expect("one stream");
        Self {
            encoders: (0..encoders).map(|_| OpusEncoder::for_mix(MIX)).collect(),
            listeners: (0..listeners).map(sender).collect(),
            payload: [0; PAYLOAD_SIZE_MAX],
            slot: [0; DATAGRAM_SIZE_MAX],
            nth: 0,
        }
    }

    /// Encodes with each encoder, and seals what the last or the listener's own made.
    fn run(&mut self, frame: &Frame) -> usize {
        self.nth += 1;
        let (mut length, mut octets) = (0, 0);
        let mut encoders = self.encoders.iter_mut();
        for listener in &mut self.listeners {
            if let Some(encoder) = encoders.next() {
                length = encoder.encode(frame, &mut self.payload).expect("room for a payload");
            }
            let payload = &self.payload[..length];
            let written = write_packet(&mut self.slot, Ssrc(7), self.nth, LevelDbov(20), payload);
            octets += listener.protect_rtp(&mut self.slot, written).expect("room for a tag");
        }
        octets
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
