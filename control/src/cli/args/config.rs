//! `sabha config`.

use clap::Args;

use crate::{
    cli::{Failure, output},
    config::Config,
};

/// Print or check the configuration
///
/// Prints every key with the value in effect, and where it was set. What is printed is itself a
/// configuration file. Mistakes are reported all at once, with exit code 2.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ConfigArgs {
    /// Only check; print nothing if all is well
    #[arg(long)]
    pub check: bool,
}

impl ConfigArgs {
    /// Prints the configuration, whose mistakes were already found when it was loaded.
    pub(crate) fn run(&self, config: &Config) -> Result<(), Failure> {
        match self.check {
            true => Ok(()),
            false => Ok(output::print(&config.to_toml())?),
        }
    }
}

const HELP: &str = "\
Examples:
  sabha config > sabha.toml
  SABHA_NODE_LISTEN=192.0.2.7:4600 sabha config
  sabha --config /etc/sabha.toml config --check

Files: --config FILE, else the file named by SABHA_CONFIG, else ./sabha.toml if it exists, else
defaults. A variable SABHA_<SECTION>_<KEY> overrides the file, a flag overrides both. Lists in
variables are parted by commas; an empty variable counts as not set.";
