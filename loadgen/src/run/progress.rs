//! How a run goes, for whoever waits: a live line on a terminal, else a line every few seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::Point;

/// Tells on stderr how the run goes.
pub struct Display {
    bar: Option<ProgressBar>,
    last: Option<Instant>,
}

impl Display {
    /// Begins to tell.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, last: None }
    }

    /// Tells of a new step.
    pub fn step(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => eprintln!("{text}"),
        }
        self.last = None;
    }

    /// Tells where the run is; on anything but a terminal only now and then.
    pub fn point(&mut self, step: &str, point: &Point) {
        let text = line(step, point);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if self.last.is_none_or(|last| last.elapsed() >= LINE_INTERVAL) => {
                eprintln!("{text}");
                self.last = Some(Instant::now());
            }
            None => {}
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(step: &str, point: &Point) -> String {
    let cores = |cores: Option<f64>| cores.map_or("?".to_owned(), |cores| format!("{cores:.2}"));
    format!(
        "{:5.0} s  {step}: {} joined, {} packets/s, {} late, CPU: node {}, load generator {} cores",
        point.at_s,
        point.joined,
        point.packets_in.unwrap_or(0),
        point.late60.unwrap_or(0),
        cores(point.node_cpu_cores),
        cores(point.loadgen_cpu_cores),
    )
}

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
