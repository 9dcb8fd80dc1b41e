//! A node in this process, on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use sabha_control::node::load::LoadFigures;
use sabha_control::node::{Node, NodeFigures, NodeReport, NodeSettings};
use sabha_core::NodeId;
use sabha_media::codec::EncoderSettings;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::JitterSettings;
use sabha_mixer::{ListenerPacket, ListenerPacketSetting};
use sabha_transport::DriverKind;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{World, soon, until};

/// A node that serves until it is stopped.
pub struct RunningNode {
    pub id: NodeId,
    pub address: SocketAddr,
    figures: NodeFigures,
    stop: oneshot::Sender<()>,
    run: JoinHandle<NodeReport>,
}

impl RunningNode {
    pub fn start(world: &World) -> Self {
        Self::with(world, |_| ())
    }

    pub fn with(world: &World, change: impl FnOnce(&mut NodeSettings)) -> Self {
        let mut settings = node_settings();
        change(&mut settings);
        let identity = world.mixer("node");
        let id = identity.node();
        let node = Node::start(settings, identity, world.clock()).unwrap();
        let (address, figures) = (node.local_addr().unwrap(), node.figures());
        let (stop, stopped) = oneshot::channel();
        let run = tokio::spawn(node.run(async {
            // A test that ends without stopping its node drops it with the runtime.
            let Ok(()) = stopped.await else { return std::future::pending().await };
        }));
        Self { id, address, figures, stop, run }
    }

    /// A way to the figures that outlives the node.
    pub fn figures(&self) -> NodeFigures {
        self.figures.clone()
    }

    /// The figures so far.
    pub async fn report(&self) -> NodeReport {
        self.figures.report().await.unwrap()
    }

    /// Waits for figures.
    pub async fn counted(&self, what: &str, is_so: impl Fn(&NodeReport) -> bool) -> NodeReport {
        until(what, async || Some(self.report().await).filter(&is_so)).await
    }

    /// How busy the first shard is, and what it gave up for that.
    pub async fn load(&self) -> LoadFigures {
        let observed = self.figures.observe(Duration::from_secs(5)).await.unwrap();
        observed.shards[0].report.as_ref().unwrap().load
    }

    /// Shuts the node down in order.
    pub async fn stop(self) -> NodeReport {
        self.stop.send(()).unwrap();
        soon("the node's end", self.run).await.unwrap()
    }
}

/// One shard on 127.0.0.1, and every use of a key logged.
pub fn node_settings() -> NodeSettings {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    NodeSettings {
        listen: SocketAddr::new(loopback, 0),
        media: SocketAddr::new(loopback, 0),
        advertise: vec![loopback],
        shards: 1,
        pin: false,
        driver: DriverKind::Auto,
        legs_max: 256,
        sessions_max: 1_000,
        conferences_max: 8,
        talkers_max: 8,
        encoder: EncoderSettings { bitrate: 64_000, complexity: 5 },
        // As good as it gets, and nobody refused, however busy the machine is with other tests.
        complexity_min: 5,
        listener_packet: ListenerPacketSetting::Fixed(ListenerPacket::Ms20),
        load_max_percent: 100,
        jitter: JitterSettings {
            target_min: Duration::from_millis(4),
            target_max: Duration::from_millis(200),
            quiet: LevelDbov(60),
            margin_percent: 35,
            stretch: true,
        },
        mark_margin: Duration::ZERO,
        real_time: false,
        key_use_log: true,
    }
}
