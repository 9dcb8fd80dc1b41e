//! The command line: what can be asked of `sabha`, and how the answers look.
//!
//! Results go to stdout, logs and errors to stderr. Exit codes: 0 done, 1 failed, 2 usage or
//! configuration.

pub mod args;
pub mod failure;
pub mod host_port;
pub mod logging;
pub mod output;
pub mod progress;
pub mod shutdown;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

pub use self::{
    args::{
        BulkArgs, CaAction, CaArgs, ConfigArgs, DemoArgs, DevicesArgs, EnrollArgs, HostArgs,
        JoinArgs, NodeArgs,
    },
    failure::Failure,
    host_port::{HostPort, NodeAddress},
    progress::Progress,
    shutdown::Shutdown,
};
use crate::{
    commands,
    config::{Config, Flag, Sources},
    demo,
};

/// Audio conferences of any size, carried by a cluster of nodes.
#[derive(Debug, Parser)]
#[command(name = "sabha", version, arg_required_else_help = true, after_long_help = CLI_HELP)]
pub struct Cli {
    /// Configuration file (TOML)
    ///
    /// Otherwise the file named by SABHA_CONFIG is read, else ./sabha.toml if it exists. Every key
    /// can be overridden by a variable: SABHA_NODE_LISTEN overrides node.listen.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "help shows the documentation of the arguments instead")]
pub enum Command {
    Ca(CaArgs),
    Enroll(EnrollArgs),
    Node(NodeArgs),
    Host(HostArgs),
    Join(JoinArgs),
    Devices(DevicesArgs),
    Demo(DemoArgs),
    Config(ConfigArgs),
}

impl Command {
    /// Returns the flags that override configuration.
    fn flags(&self) -> Vec<Flag> {
        match self {
            Self::Ca(args) => args.flags(),
            Self::Enroll(args) => args.flags(),
            Self::Node(args) => args.flags(),
            Self::Host(args) => args.flags(),
            Self::Join(args) => args.flags(),
            Self::Devices(_) | Self::Demo(_) | Self::Config(_) => Vec::new(),
        }
    }
}

/// Runs the program and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // clap prints help to stdout with code 0, and mistakes to stderr with code 2.
        Err(error) => error.exit(),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let config = Config::load(&Sources::of_process(cli.config, cli.command.flags()))?;
    logging::start(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(dispatch(config, cli.command));
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    done
}

async fn dispatch(config: Config, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ca(args) => commands::ca::run(&config, args).await,
        Command::Enroll(args) => commands::enroll::run(&config, args).await,
        Command::Node(_) => commands::node::run(&config).await,
        Command::Host(args) => commands::host::run(&config, args).await,
        Command::Join(args) => commands::join::run(&config, args).await,
        Command::Devices(_) => commands::devices::run(),
        Command::Demo(args) => demo::run(&config, args).await,
        Command::Config(args) => args.run(&config),
    }
}

/// How long work on other threads may take to end, such as a look-up of a name that nobody answers.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(5);

const CLI_HELP: &str = "\
A network begins with a CA and a node:
  sabha ca
  sabha enroll --ca 127.0.0.1:4700 --fingerprint HEX --user ann@example.org --mixer
  sabha node
Then anybody who is enrolled opens a conference, and those who are permitted join it:
  sabha host --node NODE@127.0.0.1:4600 --user ben@example.org
  sabha join sabha:... --in hello.wav --out heard.wav

Logs go to stderr, results to stdout. Exit codes: 0 done, 1 failed, 2 usage or configuration.";
