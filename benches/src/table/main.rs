//! Holds what the benches measured against `limits.toml`, and prints a table.
//!
//! Instructions are counted here, by valgrind: they are the same on a busy machine as on an idle
//! one, so a slow-down shows. Times come from criterion's last run, and only their ratios are
//! judged.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod callgrind;
mod limits;
mod paths;
mod rows;
mod times;

use std::path::Path;
use std::process::ExitCode;

use self::limits::Limits;
use self::rows::{Row, print};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, name] = arguments.as_slice()
        && command == callgrind::PATH_COMMAND
    {
        return paths::run(name);
    }
    match rows() {
        Ok(rows) => {
            print(&rows);
            ExitCode::from(u8::from(!rows.iter().all(Row::is_ok)))
        }
        Err(error) => {
            eprintln!("bench-table: {error}");
            ExitCode::FAILURE
        }
    }
}

fn rows() -> Result<Vec<Row>, String> {
    let limits = Limits::read(Path::new(LIMITS))?;
    let mut rows = instructions(&limits)?;
    rows.extend(ratios(&limits));
    Ok(rows)
}

/// One row for each path, and for each pair of which one is the other and more.
fn instructions(limits: &Limits) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (name, limit) in &limits.instructions {
        let measured = match (&limit.minus, limit.divisor) {
            (None, _) => callgrind::count(name)?,
            (Some(base), divisor) => (callgrind::count(name)? - callgrind::count(base)?) / divisor,
        };
        let name = limit.called.as_ref().unwrap_or(name);
        rows.push(Row::new(name, "instructions", Some(measured), limit.limit));
    }
    Ok(rows)
}

fn ratios(limits: &Limits) -> Vec<Row> {
    let row = |(name, limit): (&String, &limits::RatioLimit)| {
        let times = times::nanos(&limit.of).zip(times::nanos(&limit.over));
        Row::new(name, "times", times.map(|(of, over)| of / over), limit.limit)
    };
    limits.ratios.iter().map(row).collect()
}

const LIMITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/limits.toml");
