//! A real Prometheus scrapes a node with members, and its own linter reads the page.
//!
//! Needs the programs `prometheus` and `promtool`; `scripts/install-prometheus.sh` installs them.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use sabha_client::member::NodeSession;
use sabha_control::metrics::{MetricsListener, MetricsServer};
use serde_json::Value;
use support::http::get;
use support::member::Leg;
use support::sound::tone;
use support::{Member, RunningHost, RunningNode, World, until};
use tempfile::TempDir;

/// A node whose members talk, and its metrics.
struct Scene {
    world: World,
    node: RunningNode,
    metrics: MetricsServer,
    members: Vec<(NodeSession, Leg)>,
    _host: RunningHost,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let node = RunningNode::start(&world);
        let listener = MetricsListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let metrics = listener.serve(node.figures());
        let names = ["alice", "bob", "carol"];
        let host = RunningHost::open(&world, &node, &names).await;
        let mut members = Vec::new();
        for (name, hz) in names.into_iter().zip([300.0, 440.0, 1_000.0]) {
            let member = Member::new(&world, name);
            let session = member.session(&host).await;
            let leg = member.join(&world, &session, tone(hz, 0.2), None).await;
            members.push((session, leg));
        }
        Self { world, node, metrics, members, _host: host }
    }
}

/// A Prometheus of this test's own, which ends with it.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Prometheus {
    /// Starts it with one target, scraped each second.
    fn start(target: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("prometheus.yml");
        let text = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: sabha\n  \
             static_configs:\n  - targets: ['{target}']\n"
        );
        std::fs::write(&config, text).unwrap();
        // Free a moment ago; Prometheus does not tell which port it took if it may choose.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("prometheus");
        command.arg("--config.file").arg(&config);
        command.arg("--storage.tsdb.path").arg(dir.path().join("data"));
        command.arg("--web.listen-address").arg(address.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| missing("prometheus", &error));
        Self { process, address, dir }
    }

    /// Asks until every value of the answer is as wanted; returns their number.
    async fn query(&mut self, query: &str, is_so: impl Fn(f64) -> bool) -> usize {
        let path = format!("/api/v1/query?query={}", percent(query));
        until(query, async || {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("prometheus ended with {status}:\n{}", self.log());
            }
            let answered = support::http::try_get(self.address, &path).await?;
            let values = values(&serde_json::from_str(&answered.body).ok()?)?;
            (!values.is_empty() && values.iter().all(|value| is_so(*value))).then_some(values.len())
        })
        .await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_a_node_and_finds_its_members_packets_and_lateness() {
    let scene = Scene::new().await;
    let mut prometheus = Prometheus::start(scene.metrics.local_addr());
    assert_eq!(prometheus.query("up", |up| up == 1.0).await, 1);
    prometheus.query("sum(sabha_legs)", |legs| legs == 3.0).await;
    prometheus.query("sabha_sessions", |sessions| sessions == 4.0).await;
    prometheus.query("sabha_talkers", |talkers| talkers == 3.0).await;
    let packets = "rate(sabha_packets_total[10s])";
    let both_ways = prometheus.query(packets, |packets| packets > 0.0).await;
    assert_eq!(both_ways, 2, "{packets}");
    prometheus
        .query(
            "histogram_quantile(0.99, rate(sabha_tick_lateness_seconds_bucket[10s]))",
            |seconds| seconds > 0.0 && seconds.is_finite(),
        )
        .await;
    prometheus.query("rate(sabha_driver_busy_seconds_total[10s])", |busy| busy > 0.0).await;
    prometheus.query("rate(process_cpu_seconds_total[10s])", |cpu| cpu > 0.0).await;
    // Their receiver reports come every five seconds.
    let jitter = "sabha_member_jitter_seconds_sum / sabha_member_jitter_seconds_count";
    prometheus.query(jitter, f64::is_finite).await;
    let score = "sabha_leg_mos_sum{direction='in'} / sabha_leg_mos_count";
    prometheus.query(score, |mos| mos > 1.0 && mos <= 4.5).await;
    for (session, leg) in scene.members {
        leg.leave(&session).await;
    }
    prometheus.query("sabha_legs_left_total", |left| left == 3.0).await;
    prometheus.query("sabha_legs", |legs| legs == 0.0).await;
    scene.node.stop().await;
    prometheus.query("up", |up| up == 0.0).await;
    drop(scene.world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_has_nothing_to_complain_about() {
    let scene = Scene::new().await;
    let page = get(scene.metrics.local_addr(), "/metrics").await.body;
    let (ok, told) = promtool(&page);
    assert!(ok && told.is_empty(), "{told}");
    let (ok, told) = promtool(&format!("{page}# TYPE sabha_wrong counter\nsabha_wrong 1\n"));
    assert!(!ok && told.contains("sabha_wrong"), "{told}");
}

/// Lets `promtool check metrics` read a page; returns whether it is content, and what it says.
fn promtool(page: &str) -> (bool, String) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut process = started.unwrap_or_else(|error| missing("promtool", &error));
    process.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(told).unwrap())
}

fn missing(program: &str, error: &std::io::Error) -> ! {
    panic!("cannot run {program}: {error}; run scripts/install-prometheus.sh, as `make test` does")
}

/// The values of an answer to an instant query; `None` if Prometheus is not ready.
fn values(answer: &Value) -> Option<Vec<f64>> {
    let series = answer["data"]["result"].as_array()?;
    series.iter().map(|series| series["value"][1].as_str()?.parse().ok()).collect()
}

/// Encodes a query for a URL. Source: RFC 3986 section 2.1.
fn percent(query: &str) -> String {
    let encode = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    query.bytes().map(encode).collect()
}
