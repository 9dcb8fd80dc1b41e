//! The paths whose instructions are counted, each made ready outside the count.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use sabha_benches::{Relay, Room, speech, write_packet};
use sabha_media::codec::opus::{OpusDecoder, OpusEncoder};
use sabha_media::codec::{
    Decoder, Encoder, EncoderSettings, FRAME_SAMPLES, PACKET_SAMPLES_MAX, PAYLOAD_SIZE_MAX,
};
use sabha_media::extension::{ClientLevel, LevelDbov};
use sabha_media::jitter_buffer::{BufferedPacket, JitterBuffer, JitterSettings, Pull};
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{RtpPacket, RtpTimestamp, classify, sender_ssrc};
use sabha_media::srtp::{MasterKey, SrtpReceiver, SrtpSender, SrtpSuite};
use sabha_media::time::Instant;
use sabha_mixer::ListenerPacket;

/// Runs a path [`RUNS`] times; the whole of the command that valgrind is given.
pub fn run(name: &str) -> ExitCode {
    match name.split_once('/') {
        Some(("srtp", "protect")) => protect(),
        Some(("srtp", "unprotect")) => unprotect(),
        Some(("rtp", "parse")) => parse(),
        Some(("jitter_buffer", "insert_and_pull")) => insert_and_pull(),
        Some(("opus", "encode")) => encode(),
        Some(("opus", "decode")) => decode(),
        Some(("shard", receivers)) => forward(receivers.parse().expect("a number of receivers")),
        Some(("mixer", listeners)) => tick(listeners, ListenerPacket::Ms20),
        Some(("bridge", listeners)) => bridge(listeners.parse().expect("a number of listeners")),
        Some(("packed", listeners)) => tick(listeners, ListenerPacket::Ms60),
        _ => {
            eprintln!("bench-table: there is no path {name}; see benches/src/table/paths.rs");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What callgrind looks for: it counts from the entry of `counted` until its return.
pub const COUNTED: &str = "*paths::counted*";

/// Runs of a path; enough that the first ones, which fill tables, hardly show.
pub const RUNS: u32 = 50;

#[inline(never)]
fn counted<R>(work: impl FnOnce() -> R) -> R {
    black_box(work())
}

fn protect() {
    let (mut sender, mut slot) = (sender(), [0; 160]);
    for nth in 1..=RUNS.into() {
        counted(|| {
            let length = write_packet(&mut slot, SSRC, nth, LevelDbov(20), &PAYLOAD);
            sender.protect_rtp(&mut slot, length).expect("sequence numbers grow")
        });
    }
}

fn unprotect() {
    let (mut sender, mut slot) = (sender(), [0; 160]);
    let mut receiver = SrtpReceiver::new(&master(), &[SSRC]).expect("one stream");
    for nth in 1..=RUNS.into() {
        let length = write_packet(&mut slot, SSRC, nth, LevelDbov(20), &PAYLOAD);
        let length = sender.protect_rtp(&mut slot, length).expect("sequence numbers grow");
        counted(|| receiver.unprotect_rtp(&mut slot[..length]).expect("authentic").index);
    }
}

fn parse() {
    let mut slot = [0; 160];
    let length = write_packet(&mut slot, SSRC, 1, LevelDbov(20), &PAYLOAD);
    for _ in 0..RUNS {
        let bytes = black_box(&slot[..length]);
        counted(|| {
            let found = (classify(bytes), sender_ssrc(bytes));
            let packet = RtpPacket::parse(bytes).expect("written above");
            let level = ClientLevel::read(&packet).expect("written above");
            (found, packet.sequence_number(), packet.timestamp(), level, packet.payload().len())
        });
    }
}

fn insert_and_pull() {
    let target_min = Duration::from_millis(4);
    let settings = JitterSettings {
        target_min,
        target_max: FRAME * 10,
        quiet: LevelDbov(65),
        margin_percent: 0,
        stretch: true,
    };
    let mut buffer = JitterBuffer::new(settings);
    let mut received_at = Instant::from_millis(1_000);
    for index in 1..=u64::from(RUNS) {
        received_at += FRAME;
        let packet = BufferedPacket {
            index,
            timestamp: RtpTimestamp((index as u32).wrapping_mul(FRAME_SAMPLES as u32)),
            samples: FRAME_SAMPLES as u32,
            level: LevelDbov(20),
            received_at,
            payload: &PAYLOAD,
        };
        counted(|| {
            buffer.insert(&packet).expect("the buffer is empty");
            match buffer.pull(received_at + target_min, true, 960) {
                Pull::Play(packet) => packet.payload.len(),
                other => panic!("each packet is due: {other:?}"),
            }
        });
    }
}

fn encode() {
    let mut encoder = OpusEncoder::for_mix(EncoderSettings { bitrate: 64_000, complexity: 9 });
    let mut payload = [0; PAYLOAD_SIZE_MAX];
    let frames = speech(0);
    for frame in frames.iter().cycle().take(RUNS as usize) {
        counted(|| encoder.encode(frame, &mut payload).expect("room for the largest payload"));
    }
}

fn decode() {
    let mut encoder = OpusEncoder::new(EncoderSettings { bitrate: 32_000, complexity: 9 });
    let (mut decoder, mut pcm) = (OpusDecoder::new(), [0.0; PACKET_SAMPLES_MAX]);
    let mut payload = [0; PAYLOAD_SIZE_MAX];
    for frame in speech(0).iter().cycle().take(RUNS as usize) {
        let length = encoder.encode(frame, &mut payload).expect("room for the largest payload");
        counted(|| decoder.decode(Some(&payload[..length]), &mut pcm).expect("just encoded"));
    }
}

fn forward(receivers: usize) {
    let mut relay = Relay::new(receivers);
    for _ in 0..RUNS {
        relay.prepare();
        counted(|| relay.forward());
    }
}

fn tick(listeners: &str, packet: ListenerPacket) {
    let listeners = listeners.parse().expect("a number of listeners");
    let mut room = Room::packed(TALKERS, listeners, packet);
    for _ in 0..RUNS {
        room.prepare();
        counted(|| room.tick());
    }
}

fn bridge(listeners: usize) {
    let mut room = Room::bridged(TALKERS, listeners);
    for _ in 0..RUNS {
        room.prepare();
        counted(|| room.tick());
    }
}

fn master() -> MasterKey {
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &[7; 28]).expect("28 octets")
}

fn sender() -> SrtpSender {
    SrtpSender::new(&master(), &[SSRC]).expect("one stream")
}

const SSRC: Ssrc = Ssrc(0xcafe_babe);
const PAYLOAD: [u8; 100] = [0x5a; 100];
const FRAME: Duration = Duration::from_millis(20);
const TALKERS: usize = 3;
