//! What the benches share: speech, packets, and rooms in virtual time.
//!
//! Nothing here is measured. The clock is virtual and the network is a slot that forgets, so a
//! bench sees the cost of the code and not of the kernel.

mod member;
mod packet;
mod relay;
mod room;
mod speech;

pub use packet::write_packet;
pub use relay::Relay;
pub use room::Room;
pub use speech::speech;

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Times `work`, so many times, without what is prepared before each.
pub fn timed<T, R>(
    times: u64,
    subject: &mut T,
    prepare: impl Fn(&mut T),
    work: impl Fn(&mut T) -> R,
) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..times {
        prepare(subject);
        let start = Instant::now();
        black_box(work(subject));
        total += start.elapsed();
    }
    total
}
