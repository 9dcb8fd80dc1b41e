//! The network of a run: a CA's folder, identities for all, and a node as a child process.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sabha_core::identity::IdentityError;
use sabha_core::identity::bundle::{self, BundleError};
use sabha_core::{Clock, Identity, NodeId};
use thiserror::Error;
use tokio::process::Command;

use super::args::{RunArgs, RunMode};
use super::child::{Child, ChildError, terminate};
use super::proc::Process;

/// The stage cannot be built.
#[derive(Debug, Error)]
pub enum StageError {
    /// There is no `sabha` program.
    #[error(
        "there is no sabha program at {}; build it with `cargo build --release -p sabha-control`, or name it with --sabha",
        .0.display()
    )]
    NoProgram(PathBuf),
    /// A folder or file cannot be written.
    #[error("cannot write to {}: {source}; name another folder with --out", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A command of `sabha` failed.
    #[error("`sabha {command}` failed: {reason}")]
    Command {
        /// Which.
        command: String,
        /// What it said.
        reason: String,
    },
    /// The identities cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The node's identity cannot be saved.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The node does not run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The node said something that cannot be read.
    #[error(
        "the node said {0:?}, which is not what was expected; use programs of the same version"
    )]
    Unexpected(String),
}

/// A running node, and identities for hosts and members.
pub struct Stage {
    node: Child,
    state: PathBuf,
    is_kept: bool,
    /// The node's process.
    pub process: Option<Process>,
    /// The node's name.
    pub node_id: NodeId,
    /// Where its signalling listens.
    pub node_address: SocketAddr,
    /// The driver that it named.
    pub driver: Option<String>,
    /// Where it tells its figures, if it was told to.
    pub metrics: Option<SocketAddr>,
    /// What `sabha --version` says.
    pub version: Option<String>,
    /// The file of identities.
    pub identities: PathBuf,
}

impl Stage {
    /// Makes a CA and identities, and starts a node with limits that fit the run.
    ///
    /// # Errors
    /// `StageError`.
    pub async fn build(args: &RunArgs) -> Result<Self, StageError> {
        let sabha = program(args)?;
        let state = args.out.join("state");
        make_anew(&state)?;
        let version = output(&sabha, &["--version"]).await.ok().map(|text| text.trim().to_owned());
        let identities = state.join("members.bundle");
        // One more for the host of all conferences.
        enrol(&sabha, &state, args.members_all() + 1, &identities, &[]).await?;
        let nodes = state.join("node.bundle");
        enrol(&sabha, &state, 1, &nodes, &["--prefix", "node", "--mixer"]).await?;
        let identity = first_of(&nodes)?;
        let node_dir = state.join("node");
        identity.save(&node_dir)?;
        let config = state.join("sabha.toml");
        write(&config, &node_config(args))?;
        let (node, mut said) = Child::start(
            node_command(args, &sabha, &config, &node_dir, &state),
            "sabha node",
            &args.out.join("node.log"),
        )?;
        let (mut driver, mut metrics) = (None, None);
        let told = loop {
            let line = said.line("node ", START_MAX).await?;
            if let Some(rest) = line.strip_prefix("driver ") {
                driver = Some(rest.trim().to_owned());
            }
            if let Some(rest) = line.strip_prefix("metrics ") {
                metrics = rest.trim().parse().ok();
            }
            if let Some(rest) = line.strip_prefix("node ") {
                break rest.trim().to_owned();
            }
        };
        let (node_id, node_address) = parse_node(&told)?;
        let process = node.process().map(|process| process.behind_wrapper("sabha"));
        let is_kept = args.keep;
        Ok(Self {
            node,
            state,
            is_kept,
            process,
            node_id,
            node_address,
            driver,
            metrics,
            version,
            identities,
        })
    }

    /// Ends the node in order, and removes keys and certificates unless they are kept.
    ///
    /// # Errors
    /// `StageError` if the node does not end in order.
    pub async fn clear(self) -> Result<(), StageError> {
        if let Some(process) = self.process {
            // If it cannot be told, waiting for it says why.
            let _ = terminate(process).await;
        }
        let ended = self.node.wait(END_MAX).await;
        if !self.is_kept {
            // What cannot be removed is left; it is of a test network.
            let _ = std::fs::remove_dir_all(&self.state);
        }
        Ok(ended?)
    }
}

/// Reads `ID@ADDR`.
///
/// # Errors
/// `StageError::Unexpected`.
pub fn parse_node(text: &str) -> Result<(NodeId, SocketAddr), StageError> {
    let unexpected = || StageError::Unexpected(text.to_owned());
    let (id, address) = text.split_once('@').ok_or_else(unexpected)?;
    Ok((id.parse().map_err(|_| unexpected())?, address.parse().map_err(|_| unexpected())?))
}

