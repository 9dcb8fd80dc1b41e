//! `sabha-loadgen`: thousands of members against a node, and what they heard.

mod floor;
mod report;
mod run;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Thousands of members against a node of Sabha, and what they heard.
#[derive(Debug, Parser)]
#[command(name = "sabha-loadgen", version, arg_required_else_help = true)]
struct Cli {
    /// What to do
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    Floor(floor::FloorArgs),
    Report(report::ReportArgs),
    /// Part of `run`: holds members, told on stdin what to do
    #[command(name = run::WORKER_COMMAND, hide = true)]
    Worker,
    /// Part of `floor`: sends, told on stdin how
    #[command(name = floor::SENDER_COMMAND, hide = true)]
    FloorSender,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("LOADGEN_LOG")
                .unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args).map_err(|error| error.to_string()),
        Command::Floor(args) => args.run(),
        Command::Report(args) => args.run().map_err(|error| error.to_string()),
        Command::Worker => worker::run().map_err(|error| error.to_string()),
        Command::FloorSender => floor::send_as_child().map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("sabha-loadgen: {text}");
            ExitCode::FAILURE
        }
    }
}
