//! `sabha ca`.

use clap::Args;

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
    #[arg(long)]
    pub dir: Option<String>,
    /// Address to listen on; port 0 takes any that is free [default: 127.0.0.1:4700]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<String>,
}

impl CaArgs {
    pub(crate) fn flags(&self) -> Vec<Flag> {
        given([("ca.dir", "--dir", &self.dir), ("ca.listen", "--listen", &self.listen)])
    }
}

const HELP: &str = "\
Examples:
  sabha ca
  sabha ca --dir /srv/ca --listen 192.0.2.7:4700

Files, in the CA's folder ($XDG_DATA_HOME/sabha-ca, by default ~/.local/share/sabha-ca):
  root.key        key of the root; may be kept offline once the issuing CA exists
  root.pem        certificate of the root, known to everybody by its fingerprint
  issuing.key     key that signs certificates of devices
  outbox/         mails with one-time passwords

Limits are set in section [ca] of the configuration; `sabha config` prints them.";
