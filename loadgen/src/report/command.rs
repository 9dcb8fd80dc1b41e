//! The command `report`.

use std::path::PathBuf;

use super::write::{read, write, write_comparison};

/// Draws finished runs again: one, or several beside each other.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// Folders that runs wrote
    #[arg(required = true, value_name = "DIR")]
    runs: Vec<PathBuf>,
    /// Where to write report.json and report.html
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl ReportArgs {
    /// Reads the runs and writes the report.
    ///
    /// # Errors
    /// Which file cannot be read or written and what to do, as a message for people.
    pub fn run(&self) -> Result<(), String> {
        let records = self.runs.iter().map(|dir| read(dir)).collect::<Result<Vec<_>, _>>();
        let records = records.map_err(|error| error.to_string())?;
        match records.as_slice() {
            [record] => write(record, &self.out),
            records => write_comparison(records, &self.out),
        }
        .map_err(|error| error.to_string())
    }
}
