//! The network of a demonstration: CA, node, and everybody's certificates.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sabha_core::ca::enrol::{redeem, request_otp};
use sabha_core::ca::outbox::FolderOutbox;
use sabha_core::{Clock, DeviceKey, Fingerprint, Identity, NodeId, UserId};
use tokio::task::JoinSet;

use super::children::ChildProcess;
use super::read_node_report;
use crate::cli::{Failure, Progress};
use crate::node::NodeReport;

/// A running CA and a running node, with identities for all members.
pub struct Stage {
    ca: ChildProcess,
    node: ChildProcess,
    node_report: PathBuf,
    /// The node's name.
    pub node_id: NodeId,
    /// Where its signalling listens.
    pub node_address: SocketAddr,
    /// One identity for each member.
    pub identities: Vec<Identity>,
    /// The time of certificates.
    pub clock: Clock,
}

/// What enrolling needs of the CA.
#[derive(Clone)]
struct Authority {
    address: SocketAddr,
    root: Fingerprint,
    outbox: PathBuf,
    clock: Clock,
}

impl Stage {
    /// Starts CA and node, and enrols everybody by one-time password.
    ///
    /// # Errors
    /// `Failure` if a child does not start or somebody is not enrolled.
    pub async fn build(state: &Path, members: usize, progress: &Progress) -> Result<Self, Failure> {
        let config = state.join("sabha.toml");
        std::fs::write(&config, CONFIG)?;
        let config = config.display().to_string();
        let ca_dir = state.join("ca").display().to_string();
        let arguments = ["ca", "--config", &config, "--dir", &ca_dir, "--listen", "127.0.0.1:0"];
        let mut ca = ChildProcess::start(&arguments, &state.join("ca.log"))?;
        let address = parse(&ca.wait_for("listening ")?)?;
        let root = parse(&ca.wait_for("fingerprint ")?)?;
        let outbox = state.join("ca").join("outbox");
        let authority = Authority { address, root, outbox, clock: Clock::system() };

        let operator = authority.enrol("operator", true).await?;
        progress.advance();
        let node_dir = state.join("node");
        operator.save(&node_dir)?;
        let node_dir = node_dir.display().to_string();
        let node_report = state.join("node.json");
        let report = node_report.display().to_string();
        let arguments = [
            "node",
            "--config",
            &config,
            "--dir",
            &node_dir,
            "--listen",
            "127.0.0.1:0",
            "--media",
            "127.0.0.1:0",
            "--report",
            &report,
        ];
        let mut node = ChildProcess::start(&arguments, &state.join("node.log"))?;
        let told = node.wait_for("node ")?;
        let (node_id, node_address) =
            told.split_once('@').ok_or_else(|| Failure::new("the node did not say its name"))?;
        let (node_id, node_address) = (parse(node_id)?, parse(node_address)?);
        let identities = authority.enrol_all(members, progress).await?;
        let clock = authority.clock;
        Ok(Self { ca, node, node_report, node_id, node_address, identities, clock })
    }

    /// Returns the CPU time that the node has used.
    pub fn node_cpu(&self) -> Option<std::time::Duration> {
        self.node.cpu_time()
    }

    /// Ends node and CA in order; returns what the node counted, and how they ended.
    ///
    /// # Errors
    /// `Failure` if the node left no report.
    pub fn clear(self) -> Result<(NodeReport, Result<(), String>), Failure> {
        let ended = self.node.end().and(self.ca.end()).map_err(|error| error.to_string());
        Ok((read_node_report(&self.node_report)?, ended))
    }
}

impl Authority {
    /// Enrols one device: asks for a password, reads the mail, redeems it.
    async fn enrol(&self, name: &str, mixer: bool) -> Result<Identity, Failure> {
        let user = UserId::new(&format!("{name}@example.org"))?;
        request_otp(&self.clock, self.address, self.root, &user).await?;
        let outbox = FolderOutbox::new(&self.outbox)?;
        let otp = outbox.newest_otp(&user)?.ok_or_else(|| {
            Failure::new(&format!("no mail for {user} in {}", self.outbox.display()))
        })?;
        let key = Arc::new(DeviceKey::generate()?);
        Ok(redeem(&self.clock, self.address, self.root, &user, &otp, key, mixer).await?)
    }

    /// Enrols all members, a few at a time.
    async fn enrol_all(
        &self,
        members: usize,
        progress: &Progress,
    ) -> Result<Vec<Identity>, Failure> {
        let mut identities: Vec<Option<Identity>> = vec![None; members];
        let mut tasks = JoinSet::new();
        let mut next = 0;
        loop {
            while next < members && tasks.len() < ENROLLING_MAX {
                let (authority, member) = (self.clone(), next);
                tasks.spawn(async move { (member, authority.enrol(&name(member), false).await) });
                next += 1;
            }
            let Some(done) = tasks.join_next().await else { break };
            let (member, identity) = done?;
            identities[member] = Some(identity?);
            progress.advance();
        }
        Ok(identities.into_iter().flatten().collect())
    }
}

/// Returns the name of a member.
pub fn name(member: usize) -> String {
    format!("member{:02}", member + 1)
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Failure::new(&format!("a child said {text:?}: {error}")))
}

/// Enrolments at once.
const ENROLLING_MAX: usize = 8;

/// The children's configuration: limits that a demonstration may reach, and the log of key uses.
const CONFIG: &str = "\
[ca]
connections_per_minute_max = 100000
mails_per_hour_max = 100000

[node]
shards = 1
key_use_log = true
# Packets are counted against the ticks, and nobody is to be refused, however busy the machine is.
listener_packet = 20
load_max_percent = 100
# Everything here is of the same minute and the same clock.
mark_margin_secs = 0
";
