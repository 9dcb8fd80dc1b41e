//! `sabha ca`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{cli::args::given, config::Flag};

/// Run a certificate authority, which says who is who
///
/// The first start makes a root, an issuing CA and a database in the CA's folder; later starts use
/// them. Two lines go to stdout: the address that it listens on, and the root's fingerprint, which
/// people need to enrol. It serves until SIGTERM or Ctrl-C.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct CaArgs {
    /// Folder of the CA [default: $XDG_DATA_HOME/sabha-ca]
    #[arg(long, global = true)]
    pub dir: Option<String>,
    /// Address to listen on; port 0 takes any that is free [default: 127.0.0.1:4700]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<String>,
    /// Make this a test network's CA, which can enrol devices in bulk; it stays one
    #[arg(long, global = true)]
    pub test_network: bool,
    /// What to do instead of serving
    #[command(subcommand)]
    pub action: Option<CaAction>,
}

/// What a CA does beside serving.
#[derive(Clone, Debug, Subcommand)]
#[expect(missing_docs, reason = "help shows the documentation of the arguments instead")]
pub enum CaAction {
    Bulk(BulkArgs),
}

/// Enrol many devices of a test network at once
///
/// Makes keys and certificates for the users PREFIX000001@example.org and so on, and writes them
/// all into one file, which only its owner can read. Refused by any CA that was not made with
/// --test-network; give that flag here too, and the CA is made if there is none yet. A CA that
/// serves from the same folder meanwhile is not disturbed.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = BULK_HELP)]
pub struct BulkArgs {
    /// How many devices, each of a user of its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=BULK_MAX))]
    pub count: u32,
    /// How the users' names begin
    #[arg(long, default_value = "member")]
    pub prefix: String,
    /// File to write; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Give all of them the mixer mark, which nodes need
    #[arg(long)]
    pub mixer: bool,
}

impl CaArgs {
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let test_network = self.test_network.then(|| true.to_string());
        given([
            ("ca.dir", "--dir", &self.dir),
            ("ca.listen", "--listen", &self.listen),
            ("ca.test_network", "--test-network", &test_network),
        ])
    }
}

const HELP: &str = "\
Examples:
  sabha ca
  sabha ca --dir /srv/ca --listen 192.0.2.7:4700
  sabha ca bulk --test-network --dir test-ca --count 1000 --out members.bundle

Files, in the CA's folder ($XDG_DATA_HOME/sabha-ca, by default ~/.local/share/sabha-ca):
  root.key        key of the root; may be kept offline once the issuing CA exists
  root.pem        certificate of the root, known to everybody by its fingerprint
  issuing.key     key that signs certificates of devices
  outbox/         mails with one-time passwords

Limits are set in section [ca] of the configuration; `sabha config` prints them.";

const BULK_HELP: &str = "\
Examples:
  sabha ca bulk --test-network --dir test-ca --count 10000 --out members.bundle
  sabha ca bulk --dir test-ca --count 2 --prefix node --mixer --out nodes.bundle

Files: --out holds private keys; sabha-loadgen reads it. The CA's folder is, by default,
$XDG_DATA_HOME/sabha-ca.

Each user may have ca.devices_per_user_max devices [default: 16]: so often the same users can be
enrolled again.";

/// Most devices at once. Source: `sabha_core::identity::bundle::DEVICES_MAX`.
const BULK_MAX: i64 = 20_000;
