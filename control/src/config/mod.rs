//! The configuration: one TOML file, overridden by variables, overridden by flags.
//!
//! Read once at the start into valid types; everything that is wrong is reported at once. Each
//! section lives in its own file, which is also the one list of its keys.

mod ca;
mod client;
mod file;
mod identity;
mod input;
mod layers;
mod log;
mod media;
mod node;
mod origin;
mod print;
mod problem;
mod section;
mod setting;
mod sources;

pub use self::{
    ca::CaConfig,
    client::ClientConfig,
    identity::IdentityConfig,
    log::{LogConfig, LogFilter, LogFormat},
    node::NodeConfig,
    origin::Origin,
    problem::{ConfigErrors, Problem},
    sources::{Flag, Sources},
};

use self::{layers::Layers, print::Entry, section::Reader};

/// Everything that can be configured, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What is logged.
    pub log: LogConfig,
    /// Where this device's identity is.
    pub identity: IdentityConfig,
    /// The CA that `sabha ca` runs.
    pub ca: CaConfig,
    /// The node that `sabha node` runs.
    pub node: NodeConfig,
    /// Hosts and members.
    pub client: ClientConfig,
    entries: Vec<Entry>,
}

impl Config {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// Every problem that was found, each with its place and remedy.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut problems = Vec::new();
        let layers = Layers::collect(sources, &mut problems);
        let mut reader = Reader::new(layers, problems);
        let log = LogConfig::read(&mut reader.section("log"));
        let identity = IdentityConfig::read(&mut reader.section("identity"), sources);
        let ca = CaConfig::read(&mut reader.section("ca"), sources);
        let node = NodeConfig::read(&mut reader.section("node"));
        let client = ClientConfig::read(&mut reader.section("client"));
        let entries = reader.finish()?;
        Ok(Self { log, identity, ca, node, client, entries })
    }

    /// Returns the configuration in effect as TOML, with each value's origin as a comment.
    #[must_use]
    pub fn to_toml(&self) -> String {
        print::to_toml(&self.entries)
    }
}