/// Returns the `sabha` program: the one named, or the one beside this program.
fn program(args: &RunArgs) -> Result<PathBuf, StageError> {
    let beside = || std::env::current_exe().ok().map(|own| own.with_file_name("sabha"));
    let path = args.sabha.clone().or_else(beside).unwrap_or_else(|| "sabha".into());
    if path.is_file() { Ok(path) } else { Err(StageError::NoProgram(path)) }
}

fn make_anew(state: &Path) -> Result<(), StageError> {
    let failed = |source| StageError::Folder { path: state.to_owned(), source };
    if state.exists() {
        std::fs::remove_dir_all(state).map_err(failed)?;
    }
    std::fs::create_dir_all(state).map_err(failed)
}

fn write(path: &Path, text: &str) -> Result<(), StageError> {
    std::fs::write(path, text)
        .map_err(|source| StageError::Folder { path: path.to_owned(), source })
}

/// Enrols many devices at the CA in the state folder, which is made if there is none yet.
async fn enrol(
    sabha: &Path,
    state: &Path,
    count: u32,
    out: &Path,
    more: &[&str],
) -> Result<(), StageError> {
    let (dir, count) = (state.join("ca").display().to_string(), count.to_string());
    let out = out.display().to_string();
    let mut arguments =
        vec!["ca", "bulk", "--test-network", "--dir", &dir, "--count", &count, "--out", &out];
    arguments.extend(more);
    output(sabha, &arguments).await.map(|_| ())
}

/// Runs a command to its end and returns what it said.
async fn output(sabha: &Path, arguments: &[&str]) -> Result<String, StageError> {
    let command = arguments.join(" ");
    let failed = |reason: String| StageError::Command { command: command.clone(), reason };
    let done = Command::new(sabha).args(arguments).output().await;
    let done = done.map_err(|error| failed(error.to_string()))?;
    if !done.status.success() {
        return Err(failed(String::from_utf8_lossy(&done.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn first_of(bundle: &Path) -> Result<Identity, StageError> {
    let mut identities = bundle::load(Clock::system().now(), bundle)?;
    Ok(identities.swap_remove(0))
}

/// The node's configuration: room for the run, and what was asked for.
fn node_config(args: &RunArgs) -> String {
    let room = |count: u32| count.saturating_mul(2).clamp(1_024, 65_536);
    let mut settings = vec![
        ("shards".to_owned(), args.shards.to_string()),
        ("legs_max".to_owned(), room(args.members_all()).to_string()),
        ("conferences_max".to_owned(), room(args.conferences).to_string()),
        ("sessions_max".to_owned(), room(args.members_all()).to_string()),
        ("talkers_max".to_owned(), TALKERS_MAX.to_string()),
        // Everything here is of the same minute and the same clock.
        ("mark_margin_secs".to_owned(), "0".to_owned()),
        ("listener_packet".to_owned(), format!("{:?}", args.listener_packet.name())),
        ("driver".to_owned(), format!("{:?}", args.driver)),
    ];
    if let Some(complexity) = args.complexity {
        settings.push(("mix_complexity".to_owned(), complexity.to_string()));
        settings.push(("mix_complexity_min".to_owned(), complexity.to_string()));
    }
    for (key, value) in &args.node_args {
        let is_plain = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
        let value = if is_plain { value.clone() } else { format!("{value:?}") };
        settings.retain(|(known, _)| known != key);
        settings.push((key.clone(), value));
    }
    let lines: String = settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("[log]\nlevel = \"warn\"\n\n[node]\n{lines}")
}

fn node_command(
    args: &RunArgs,
    sabha: &Path,
    config: &Path,
    node_dir: &Path,
    state: &Path,
) -> Command {
    let mut words = args.node_wrapper.as_deref().unwrap_or_default().split_whitespace();
    let mut command = match words.next() {
        Some(wrapper) => {
            let mut command = Command::new(wrapper);
            command.args(words).arg(sabha);
            command
        }
        None => Command::new(sabha),
    };
    command.arg("node").arg("--config").arg(config).arg("--dir").arg(node_dir);
    command.args(["--listen", "127.0.0.1:0", "--media", "127.0.0.1:0", "--report"]);
    command.arg(state.join("node.json"));
    if args.mode == RunMode::Bridge {
        command.args(["--metrics", "127.0.0.1:0"]);
    }
    command
}

/// Most talkers in a mix. Source: `sabha_mixer::settings::TALKERS_MAX`.
pub const TALKERS_MAX: u16 = 12;

/// How long the node may take to listen, and to end with thousands of members.
const START_MAX: Duration = Duration::from_secs(20);
const END_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_read_from_what_it_prints_and_else_refused() {
        let id = "0a".repeat(32);
        let (_, address) = parse_node(&format!("{id}@127.0.0.1:4600")).unwrap();
        assert_eq!(address.port(), 4_600);
        for text in ["", "127.0.0.1:4600", "xyz@127.0.0.1:4600", &format!("{id}@nowhere")] {
            assert!(parse_node(text).is_err(), "{text}");
        }
    }
}
