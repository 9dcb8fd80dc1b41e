//! One tick of a conference of three talkers, through the shard, without the kernel.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sabha_benches::{Room, timed};
use sabha_mixer::ListenerPacket;

const TALKERS: usize = 3;

fn tick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mixer/tick");
    for (packet, name) in
        [(ListenerPacket::Ms20, "20 ms, listeners"), (ListenerPacket::Ms60, "60 ms, listeners")]
    {
        for listeners in [10, 100, 1_000, 10_000] {
            let mut room = Room::packed(TALKERS, listeners, packet);
            group.bench_function(BenchmarkId::new(name, listeners), |bencher| {
                bencher.iter_custom(|ticks| timed(ticks, &mut room, Room::prepare, Room::tick));
            });
            check(&mut room, TALKERS + listeners / packet.frames());
        }
    }
    group.finish();
}

/// A bench of a room in which nobody is heard would be worth nothing.
fn check(room: &mut Room, members: usize) {
    let (datagrams, encodes) = (room.tick(), room.counters().encodes);
    room.prepare();
    assert!(
        room.tick() - datagrams >= members as u64,
        "each member is sent its packet, or a third of them a pack"
    );
    let made = room.counters().encodes - encodes;
    assert_eq!(made, TALKERS as u64 + 1, "one shared encode and one for each talker");
}

criterion_group!(benches, tick);
criterion_main!(benches);
