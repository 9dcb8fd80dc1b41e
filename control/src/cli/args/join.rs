//! `sabha join`.

use std::path::PathBuf;

use clap::Args;
use sabha_core::message::JoinLink;

use crate::{cli::args::given, config::Flag};

/// Join a conference: send one WAV file, record another
///
/// Registers with the host that the link names, joins at the node that carries the conference,
/// sends the one file and records what is heard to the other. It ends when the file ends, after
/// --for, or by SIGTERM or Ctrl-C; the recording is complete in each case. Every five seconds in
/// which something is heard, and at the end, it prints how good that was: loss, jitter, delay,
/// buffer and mean opinion score (MOS, 1 to 4.5, estimated by ITU-T G.107.1).
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct JoinArgs {
    /// The join link, from `sabha:` to its end
    pub link: JoinLink,
    /// WAV file to send
    #[arg(long = "in", value_name = "FILE.wav")]
    pub input: PathBuf,
    /// WAV file to record to; replaced if it exists
    #[arg(long = "out", value_name = "FILE.wav")]
    pub output: PathBuf,
    /// Leave after so many seconds [default: when the file ends]
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: Option<u32>,
    /// Send the file again and again
    #[arg(long = "loop")]
    pub repeat: bool,
    /// Folder of the identity [default: $XDG_DATA_HOME/sabha]
    #[arg(long)]
    pub dir: Option<String>,
}

impl JoinArgs {
    pub(crate) fn flags(&self) -> Vec<Flag> {
        given([("identity.dir", "--dir", &self.dir)])
    }
}

const HELP: &str = "\
Examples:
  sabha join sabha:ae5q... --in hello.wav --out heard.wav
  sabha join sabha:ae5q... --in music.wav --out heard.wav --loop --for 600

Files: the identity is read from $XDG_DATA_HOME/sabha (by default ~/.local/share/sabha); the
recording is a WAV file of 48 kHz, mono.

Bitrate, complexity and playout delay are set in section [client] of the configuration.";
