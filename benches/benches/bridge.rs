//! 20 ms of a bridged conference of three talkers, through the shard, without the kernel.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sabha_benches::{Room, timed};
use sabha_bridge::Bridge;

const TALKERS: usize = 3;

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bridge/20_ms");
    for listeners in [10, 100, 1_000] {
        let mut room = Room::bridged(TALKERS, listeners);
        group.bench_function(BenchmarkId::new("listeners", listeners), |bencher| {
            bencher.iter_custom(|ticks| timed(ticks, &mut room, Room::prepare, Room::tick));
        });
        check(&mut room, TALKERS + listeners);
    }
    group.finish();
}

/// A bench of a room in which nobody is heard would be worth nothing.
fn check(room: &mut Room<Bridge>, members: usize) {
    let before = room.counters().packets_out;
    let mut due = 0;
    for _ in 0..50 {
        room.prepare();
        room.tick();
        due += TALKERS as u64 * (members as u64 - 1);
    }
    let sent = room.counters().packets_out - before;
    assert!(sent * 10 >= due * 9, "each talker to all others: {sent} of {due}");
}

criterion_group!(benches, forward);
criterion_main!(benches);
