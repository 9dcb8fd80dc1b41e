//! `sabha node`.

use clap::Args;

use crate::{cli::args::given, config::Flag};

/// Run a node, which carries conferences
///
/// The device must be enrolled with the mixer mark (sabha enroll --mixer). Each shard is a thread
/// with a UDP port of its own: the first takes the port of --media, the next ones those after it.
/// When it is ready it prints `media ADDR` for each, `metrics ADDR` if it was told to serve them,
/// and then `node ID@ADDR`, which hosts need. It runs until SIGTERM or Ctrl-C; a second one ends it
/// at once.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct NodeArgs {
    /// Address of signalling.
    #[arg(
        long,
        value_name = "IP:PORT",
        help = "Address of signalling (QUIC over UDP) [default: [::]:4600]"
    )]
    pub listen: Option<String>,
    /// Address and first port of media.
    #[arg(
        long,
        value_name = "IP:PORT",
        help = "Address and first port of media (UDP) [default: [::]:4610]"
    )]
    pub media: Option<String>,
    /// How many shards to run; 0 is one for each core [default: 0]
    #[arg(long, value_name = "N")]
    pub shards: Option<String>,
    /// Serve /metrics, /healthz and /readyz at this address (HTTP over TCP); by default nowhere
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<String>,
    /// Write the counters to this file at the end, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<String>,
    /// Folder of the identity [default: $XDG_DATA_HOME/sabha]
    #[arg(long)]
    pub dir: Option<String>,
}

impl NodeArgs {
    pub(crate) fn flags(&self) -> Vec<Flag> {
        given([
            ("node.listen", "--listen", &self.listen),
            ("node.media", "--media", &self.media),
            ("node.shards", "--shards", &self.shards),
            ("node.metrics", "--metrics", &self.metrics),
            ("node.report", "--report", &self.report),
            ("identity.dir", "--dir", &self.dir),
        ])
    }
}

const HELP: &str = "\
Examples:
  sabha node
  sabha node --listen 192.0.2.7:4600 --media 192.0.2.7:4610 --shards 2 --report counters.json

Files: the identity is read from $XDG_DATA_HOME/sabha (by default ~/.local/share/sabha); nothing
is written but the report.

With --metrics, Prometheus can scrape /metrics there; /healthz answers 200 while the media threads
turn, /readyz while newcomers are welcome, and both 503 with the reason otherwise. Nobody has to say
who they are, so take an address that only those reach who may know.

Members are told the addresses in node.advertise. By default that is the address of --listen, or
loopback if that is [::] or 0.0.0.0: set it on a machine that others are to reach. Further keys in
section [node]: limits, bitrate, playout delay; `sabha config` prints them.";
