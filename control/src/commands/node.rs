//! `sabha node`: carries conferences until it is told to end.

use std::net::SocketAddr;
use std::num::NonZero;
use std::time::Duration;

use sabha_core::{Clock, Identity};
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::JitterSettings;

use super::niceness;
use crate::{
    cli::{Failure, Shutdown, output},
    config::{Config, NodeConfig},
    metrics::MetricsListener,
    node::{Node, NodeReport, NodeSettings},
};

/// Serves until SIGTERM or SIGINT; prints `media ADDR` for each shard, `driver NAME`, and then
/// `node ID@ADDR`, as `sabha host` takes it, when it is ready. With metrics: `metrics ADDR` between.
///
/// # Errors
/// `Failure` if identity or addresses cannot be used, or the report not be written.
pub async fn run(config: &Config) -> Result<(), Failure> {
    let mut shutdown = Shutdown::listen()?;
    let clock = Clock::system();
    let identity = Identity::load(clock.now(), &config.identity.dir)?;
    let id = identity.node();
    sabha_transport::raise_descriptor_limit()?;
    // Before anything else runs, so that an address that is taken is told at once.
    let metrics = match config.node.metrics {
        Some(address) => Some(MetricsListener::bind(address).await?),
        None => None,
    };
    let node = Node::start(settings(&config.node), identity, clock)?;
    let address = node.local_addr()?;
    let media: String = node.media_addresses().iter().map(|at| format!("media {at}\n")).collect();
    let callable = match config.node.advertise.first() {
        Some(ip) if address.ip().is_unspecified() => SocketAddr::new(*ip, address.port()),
        _ => address,
    };
    let metrics = metrics.map(|listener| listener.serve(node.figures()));
    let metrics_line = metrics.as_ref().map(|server| format!("metrics {}\n", server.local_addr()));
    let metrics_line = metrics_line.unwrap_or_default();
    let driver = node.driver().map(|name| format!("driver {name}\n")).unwrap_or_default();
    output::print(&format!("{media}{driver}{metrics_line}node {id}@{callable}\n"))?;
    tracing::info!(%address, shards = node.media_addresses().len(), "node serves");
    let niceness = tokio::spawn(async {
        tokio::time::sleep(THREADS_READY).await;
        niceness::yield_to_media(NodeSettings::THREAD_PREFIX);
    });
    let report = node.run(shutdown.requested()).await;
    niceness.abort();
    // Probes are answered until here: that the node shuts down is an answer too.
    drop(metrics);
    tracing::info!(
        packets_in = report.packets_in,
        packets_out = report.packets_out,
        ticks = report.ticks,
        "node ended"
    );
    if let Some(path) = &config.node.report {
        write_report(path, &report)?;
    }
    Ok(())
}

/// Makes a node's settings from the configuration.
pub fn settings(config: &NodeConfig) -> NodeSettings {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    NodeSettings {
        listen: config.listen,
        media: config.media,
        advertise: config.advertise.clone(),
        shards: config.shards,
        pin: usize::from(config.shards) <= cores,
        driver: config.driver,
        legs_max: config.legs_max as usize,
        sessions_max: config.sessions_max as usize,
        conferences_max: config.conferences_max as usize,
        talkers_max: u16::from(config.talkers_max),
        encoder: config.mix,
        complexity_min: config.mix_complexity_min,
        listener_packet: config.listener_packet,
        load_max_percent: config.load_max_percent,
        jitter: JitterSettings {
            target_min: config.playout_min,
            target_max: config.playout_max,
            quiet: LevelDbov(60),
            margin_percent: 35,
            stretch: true,
        },
        mark_margin: config.mark_margin,
        real_time: config.real_time,
        key_use_log: config.key_use_log,
    }
}

fn write_report(path: &std::path::Path, report: &NodeReport) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report)?;
    std::fs::write(path, text + "\n").map_err(|error| {
        Failure::new(&format!("cannot write the report {}: {error}", path.display()))
    })
}

/// How long media threads may take to ask the system for real time.
const THREADS_READY: Duration = Duration::from_millis(500);
