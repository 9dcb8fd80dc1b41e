//! The command `floor`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::{FloorPlan, foreign, measure, measure_with};

/// Measures what sending alone costs this machine.
#[derive(Clone, Debug, clap::Args)]
pub struct FloorArgs {
    /// Sockets to send to
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    sockets: u32,
    /// Octets of each UDP payload
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=1_472))]
    size: u16,
    /// Time between two sends to the same socket, in ms
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    interval_ms: u64,
    /// Parts that the sockets are sent to in turn; a mixer with packets of 60 ms has 3
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    cohorts: u32,
    /// Packets for a socket at a time, in one message that the kernel cuts (GSO); as a bridge sends
    /// under load
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=43))]
    gather: u32,
    /// Seconds to measure
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Another sending program to measure instead of our own; see benches/floor.c
    #[arg(long, value_name = "PROGRAM", conflicts_with = "cohorts")]
    with: Option<PathBuf>,
    /// Print JSON instead of a line for people
    #[arg(long)]
    json: bool,
}

impl FloorArgs {
    /// Measures and prints.
    ///
    /// # Errors
    /// What measuring or printing answers, as a message for people.
    pub fn run(&self) -> Result<(), String> {
        let plan = FloorPlan {
            sockets: self.sockets as usize,
            sizes: vec![self.size.into()],
            interval: Duration::from_millis(self.interval_ms),
            cohorts: self.cohorts as usize,
            gather: self.gather.into(),
            seconds: self.seconds.clamp(0.1, SECONDS_MAX),
        };
        let floor = match &self.with {
            Some(program) => measure_with(&plan, |order| foreign::run(program, order)),
            None => measure(&plan),
        };
        let floor = floor.map_err(|error| error.to_string())?;
        let text = if self.json {
            serde_json::to_string(&floor).map_err(|error| error.to_string())?
        } else {
            floor.to_string()
        };
        writeln!(io::stdout(), "{text}").map_err(|error| error.to_string())
    }
}

/// An hour: longer figures say nothing more.
const SECONDS_MAX: f64 = 3_600.0;
