//! What a datagram costs a driver's thread, the kernel's part included, for each back end.
//!
//! Processor time of threads over real sockets, which criterion cannot measure: it prints its own
//! lines. `cargo bench -p sabha-benches --bench forward -- fan` runs the lines that begin so.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails should stop")]
#![allow(unsafe_code, reason = "thread times and bare system calls have no safe interface in std")]

mod echo;
mod fan;
mod floor;

use std::time::Duration;

use sabha_transport::{DriverConfig, DriverKind};

/// Returns the processor time of the calling thread.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// Pins the calling thread to a core and lets it run before ordinary ones, as a driver's.
fn prepare_thread(core: usize) {
    // SAFETY: cpu_set_t is plain integers, for which all-zero is a value; 0 is the calling thread,
    // and the pointers are to a live set of the size given and to live parameters.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
        let parameter = libc::sched_param { sched_priority: 2 };
        libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameter);
    }
}

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| name.starts_with(wanted));
    for kind in [DriverKind::Poll, DriverKind::Glommio] {
        for sinks in [1, 10, 50] {
            if is_wanted("echo") {
                echo::measure(kind, sinks);
            }
        }
    }
    for sinks in [1_000, 3_000] {
        for kind in [DriverKind::Poll, DriverKind::Glommio] {
            if is_wanted("fan") {
                let gather = |gather| DriverConfig { gather, ..DriverConfig::default() };
                let frame = Some(Duration::from_millis(20));
                let rounds = DriverConfig { rounds: frame, ..DriverConfig::default() };
                fan::measure(kind, sinks, 1, gather(Duration::ZERO));
                fan::measure(kind, sinks, 1, gather(Duration::from_millis(1)));
                fan::measure(kind, sinks, 3, gather(Duration::from_millis(1)));
                fan::measure(kind, sinks, 1, rounds);
            }
        }
    }
}

/// The core of the thread that is measured; the other end runs on core 0.
const CORE: usize = 1;
