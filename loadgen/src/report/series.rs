//! A run second by second.

use serde::{Deserialize, Serialize};

/// One second of a run, at its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Seconds since the first join began.
    pub at_s: f64,
    /// Members in their conferences.
    pub joined: u64,
    /// Media packets that members received in this second.
    pub packets_in: Option<u64>,
    /// Packets of this second later than 60 ms.
    pub late60: Option<u64>,
    /// CPU of the node in this second, in cores.
    pub node_cpu_cores: Option<f64>,
    /// CPU of the load generator in this second, in cores.
    pub loadgen_cpu_cores: Option<f64>,
    /// Resident memory of the node, in KiB.
    pub node_rss_kib: Option<u64>,
    /// Open descriptors of the node.
    pub node_descriptors: Option<u64>,
    /// Threads of the node.
    pub node_threads: Option<u64>,
}

/// The steady part, in seconds of the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    /// Where it begins.
    pub from_s: f64,
    /// Where it ends.
    pub to_s: f64,
}

impl Steady {
    /// Returns the node's memory in the last tenth of the steady part over that in the first tenth,
    /// both on average: from one second to the next it changes by more than may be allowed to grow.
    pub fn memory_growth(self, points: &[Point]) -> Option<f64> {
        let is_steady = |point: &&Point| point.at_s > self.from_s && point.at_s <= self.to_s;
        let steady = points.iter().filter(is_steady).filter_map(|point| point.node_rss_kib);
        let memory: Vec<_> = steady.map(|kib| kib as f64).collect();
        let tenth = (memory.len() / 10).max(1);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (first, last) = (memory.get(..tenth)?, memory.get(memory.len() - tenth..)?);
        Some(mean(last) / mean(first).max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point each second with this memory.
    fn series(memory: impl IntoIterator<Item = u64>) -> Vec<Point> {
        let point = |(second, kib)| Point {
            at_s: f64::from(second) + 0.5,
            node_rss_kib: Some(kib),
            ..Point::default()
        };
        (0..).zip(memory).map(point).collect()
    }

    #[test]
    fn growth_is_of_means_over_the_steady_part() {
        let sawtooth = |second: u64| 1_000 + second % 10 * 8;
        let even = series((0..120).map(sawtooth));
        let steady = Steady { from_s: 20.0, to_s: 120.0 };
        assert!((steady.memory_growth(&even).unwrap() - 1.0).abs() < 1e-9);
        let growing = series((0..120).map(|second| sawtooth(second) + second / 5));
        let growth = steady.memory_growth(&growing).unwrap();
        assert!((1.017..1.018).contains(&growth), "{growth}");
        let warming_up = series((0..120).map(|second| 1_000 - 500 * u64::from(second < 20)));
        assert!((steady.memory_growth(&warming_up).unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn short_part_has_a_growth_and_none_has_none() {
        let growth = |from_s, to_s| Steady { from_s, to_s }.memory_growth(&series([100, 110, 121]));
        assert!((growth(0.0, 3.0).unwrap() - 1.21).abs() < 1e-9);
        assert!((growth(1.0, 2.0).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(growth(5.0, 9.0), None);
    }
}
