//! `sabha demo`.

use std::path::PathBuf;

use clap::Args;

/// Run a whole network on this machine and report what was heard
///
/// Starts a CA and nodes as processes of their own, enrols members, lets them talk, and measures
/// what each of them heard. All of it is on loopback and ends with the command.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct DemoArgs {
    /// Folder with WAV files of speech [default: clips that are built in]
    #[arg(long, value_name = "DIR")]
    pub speech: Option<PathBuf>,
    /// How many members to run [default: 12]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub members: Option<u32>,
    /// Folder for the report, the recordings and the logs
    #[arg(long, value_name = "DIR", default_value = "sabha-demo")]
    pub out: PathBuf,
}

const HELP: &str = "\
Examples:
  sabha demo
  sabha demo --members 20 --speech ~/speech --out /tmp/demo

Files: all in the folder of --out (./sabha-demo by default): the report, what each member heard,
the logs, and the identities, which serve for this one run.";
