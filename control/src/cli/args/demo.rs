//! `sabha demo`.

use std::path::PathBuf;

use clap::Args;
use sabha_client::network::NetworkPlan;
use sabha_core::message::Mode;

use super::modes;

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
    /// Whether the node mixes, or forwards the loudest three and lets members mix: mixer or bridge
    #[arg(long, value_name = "MODE", default_value = "mixer", value_parser = modes(&["mixer", "bridge"]))]
    pub mode: Mode,
    /// How many members to run [default: 12]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub members: Option<u32>,
    /// A bad network for the first talker and the first silent listener, both ways:
    /// delay ms, jitter ms, loss %, duplicates %, mean run of losses in packets
    #[arg(long, value_name = "\"D J L U B\"")]
    pub network: Option<NetworkPlan>,
    /// Folder for the report, the recordings and the logs
    #[arg(long, value_name = "DIR", default_value = "sabha-demo")]
    pub out: PathBuf,
}

const HELP: &str = "\
Examples:
  sabha demo
  sabha demo --members 20 --speech ~/speech --out /tmp/demo
  sabha demo --mode bridge
  sabha demo --network \"40 10 5 0 3\"
  sabha demo --network \"0; spike 300 at 10; 20 0 10 at 15\"

--network takes one to five numbers; those left out are 0. The delay of each packet is drawn from a
normal distribution (never below 0), so jitter reorders them. Losses of a run of 1 or less are
independent. Further parts, each behind a semicolon, change it at a time in seconds since the
beginning: `spike MS at SECOND` holds everything up for so long and then releases it at once, and
five other numbers `at SECOND` replace those before. What the two impaired members hear is reported
and not judged; the checks are about all others.

Files: all in the folder of --out (./sabha-demo by default): the report, what each member heard,
the logs, and the identities, which serve for this one run.";
