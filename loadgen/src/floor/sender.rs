//! The sending side, a process of its own so that its CPU is all its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use std::{fs, io, iter, thread};

use sabha_transport::{BATCH_MAX, MediaSocket, SendHeaders};

use super::{Order, Sent};

/// Reads an order from standard input, carries it out and prints what it cost.
///
/// The whole of the hidden command; to be called by a process with no other thread.
///
/// # Errors
/// What reading the order, binding, sending or reading the CPU's figures answers.
pub fn send_as_child() -> io::Result<()> {
    let order: Order = serde_json::from_reader(io::stdin())?;
    let sent = send(&order)?;
    serde_json::to_writer(io::stdout(), &sent).map_err(io::Error::from)
}

fn send(order: &Order) -> io::Result<Sent> {
    let socket = MediaSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).map_err(io::Error::other)?;
    let size_max = order.sizes.iter().copied().max().unwrap_or(0);
    let bytes = vec![0x5a; size_max];
    let cohort = order.to.len().div_ceil(order.cohorts);
    let mut rounds = Rounds::new(order.interval.div_f64(order.cohorts as f64));
    let mut batch = Vec::with_capacity(cohort * order.gather.ceil() as usize);
    let mut headers = SendHeaders::new();
    let mut gather = Shares { mean: order.gather, owed: 0.0 };
    let mut run = |until: f64| -> io::Result<u64> {
        let (start, mut datagrams) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < until {
            let round = rounds.wait();
            let size = order.sizes[(round / order.cohorts as u64) as usize % order.sizes.len()];
            let nth = (round % order.cohorts as u64) as usize;
            let to = order.to.chunks(cohort).nth(nth).unwrap_or_default();
            batch.clear();
            let datagrams_for =
                |to: &SocketAddr| iter::repeat_n((*to, &bytes[..size]), gather.next());
            batch.extend(to.iter().flat_map(datagrams_for));
            send_round(&socket, &mut headers, &batch)?;
            datagrams += batch.len() as u64;
        }
        Ok(datagrams)
    };
    let warm_up = run(WARM_UP_SECONDS)?;
    let (start, cpu_before) = (Instant::now(), cpu()?);
    let datagrams = run(order.seconds)?;
    let cpu = cpu()?.saturating_sub(cpu_before);
    Ok(Sent { cpu, elapsed: start.elapsed(), datagrams, datagrams_all: warm_up + datagrams })
}

/// Sends all datagrams, those for one address in one message.
fn send_round(
    socket: &MediaSocket,
    headers: &mut SendHeaders,
    mut datagrams: &[(SocketAddr, &[u8])],
) -> io::Result<()> {
    while !datagrams.is_empty() {
        match headers.send_batch(socket, &datagrams[..batch_len(datagrams)]) {
            Ok(count) => datagrams = &datagrams[count..],
            // Over loopback only for a moment, as a receiver that is full drops.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whole numbers with a given mean, each one of the two next to it.
struct Shares {
    mean: f64,
    owed: f64,
}

impl Shares {
    fn next(&mut self) -> usize {
        self.owed += self.mean;
        let share = self.owed.floor();
        self.owed -= share;
        share as usize
    }
}

/// Returns how many of the datagrams go into the next call: all for one address, as in a node, which
/// ends no batch within a message.
fn batch_len(datagrams: &[(SocketAddr, &[u8])]) -> usize {
    if datagrams.len() <= BATCH_MAX {
        return datagrams.len();
    }
    let next = datagrams[BATCH_MAX].0;
    let whole = datagrams[..BATCH_MAX].iter().rposition(|(to, _)| *to != next);
    whole.map_or(BATCH_MAX, |last| last + 1)
}

/// Wakes at a fixed cadence; what is missed is not made up for.
struct Rounds {
    every: Duration,
    next: Instant,
    count: u64,
}

impl Rounds {
    fn new(every: Duration) -> Self {
        Self { every, next: Instant::now(), count: 0 }
    }

    /// Sleeps until the next round is due; returns its number.
    fn wait(&mut self) -> u64 {
        let now = Instant::now();
        if self.next > now {
            thread::sleep(self.next - now);
        }
        self.next = (self.next + self.every).max(now);
        self.count += 1;
        self.count - 1
    }
}

/// CPU of the calling thread, which is the only one, user and system time together.
///
/// Source: the first figure of /proc/PID/schedstat, in ns (the kernel's sched-stats.rst).
fn cpu() -> io::Result<Duration> {
    // Giving way brings the kernel's account up to date; else it may be a timer tick behind.
    thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().and_then(|figure| figure.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| io::Error::other("schedstat has no figures"))
}

/// Until pages, routes and queues are there.
const WARM_UP_SECONDS: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_ends_between_two_addresses() {
        let to = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let datagrams = |runs: &[(u16, usize)]| -> Vec<(SocketAddr, &[u8])> {
            let run = |(port, len): &(u16, usize)| iter::repeat_n((to(*port), &b"x"[..]), *len);
            runs.iter().flat_map(run).collect()
        };
        assert_eq!(batch_len(&datagrams(&[(1, 3), (2, 3)])), 6);
        assert_eq!(batch_len(&datagrams(&[(1, BATCH_MAX - 1), (2, 3)])), BATCH_MAX - 1);
        assert_eq!(batch_len(&datagrams(&[(1, BATCH_MAX), (2, 3)])), BATCH_MAX);
        assert_eq!(batch_len(&datagrams(&[(1, BATCH_MAX + 9)])), BATCH_MAX);
    }

    #[test]
    fn shares_have_the_mean_and_lie_next_to_it() {
        for (mean, least, most, sum) in [(1.0, 1, 1, 100), (3.0, 3, 3, 300), (2.75, 2, 3, 275)] {
            let mut shares = Shares { mean, owed: 0.0 };
            let all: Vec<_> = (0..100).map(|_| shares.next()).collect();
            assert!(all.iter().all(|share| (least..=most).contains(share)), "{all:?}");
            assert_eq!(all.iter().sum::<usize>(), sum);
        }
    }
}
