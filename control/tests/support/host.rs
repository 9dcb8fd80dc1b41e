//! A host in this process, whose door is served by a task.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sabha_client::host::{Host, HostError, HostSettings};
use sabha_core::Identity;
use sabha_core::message::{ConferenceId, ConferenceSettings, JoinLink};
use sabha_core::quic::LinkError;
use tokio::task::JoinHandle;

use super::{HOUR, RunningNode, World, soon, user};

/// A host that gives tickets until it ends.
pub struct RunningHost {
    pub identity: Identity,
    host: Arc<Host>,
    serving: JoinHandle<LinkError>,
}

impl RunningHost {
    /// Opens a conference of `host@example.org` for these users.
    pub async fn open(world: &World, node: &RunningNode, users: &[&str]) -> Self {
        Self::with(world, node, users, |_| ()).await.unwrap()
    }

    pub async fn with(
        world: &World,
        node: &RunningNode,
        users: &[&str],
        change: impl FnOnce(&mut HostSettings),
    ) -> Result<Self, HostError> {
        let identity = world.device("host");
        let mut settings = host_settings(node, users);
        change(&mut settings);
        let host = Host::open(world.clock(), identity.clone(), settings).await?;
        let host = Arc::new(host);
        let door = host.clone();
        let serving = tokio::spawn(async move { door.serve().await });
        Ok(Self { identity, host, serving })
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn link(&self) -> &JoinLink {
        self.host.link()
    }

    pub fn conference(&self) -> ConferenceId {
        self.host.conference()
    }

    /// Ends the conference.
    pub async fn end(self) {
        self.take().await.end().await.unwrap();
    }

    /// Goes away without a word, as a process that is killed.
    pub async fn vanish(self) {
        drop(self.take().await);
    }

    async fn take(self) -> Host {
        self.serving.abort();
        let _ = soon("the end of the host's task", self.serving).await;
        Arc::into_inner(self.host).expect("the task that shared it has ended")
    }
}

/// Eight talkers, a tenth of one's own voice.
fn host_settings(node: &RunningNode, users: &[&str]) -> HostSettings {
    let ip = match node.address {
        SocketAddr::V6(address) if !address.ip().is_unspecified() => (*address.ip()).into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    let here = SocketAddr::new(ip, 0);
    HostSettings {
        listen: here,
        advertise: vec![here],
        node: node.id,
        node_address: SocketAddr::new(ip, node.address.port()),
        users: users.iter().map(|name| user(name)).collect(),
        cohosts: [].into(),
        settings: ConferenceSettings {
            talkers_max: 8,
            self_share_percent: 10,
            ..ConferenceSettings::default()
        },
        lasts: Duration::from_secs(4 * HOUR.as_secs()),
    }
}
