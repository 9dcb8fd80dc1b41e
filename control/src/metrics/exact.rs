//! Figures that the exporter cannot hold: counted seconds, and what is in buckets already.
//!
//! The exporter's counters are whole numbers, and its histograms take one sample at a time. The
//! node's threads count lateness in buckets themselves, so their counts are written as they are,
//! with the exporter's own functions for the text format.

use metrics::Key;
use metrics_exporter_prometheus::LabelSet;
use metrics_exporter_prometheus::formatting::{
    write_help_line, write_metric_line, write_type_line,
};
use sabha_media::quality::{MOS_BOUNDS, MosCounts};

use super::reading::Reading;
use super::registry::{Labels, Read};

/// The value of one series.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Exact {
    /// A counter with fractions, or a gauge that is not always there.
    Value(f64),
    /// Sum and number of samples, from which averages are made.
    Summary { sum: f64, count: u64 },
    /// Samples by upper bound, which are cumulative and in rising order; `count` is of all.
    Histogram { buckets: Vec<(f64, u64)>, sum: f64, count: u64 },
}

/// All series of one name.
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    series: Vec<(LabelSet, Read<Exact>)>,
}

impl Exact {
    /// Makes a histogram of counts by power of two: `counts[0]` is below 1 µs, `counts[k]` below
    /// 2^k µs, and the last has also everything above.
    pub(super) fn by_power_of_two_micros(counts: &[u64], sum_seconds: f64) -> Self {
        let mut count = 0;
        let cumulative = counts.iter().enumerate().map(|(bucket, samples)| {
            count += samples;
            ((1_u64 << bucket) as f64 / 1e6, count)
        });
        let mut buckets: Vec<_> = cumulative.collect();
        // The last one has no bound: it is what +Inf has more than those before.
        buckets.pop();
        Self::Histogram { buckets, sum: sum_seconds, count }
    }

    /// Makes a histogram of scores.
    pub(super) fn of_scores(scores: &MosCounts) -> Self {
        let mut count = 0;
        let cumulative = MOS_BOUNDS.iter().zip(scores.counts).map(|(bound, scores)| {
            count += scores;
            (f64::from(*bound), count)
        });
        let buckets = cumulative.collect();
        let sum = scores.sum_thousandths as f64 / 1_000.0;
        Self::Histogram { buckets, sum, count: scores.total() }
    }
}

impl Family {
    /// Names a family of `kind`, as the text format calls it; it has no series yet.
    pub(super) fn new(name: &'static str, help: &'static str, kind: &'static str) -> Self {
        Self { name, help, kind, series: Vec::new() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn add(&mut self, labels: Labels, read: Read<Exact>) {
        let key = Key::from_parts(self.name, labels);
        self.series.push((LabelSet::from_key_and_global(&key, &Default::default()), read));
    }

    /// Appends the family; a series that cannot be read is left out, as none is better than wrong.
    pub(super) fn write(&self, reading: &Reading, out: &mut String) {
        write_help_line(out, self.name, None, None, self.help);
        write_type_line(out, self.name, None, None, self.kind);
        for (labels, read) in &self.series {
            if let Some(value) = read(reading) {
                self.write_series(labels, &value, out);
            }
        }
        out.push('\n');
    }

    fn write_series(&self, labels: &LabelSet, value: &Exact, out: &mut String) {
        let mut line = |suffix, bound: Option<(&'static str, String)>, value: f64| {
            write_metric_line(out, self.name, suffix, labels, bound, value, None);
        };
        match value {
            Exact::Value(value) => line(None, None, *value),
            Exact::Summary { sum, count } => {
                line(Some("sum"), None, *sum);
                line(Some("count"), None, *count as f64);
            }
            Exact::Histogram { buckets, sum, count } => {
                for (bound, samples) in buckets {
                    line(Some("bucket"), Some(("le", bound.to_string())), *samples as f64);
                }
                line(Some("bucket"), Some(("le", "+Inf".into())), *count as f64);
                line(Some("sum"), None, *sum);
                line(Some("count"), None, *count as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_is_cumulative_and_ends_with_infinity() {
        let mut family = Family::new("late_seconds", "How late.", "histogram");
        let read = |_: &Reading| Some(Exact::by_power_of_two_micros(&[1, 0, 2, 4], 0.5));
        family.add(vec![metrics::Label::new("shard", "0")], Box::new(read));
        let mut text = String::new();
        family.write(&Reading::default(), &mut text);
        assert_eq!(
            text,
            "# HELP late_seconds How late.\n\
             # TYPE late_seconds histogram\n\
             late_seconds_bucket{shard=\"0\",le=\"0.000001\"} 1\n\
             late_seconds_bucket{shard=\"0\",le=\"0.000002\"} 1\n\
             late_seconds_bucket{shard=\"0\",le=\"0.000004\"} 3\n\
             late_seconds_bucket{shard=\"0\",le=\"+Inf\"} 7\n\
             late_seconds_sum{shard=\"0\"} 0.5\n\
             late_seconds_count{shard=\"0\"} 7\n\n"
        );
    }

    #[test]
    fn series_that_cannot_be_read_is_left_out() {
        let mut family = Family::new("busy_seconds_total", "Busy.", "counter");
        family.add(Vec::new(), Box::new(|_| Some(Exact::Value(1.25))));
        family.add(vec![metrics::Label::new("shard", "1")], Box::new(|_| None));
        let mut text = String::new();
        family.write(&Reading::default(), &mut text);
        assert!(text.ends_with("counter\nbusy_seconds_total 1.25\n\n"), "{text}");
    }
}
