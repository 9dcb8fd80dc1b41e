//! `sabha devices`.

use clap::Args;

/// List microphones and speakers by the names that `sabha join` takes
///
/// Only in a program that was built with the feature audio-devices. Each line says what the device
/// can be, its name, and what the system calls it.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct DevicesArgs {}

const HELP: &str = "\
Examples:
  sabha devices
  sabha join sabha:ae5q... --microphone plughw:CARD=0,DEV=0 --speaker default

Files: ALSA reads /etc/asound.conf and ~/.asoundrc; a device named default is the system's choice.";
