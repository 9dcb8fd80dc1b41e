//! `sabha host`.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use sabha_core::{UserId, message::Mode};

use crate::{
    cli::{
        NodeAddress,
        args::{
            given, modes,
            users::{UsersError, permitted},
        },
    },
    config::Flag,
};

/// Open a conference and print its join link
///
/// The conference is made on a node, which carries it from then on. The first line on stdout is the
/// join link: hand it to those who are permitted. The command then serves their registrations
/// until SIGTERM or Ctrl-C; whoever has registered by then stays in the conference.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct HostArgs {
    /// Node that is to carry the conference: its ID, then its address
    #[arg(long, value_name = "NODE@HOST:PORT")]
    pub node: NodeAddress,
    /// User who may join; repeat it for each
    #[arg(long = "user", value_name = "EMAIL", required_unless_present = "users_file")]
    pub users: Vec<UserId>,
    /// File of users who may join, one email address a line; # begins a comment
    #[arg(long = "users", value_name = "FILE")]
    pub users_file: Option<PathBuf>,
    /// How many are heard at once, 1 to 12; a bridge forwards 4 at most
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=12))]
    pub talkers_max: u8,
    /// Whether the node mixes, or forwards the loudest and lets members mix: mixer, bridge, or auto,
    /// which forwards where up to 100 are permitted
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = modes(&["auto", "mixer", "bridge"]))]
    pub mode: Mode,
    /// What share of their own voice talkers get back, in percent; a bridge returns none
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub self_share: u8,
    /// How many may be in the conference at once
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub members_max: u32,
    /// Hours after which nobody is admitted any more
    #[arg(long, value_name = "H", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8_760))]
    pub expires_hours: u32,
    /// Address where members register.
    #[arg(
        long,
        value_name = "IP:PORT",
        help = "Address where members register; port 0 takes any that is free [default: [::]:0]"
    )]
    pub listen: Option<String>,
    /// Folder of the identity [default: $XDG_DATA_HOME/sabha]
    #[arg(long)]
    pub dir: Option<String>,
}

impl HostArgs {
    /// Returns all who may join: those of --user and those in the file of --users.
    ///
    /// # Errors
    /// `UsersError` if the file cannot be read, or names every line that is no email address.
    pub fn permitted(&self) -> Result<BTreeSet<UserId>, UsersError> {
        permitted(&self.users, self.users_file.as_deref())
    }

    pub(crate) fn flags(&self) -> Vec<Flag> {
        given([("client.listen", "--listen", &self.listen), ("identity.dir", "--dir", &self.dir)])
    }
}

const HELP: &str = "\
Examples:
  sabha host --node 5f1c...@192.0.2.7:4600 --user ben@example.org --user eva@example.org
  sabha host --node 5f1c...@node.example.org:4600 --users team.txt --talkers-max 4

While it runs, each line on stdin is an order: mute EMAIL, unmute EMAIL, lock, unlock, end.

Files: the identity is read from $XDG_DATA_HOME/sabha (by default ~/.local/share/sabha); nothing
is written. `sabha node` prints its ID and address in the form that --node takes.";
