//! A packet through a whole shard: received, opened, forwarded by the simplest engine, sealed.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sabha_benches::{Relay, timed};

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shard/forward");
    for receivers in [0, 1, 10, 100, 1_000] {
        let mut relay = Relay::new(receivers);
        check(&mut relay, receivers);
        group.throughput(Throughput::Elements(receivers.max(1) as u64));
        group.bench_function(BenchmarkId::new("receivers", receivers), |bencher| {
            bencher
                .iter_custom(|packets| timed(packets, &mut relay, Relay::prepare, Relay::forward));
        });
    }
    group.finish();
}

/// A bench of a shard that drops everything would be worth nothing.
fn check(relay: &mut Relay, receivers: usize) {
    relay.prepare();
    let before = relay.forward();
    relay.prepare();
    assert_eq!(relay.forward() - before, receivers as u64, "each receiver is sent the packet");
}

criterion_group!(benches, forward);
criterion_main!(benches);
