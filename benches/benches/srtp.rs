//! Protecting and unprotecting a payload of 100 octets: ours, in place, and crate `webrtc-srtp`.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sabha_benches::write_packet;
use sabha_media::extension::LevelDbov;
use sabha_media::leg::Ssrc;
use sabha_media::srtp::{MasterKey, REPLAY_WINDOW, SrtpReceiver, SrtpSender, SrtpSuite};
use webrtc_srtp::context::Context;
use webrtc_srtp::option::srtp_replay_protection;
use webrtc_srtp::protection_profile::ProtectionProfile;

const SSRC: Ssrc = Ssrc(0xcafe_babe);
const KEY: [u8; 16] = *b"known to readers";
const SALT: [u8; 12] = *b"and its salt";

fn protect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp/protect");
    let (mut ours, mut theirs) = (sender(), their_context());
    let (mut nth, mut slot) = (0, [0; 160]);
    group.bench_function("sabha", |bencher| {
        bencher.iter(|| {
            let length = write(&mut nth, &mut slot);
            ours.protect_rtp(&mut slot, length).expect("sequence numbers grow")
        });
    });
    group.bench_function("webrtc-srtp", |bencher| {
        bencher.iter(|| {
            let length = write(&mut nth, &mut slot);
            theirs.encrypt_rtp(&slot[..length]).expect("a packet")
        });
    });
    group.finish();
}

/// Each packet is opened once: a second time it would be a replay.
fn unprotect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp/unprotect");
    let (mut ours, mut stream) = (receiver(), sealed());
    group.bench_function("sabha", |bencher| {
        bencher.iter_batched_ref(
            || stream.next().expect("endless"),
            |(slot, length)| ours.unprotect_rtp(&mut slot[..*length]).expect("authentic"),
            BatchSize::SmallInput,
        );
    });
    let (mut theirs, mut stream) = (their_context(), sealed());
    group.bench_function("webrtc-srtp", |bencher| {
        bencher.iter_batched_ref(
            || stream.next().expect("endless"),
            |(slot, length)| theirs.decrypt_rtp(&slot[..*length]).expect("authentic"),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn sealed() -> impl Iterator<Item = ([u8; 160], usize)> {
    let (mut sender, mut nth) = (sender(), 0);
    std::iter::repeat_with(move || {
        let mut slot = [0; 160];
        let length = write(&mut nth, &mut slot);
        let length = sender.protect_rtp(&mut slot, length).expect("sequence numbers grow");
        (slot, length)
    })
}

fn write(nth: &mut u64, slot: &mut [u8]) -> usize {
    *nth += 1;
    write_packet(slot, SSRC, *nth, LevelDbov(20), &[0x5a; 100])
}

fn master() -> MasterKey {
    let material = [&KEY[..], &SALT].concat();
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &material).expect("28 octets")
}

fn sender() -> SrtpSender {
    SrtpSender::new(&master(), &[SSRC]).expect("one stream")
}

fn receiver() -> SrtpReceiver {
    SrtpReceiver::new(&master(), &[SSRC]).expect("one stream")
}

/// With the replay protection that ours always has, which theirs leaves off by default.
fn their_context() -> Context {
    let replay = srtp_replay_protection(REPLAY_WINDOW as usize);
    Context::new(&KEY, &SALT, ProtectionProfile::AeadAes128Gcm, Some(replay), None)
        .expect("lengths fit")
}

criterion_group!(benches, protect, unprotect);
criterion_main!(benches);
