//! Figures by name: registered once, read off the node's state, written as Prometheus' text.
//!
//! The recorder belongs to one node and is never the process' global one, so that several nodes
//! may run in a process.

use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::exact::{Exact, Family};
use super::reading::Reading;

/// Labels of a series: of bounded number, and never a user's or a conference's name.
pub(super) type Labels = Vec<Label>;

/// Reads one series; `None` if it cannot be told now.
pub(super) type Read<T> = Box<dyn Fn(&Reading) -> Option<T> + Send + Sync>;

/// Name and meaning of a figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

/// All figures of a node.
pub(super) struct Registry {
    recorder: PrometheusRecorder,
    counters: Vec<(Counter, Read<u64>)>,
    gauges: Vec<(Gauge, Read<f64>)>,
    families: Vec<Family>,
}

impl Registry {
    pub(super) fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        Self { recorder, counters: Vec::new(), gauges: Vec::new(), families: Vec::new() }
    }

    /// Adds a series of a counter of whole things.
    pub(super) fn counter(
        &mut self,
        name: Name,
        labels: Labels,
        read: impl Fn(&Reading) -> Option<u64> + Send + Sync + 'static,
    ) {
        self.recorder.describe_counter(name.name.into(), None, name.help.into());
        let key = Key::from_parts(name.name, labels);
        self.counters.push((self.recorder.register_counter(&key, &METADATA), Box::new(read)));
    }

    /// Adds a series of a figure that also falls.
    pub(super) fn gauge(
        &mut self,
        name: Name,
        labels: Labels,
        read: impl Fn(&Reading) -> Option<f64> + Send + Sync + 'static,
    ) {
        self.recorder.describe_gauge(name.name.into(), None, name.help.into());
        let key = Key::from_parts(name.name, labels);
        self.gauges.push((self.recorder.register_gauge(&key, &METADATA), Box::new(read)));
    }

    /// Adds a series that is written as it was counted; `kind` is its type in the text format.
    pub(super) fn exact(
        &mut self,
        name: Name,
        kind: &'static str,
        labels: Labels,
        read: impl Fn(&Reading) -> Option<Exact> + Send + Sync + 'static,
    ) {
        let known = self.families.iter().position(|family| family.name() == name.name);
        let at = known.unwrap_or_else(|| {
            self.families.push(Family::new(name.name, name.help, kind));
            self.families.len() - 1
        });
        self.families[at].add(labels, Box::new(read));
    }

    /// Takes over what can be read, and writes everything.
    ///
    /// A counter or gauge that cannot be read keeps its value.
    pub(super) fn write(&self, reading: &Reading) -> String {
        for (counter, read) in &self.counters {
            if let Some(value) = read(reading) {
                counter.absolute(value);
            }
        }
        for (gauge, read) in &self.gauges {
            if let Some(value) = read(reading) {
                gauge.set(value);
            }
        }
        let mut text = self.recorder.handle().render();
        for family in &self.families {
            family.write(reading, &mut text);
        }
        text
    }
}

/// The exporter asks for it and does not use it.
static METADATA: Metadata<'static> = Metadata::new("sabha", Level::INFO, None);
