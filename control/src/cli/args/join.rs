//! `sabha join`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use sabha_client::media::VOLUME_MAX;
use sabha_core::UserId;
use sabha_core::message::JoinLink;

use crate::{cli::args::given, config::Flag};

/// Join a conference: by WAV files, or by microphone and speaker
///
/// Registers with the host that the link names, joins at the node that carries the conference,
/// sends a file or a microphone and records or plays what is heard. It ends when the file ends,
/// after --for, or by SIGTERM or Ctrl-C; the recording is complete in each case. Every five seconds
/// in which something is heard, and at the end, it prints how good that was: loss, jitter, delay,
/// buffer and mean opinion score (MOS, 1 to 4.5, estimated by ITU-T G.107.1).
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct JoinArgs {
    /// The join link, from `sabha:` to its end
    pub link: JoinLink,
    /// WAV file to send
    #[arg(
        long = "in",
        value_name = "FILE.wav",
        required_unless_present = "microphone",
        conflicts_with = "microphone"
    )]
    pub input: Option<PathBuf>,
    /// WAV file to record to; replaced if it exists
    #[arg(
        long = "out",
        value_name = "FILE.wav",
        required_unless_present = "speaker",
        conflicts_with = "speaker"
    )]
    pub output: Option<PathBuf>,
    /// Send a microphone, without echo and noise; its name is one of `sabha devices`
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = DEFAULT)]
    pub microphone: Option<String>,
    /// Play to a speaker; its name is one of `sabha devices`
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = DEFAULT)]
    pub speaker: Option<String>,
    /// Send the microphone with its echo, as with headphones
    #[arg(long, requires = "microphone")]
    pub no_echo_cancellation: bool,
    /// Send the microphone with its noise, as for music
    #[arg(long, requires = "microphone")]
    pub no_noise_suppression: bool,
    /// Send the microphone as loud as it is
    #[arg(long, requires = "microphone")]
    pub no_gain_control: bool,
    /// Hear a talker louder or not at all, where the node forwards instead of mixing: 100 is as
    /// they are, 0 is not at all; may be given for several
    #[arg(long = "volume", value_name = "USER=PERCENT")]
    pub volumes: Vec<Volume>,
    /// Leave after so many seconds [default: when the file ends]
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: Option<u32>,
    /// Send the file again and again
    #[arg(long = "loop", conflicts_with = "microphone")]
    pub repeat: bool,
    /// Folder of the identity [default: $XDG_DATA_HOME/sabha]
    #[arg(long)]
    pub dir: Option<String>,
}

/// How loud one talker is to be heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Who.
    pub user: UserId,
    /// 1 is as they are.
    pub factor: f32,
}

impl FromStr for Volume {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, percent) = text.rsplit_once('=').ok_or("write it as ana@example.org=50")?;
        let user = user.parse().map_err(|error| format!("{user}: {error}"))?;
        let most = VOLUME_MAX * 100.0;
        let percent: f32 = percent
            .parse()
            .ok()
            .filter(|percent| (0.0..=most).contains(percent))
            .ok_or(format!("{percent} is no volume; give 0 to {most}, in percent"))?;
        Ok(Self { user, factor: percent / 100.0 })
    }
}

impl JoinArgs {
    pub(crate) fn flags(&self) -> Vec<Flag> {
        given([("identity.dir", "--dir", &self.dir)])
    }
}

/// The system's choice of a device.
const DEFAULT: &str = "default";

const HELP: &str = "\
Examples:
  sabha join sabha:ae5q... --in hello.wav --out heard.wav
  sabha join sabha:ae5q... --in music.wav --out heard.wav --loop --for 600
  sabha join sabha:ae5q... --microphone --speaker --volume ana@example.org=50

Files: the identity is read from $XDG_DATA_HOME/sabha (by default ~/.local/share/sabha); the
recording is a WAV file of 48 kHz, mono.

Bitrate, complexity and playout delay are set in section [client] of the configuration.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_is_a_user_and_percent() {
        let volume: Volume = "ana@example.org=50".parse().unwrap();
        assert_eq!((volume.user.as_str(), volume.factor), ("ana@example.org", 0.5));
        for (text, says) in [
            ("ana@example.org", "ana@example.org=50"),
            ("ana@example.org=loud", "0 to 400"),
            ("ana@example.org=401", "0 to 400"),
            ("ana@example.org=NaN", "0 to 400"),
            ("=50", ""),
        ] {
            let error = text.parse::<Volume>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
