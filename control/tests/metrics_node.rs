//! `sabha node --metrics` as a process: where the address comes from, and how it is told.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sabha_control::config::{Config, Flag, Sources};
use sabha_core::ca::{Authority, AuthoritySettings};
use sabha_core::{Clock, DeviceKey};
use support::http::get;
use tempfile::TempDir;

/// A node's process, which ends with the test.
struct NodeProcess(Child);

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with the identity of a node.
fn identity() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let now = Clock::system().now();
    let ca = dir.path().join("ca");
    let authority = Authority::open_or_create(now, &ca, AuthoritySettings::default()).unwrap();
    let key = DeviceKey::generate().unwrap().into();
    let identity = authority.issue(now, &support::user("node"), key, true).unwrap();
    identity.save(&dir.path().join("node")).unwrap();
    dir
}

fn node(dir: &Path, metrics: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sabha"));
    let args = ["node", "--listen", "127.0.0.1:0", "--media", "127.0.0.1:0", "--dir", "node"];
    command.args(args).env_clear().envs(variables.iter().copied()).current_dir(dir);
    if !metrics.is_empty() {
        command.args(["--metrics", metrics]);
    }
    command
}

/// Starts a node and reads its lines up to the one that says it is ready.
fn start(command: &mut Command) -> (NodeProcess, Vec<String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let process = NodeProcess(child);
    let mut lines = Vec::new();
    for line in stdout.lines() {
        lines.push(line.unwrap());
        if lines.last().unwrap().starts_with("node ") {
            break;
        }
    }
    (process, lines)
}

fn metrics_address(lines: &[String]) -> Option<SocketAddr> {
    lines.iter().find_map(|line| line.strip_prefix("metrics ")).map(|at| at.parse().unwrap())
}

#[tokio::test]
async fn node_prints_where_it_serves_metrics_before_it_is_ready() {
    let dir = identity();
    let (_process, lines) = start(&mut node(dir.path(), "127.0.0.1:0", &[]));
    let address = metrics_address(&lines).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(lines.last().unwrap().starts_with("node "), "{lines:?}");
    assert_eq!(get(address, "/readyz").await.status, 200);
}

#[tokio::test]
async fn address_may_come_from_a_variable_and_without_one_nothing_is_served() {
    let dir = identity();
    let variables = [("SABHA_NODE_METRICS", "127.0.0.1:0")];
    let (_process, lines) = start(&mut node(dir.path(), "", &variables));
    let address = metrics_address(&lines).unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(get(address, "/healthz").await.status, 200);
    let (_process, lines) = start(&mut node(dir.path(), "", &[]));
    assert_eq!(metrics_address(&lines), None);
    assert!(!lines.is_empty());
}

#[test]
fn node_whose_metrics_address_is_taken_does_not_start() {
    let dir = identity();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = node(dir.path(), &address, &[]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    let told = String::from_utf8(output.stderr).unwrap();
    let wanted = format!("sabha: cannot serve metrics on {address} (TCP): Address already in use");
    assert!(told.contains(&wanted), "{told}");
}

#[test]
fn key_metrics_is_absent_by_default_and_a_flag_overrides_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = Sources { working_dir: dir.path().to_owned(), ..Sources::default() };
    assert_eq!(Config::load(&sources).unwrap().node.metrics, None);
    let file = "[node]\nmetrics = \"127.0.0.1:9464\"\n";
    std::fs::write(dir.path().join("sabha.toml"), file).unwrap();
    let read = |sources: &Sources| Config::load(sources).unwrap().node.metrics.unwrap().to_string();
    assert_eq!(read(&sources), "127.0.0.1:9464");
    let flag = |value: &str| {
        vec![Flag { key: "node.metrics", name: "--metrics", value: value.to_owned() }]
    };
    sources.flags = flag("[::1]:9465");
    assert_eq!(read(&sources), "[::1]:9465");
    sources.flags = flag("9465");
    let errors = Config::load(&sources).unwrap_err().to_string();
    support::assert_says(&errors, &["--metrics", "node.metrics", "\"9465\"", "IP:PORT"]);
}
