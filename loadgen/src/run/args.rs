//! The command line of `run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::worker::speech::Pattern;

/// Runs conferences of real members against a node, and measures what they hear
///
/// Makes a test network with a CA and a node of its own, unless --target names a node. All members
/// have certificates, sessions, keys and sockets of their own. Writes report.json and report.html
/// to the folder of --out, and fails if the run is not held.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct RunArgs {
    /// Conferences at the same time
    #[arg(long, value_name = "C", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub conferences: u32,
    /// Members in each conference
    #[arg(long, value_name = "M", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub members: u32,
    /// Talkers in each conference
    #[arg(long, value_name = "T", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub talkers: u32,
    /// What carries the conferences
    #[arg(long, value_enum, default_value_t)]
    pub mode: RunMode,
    /// Sound in one packet to those who only listen, in ms
    #[arg(long, value_enum, default_value_t)]
    pub listener_packet: PacketSetting,
    /// Seconds that are measured, after all joined and the warm-up
    #[arg(long, value_name = "S", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(5..=86_400))]
    pub seconds: u32,
    /// Seconds between the last join and the measured part; listeners' packets grow after 10 s
    /// [default: 12, with --churn 120: by then a node's memory has its size]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub warm_up: Option<u32>,
    /// Folder for the report and the logs
    #[arg(long, value_name = "DIR", default_value = "sabha-load")]
    pub out: PathBuf,
    /// How talkers talk
    #[arg(long, value_enum, default_value_t)]
    pub pattern: Pattern,
    /// Members of each conference who do not talk and send the noise of their room all the time, at
    /// -55 to -60 dBov, whatever the node orders
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub noisy: u32,
    /// Joins begun in a second [default: as fast as it goes]
    #[arg(long, value_name = "N")]
    pub join_rate: Option<f64>,
    /// Joins under way at once
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub joins_max: u32,
    /// Members that join first and listen while the others join
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub early: u32,
    /// Packets that members lose, both ways, in percent; what talkers lose on their way to a bridge
    /// is missing for everybody, so above 0.5 such a run is not held
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub loss: f64,
    /// Members that leave and join again in each second of the measured part
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    pub churn: f64,
    /// Members that decode what they receive [default: 3 of each conference, 24 at most]
    #[arg(long, value_name = "N")]
    pub sample: Option<u32>,
    /// Processes that the members are in; 0 is one for each 8,000
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub processes: u32,
    /// The mix's effort, 0 to 10, whatever the load [default: the node's own way]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10))]
    pub complexity: Option<u32>,
    /// The node's driver: auto, poll or glommio
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub driver: String,
    /// Media threads of the node
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub shards: u32,
    /// A further setting of the node, such as load_max_percent=70; may be given several times
    #[arg(long = "node-arg", value_name = "KEY=VALUE", value_parser = key_value)]
    pub node_args: Vec<(String, String)>,
    /// Command that starts the node's command, such as one that puts it under a quota
    #[arg(long, value_name = "COMMAND")]
    pub node_wrapper: Option<String>,
    /// The sabha program [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    pub sabha: Option<PathBuf>,
    /// A node that runs already (ID@ADDR), or a conference (its join link)
    #[arg(long, value_name = "NODE|LINK", requires = "identities")]
    pub target: Option<String>,
    /// Identities of the target's test network; the members take the first ones, a host the next
    #[arg(long, value_name = "FILE")]
    pub identities: Option<PathBuf>,
    /// Process of the target's node, to measure its CPU and memory
    #[arg(long, value_name = "PID", requires = "target")]
    pub target_pid: Option<u32>,
    /// Refusals by the node are no failure of the run
    #[arg(long)]
    pub expect_refusals: bool,
    /// Do not fail if the run is not held
    #[arg(long)]
    pub no_verdict: bool,
    /// Do not measure what bare sending costs
    #[arg(long)]
    pub no_floor: bool,
    /// Keep keys, certificates and the CA, in the folder `state` of --out
    #[arg(long)]
    pub keep: bool,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// What carries a conference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RunMode {
    /// One stream to each member, mixed
    #[default]
    Mixer,
    /// The loudest talkers, each in a stream of their own
    Bridge,
}

/// Sound in one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PacketSetting {
    /// 20 ms
    #[value(name = "20")]
    Ms20,
    /// 40 ms
    #[value(name = "40")]
    Ms40,
    /// 60 ms
    #[value(name = "60")]
    Ms60,
    /// As the node's load asks for
    #[default]
    Auto,
}

impl RunArgs {
    /// Returns how many members there are in all.
    pub fn members_all(&self) -> u32 {
        self.conferences.saturating_mul(self.members)
    }

    /// Returns the seconds between the last join and the measured part.
    pub fn warm_up(&self) -> u32 {
        self.warm_up.unwrap_or(if self.churn > 0.0 { 120 } else { 12 })
    }

    /// Returns how many members of each conference talk.
    pub fn talkers_each(&self) -> u32 {
        self.talkers.min(self.members)
    }
}

impl RunMode {
    /// Returns the mode's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mixer => "mixer",
            Self::Bridge => "bridge",
        }
    }
}

impl PacketSetting {
    /// Returns the value of the node's key `listener_packet`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ms20 => "20",
            Self::Ms40 => "40",
            Self::Ms60 => "60",
            Self::Auto => "auto",
        }
    }

    /// Returns the frames in a packet, if that is fixed.
    pub fn frames(self) -> Option<u32> {
        match self {
            Self::Ms20 => Some(1),
            Self::Ms40 => Some(2),
            Self::Ms60 => Some(3),
            Self::Auto => None,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.trim_start_matches("node.").to_owned(), value.to_owned()))
}

const HELP: &str = "\
Examples:
  sabha-loadgen run --members 1000 --talkers 3 --listener-packet 20 --seconds 30 --out load-1000
  sabha-loadgen run --conferences 40 --members 10 --talkers 1 --complexity 5
  sabha-loadgen run --conferences 10000 --members 1 --talkers 0
  sabha-loadgen run --members 50 --talkers 2 --mode bridge --pattern alternate --noisy 20
  sabha-loadgen run --members 200 --node-wrapper 'scripts/quota.sh 50' --expect-refusals

Packets are due by schedule, 50 frames a second for each member: talkers never pause. From a bridge,
50 a second of each talker who speaks, but of oneself. Arrival is when the kernel received a packet, so that a busy load generator makes nobody late.";
