//! The run second by second: what members receive, and what node and load generator take.

use std::time::{Duration, Instant};

use super::proc::{Process, Reading};
use crate::report::Point;
use crate::worker::message::Progress;

/// Watches processes from the beginning of the first join.
pub struct Watch {
    node: Option<Process>,
    /// The load generator's own.
    own: Vec<Process>,
    began: Instant,
    last: Last,
    points: Vec<Point>,
}

struct Last {
    at: Instant,
    progress: Progress,
    node: Option<Reading>,
    own: Duration,
}

/// CPU and memory between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// How long it was.
    pub over: Duration,
    /// CPU of the node.
    pub node: Option<Duration>,
    /// CPU of the load generator's processes.
    pub own: Duration,
    /// The node at its end.
    pub node_then: Option<Reading>,
}

/// One end of a `Usage`.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: Instant,
    node: Option<Reading>,
    own: Duration,
}

impl Watch {
    /// Begins to watch a node and the load generator's processes.
    pub fn new(node: Option<Process>, own: Vec<Process>) -> Self {
        let now = Instant::now();
        let last = Last {
            at: now,
            progress: Progress::default(),
            node: node.and_then(Process::read),
            own: cpu_of(&own),
        };
        Self { node, own, began: now, last, points: Vec::new() }
    }

    /// Notes a point; call it about once a second.
    pub fn note(&mut self, progress: Progress) -> &Point {
        let now = Instant::now();
        let (node, own) = (self.node.and_then(Process::read), cpu_of(&self.own));
        let over = now.duration_since(self.last.at).as_secs_f64().max(SECONDS_MIN);
        let cores = |used: Duration| used.as_secs_f64() / over;
        let node_used =
            node.zip(self.last.node).map(|(now, then)| now.cpu.saturating_sub(then.cpu));
        let rate = |now: u64, then: u64| Some((now.saturating_sub(then) as f64 / over) as u64);
        let before = self.last.progress;
        let point = Point {
            at_s: now.duration_since(self.began).as_secs_f64(),
            joined: progress.joined,
            packets_in: rate(progress.packets_in, before.packets_in),
            late60: rate(progress.late60, before.late60),
            node_cpu_cores: node_used.map(cores),
            loadgen_cpu_cores: Some(cores(own.saturating_sub(self.last.own))),
            node_rss_kib: node.and_then(|node| node.rss_kib),
            node_descriptors: node.and_then(|node| node.descriptors),
            node_threads: node.and_then(|node| node.threads),
        };
        self.last = Last { at: now, progress, node, own };
        if self.points.len() < POINTS_MAX {
            self.points.push(point);
        }
        self.points.last().expect("one was just added, or the list is full")
    }

    /// Returns seconds since the beginning.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Reads CPU and memory now.
    pub fn moment(&self) -> Moment {
        let (node, own) = (self.node.and_then(Process::read), cpu_of(&self.own));
        Moment { at: Instant::now(), node, own }
    }

    /// Returns what was used since `from`.
    pub fn usage_since(&self, from: Moment) -> Usage {
        let now = self.moment();
        Usage {
            over: now.at.duration_since(from.at),
            node: now.node.zip(from.node).map(|(now, then)| now.cpu.saturating_sub(then.cpu)),
            own: now.own.saturating_sub(from.own),
            node_then: now.node,
        }
    }

    /// Returns all points.
    pub fn into_points(self) -> Vec<Point> {
        self.points
    }
}

fn cpu_of(processes: &[Process]) -> Duration {
    processes.iter().filter_map(|process| process.cpu()).sum()
}

/// A day of points.
const POINTS_MAX: usize = 86_400;

/// Shortest time that a rate is made of.
const SECONDS_MIN: f64 = 0.01;
