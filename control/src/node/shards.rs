//! The node's shards: starting their threads, giving them orders, placing conferences.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sabha_bridge::WAITING_MAX;
use sabha_media::outbox::OutboxLimits;
use sabha_media::shard::{Shard, ShardConfig, ShardEvent};
use sabha_media::srtp::{KeyUseLog, ProtectTap};
use sabha_transport::{
    Clock, Counters, DriverConfig, DriverError, DriverHandle, DriverName, DriverSender,
    EndpointKey, MediaSocket, SendError, start_driver,
};
use tokio::sync::{mpsc, oneshot};

use super::load::board::LoadBoard;
use super::load::{LadderSettings, LoadWatch, RungSettings};
use super::{
    ConferenceResources, NodeError, NodeSettings, ShardCommand, ShardEndpoint, ShardObservation,
    ShardReport,
};

/// All shards of a node.
pub(crate) struct Shards(Vec<ShardThread>);

struct ShardThread {
    driver: std::sync::Mutex<Option<DriverHandle<ShardEndpoint>>>,
    sender: DriverSender<ShardEndpoint>,
    key: EndpointKey,
    address: SocketAddr,
    advertised: Vec<SocketAddr>,
    legs: AtomicUsize,
    conferences: AtomicUsize,
    driver_name: DriverName,
    board: Arc<LoadBoard>,
}

impl Shards {
    /// Starts one thread for each shard.
    pub(crate) fn start(
        settings: &NodeSettings,
        key_uses: Option<&Arc<KeyUseLog>>,
        events: &mpsc::Sender<ShardEvent>,
    ) -> Result<Self, NodeError> {
        let threads = (0..settings.shards.max(1)).map(|index| {
            let tap = key_uses.map(|log| log.clone() as Arc<dyn ProtectTap>);
            ShardThread::start(settings, index, tap, events.clone())
        });
        Ok(Self(threads.collect::<Result<_, _>>()?))
    }

    /// Returns the shard for a new conference: one that takes newcomers, is little busy, and has
    /// few legs and conferences, in this order.
    pub(crate) fn least_loaded(&self) -> u16 {
        let least = self.0.iter().enumerate().min_by_key(|(_, shard)| {
            let busy_tenths = (shard.board.busy_share() * 10.0) as u32;
            let placed =
                shard.legs.load(Ordering::Relaxed) + shard.conferences.load(Ordering::Relaxed);
            (shard.board.is_full(), busy_tenths, placed)
        });
        least.map_or(0, |(index, _)| index as u16)
    }

    /// Returns where a shard's load is told.
    pub(crate) fn board(&self, shard: u16) -> Option<&LoadBoard> {
        self.0.get(usize::from(shard)).map(|thread| &*thread.board)
    }

    /// Gives the boards of all shards, in their order.
    pub(crate) fn boards(&self) -> impl Iterator<Item = &LoadBoard> {
        self.0.iter().map(|thread| &*thread.board)
    }

    /// Returns what runs the threads.
    pub(crate) fn driver(&self) -> Option<DriverName> {
        self.0.first().map(|thread| thread.driver_name)
    }

    /// Gives a shard an order; if its queue is full, waits until there is room. Returns false if
    /// the thread has ended.
    pub(crate) async fn order(&self, shard: u16, command: ShardCommand) -> bool {
        let Some(thread) = self.0.get(usize::from(shard)) else { return false };
        thread.order(command).await
    }

    /// Returns whether any shard has fewer legs than this.
    pub(crate) fn has_room(&self, legs_max: usize) -> bool {
        self.0.iter().any(|thread| thread.legs.load(Ordering::Relaxed) < legs_max)
    }

    /// Counts a leg that entered a roster towards its shard's load.
    pub(crate) fn count_leg(&self, shard: u16) {
        let Some(thread) = self.0.get(usize::from(shard)) else { return };
        thread.legs.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a leg that left a roster.
    pub(crate) fn discount_leg(&self, shard: u16) {
        let Some(thread) = self.0.get(usize::from(shard)) else { return };
        let less = |legs: usize| Some(legs.saturating_sub(1));
        let _ = thread.legs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Counts a conference that was placed on a shard.
    pub(crate) fn count_conference(&self, shard: u16) {
        let Some(thread) = self.0.get(usize::from(shard)) else { return };
        thread.conferences.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a conference that is over.
    pub(crate) fn discount_conference(&self, shard: u16) {
        let Some(thread) = self.0.get(usize::from(shard)) else { return };
        let less = |conferences: usize| Some(conferences.saturating_sub(1));
        let _ = thread.conferences.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Returns the present figures; those of a thread that has ended are missing.
    pub(crate) async fn reports(&self) -> Vec<ShardReport> {
        let mut reports = Vec::new();
        for thread in &self.0 {
            let (reply, report) = oneshot::channel();
            if thread.order(ShardCommand::Report(reply)).await
                && let Ok(report) = report.await
            {
                reports.push(report);
            }
        }
        reports
    }

    /// Returns what the drivers counted.
    pub(crate) fn drivers(&self) -> Vec<Counters> {
        self.0.iter().map(|thread| thread.sender.counters()).collect()
    }

    /// Asks all shards at once; one that does not answer within `patience` has no report.
    pub(crate) async fn observe(&self, patience: Duration) -> Vec<ShardObservation> {
        let asked = self.0.iter().map(|thread| {
            let (reply, report) = oneshot::channel();
            let (sender, key) = (thread.sender.clone(), thread.key);
            let asking = tokio::time::timeout(patience, async move {
                if !order(&sender, key, ShardCommand::Report(reply)).await {
                    return None;
                }
                report.await.ok()
            });
            (tokio::spawn(asking), thread.sender.counters())
        });
        let asked: Vec<_> = asked.collect();
        let mut observations = Vec::with_capacity(asked.len());
        for (report, driver) in asked {
            let report = report.await.ok().and_then(Result::ok).flatten();
            observations.push(ShardObservation { report, driver });
        }
        observations
    }

    /// Returns the media addresses that members of a shard are told.
    pub(crate) fn advertised(&self, shard: u16) -> Vec<SocketAddr> {
        self.0.get(usize::from(shard)).map_or_else(Vec::new, |shard| shard.advertised.clone())
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|shard| shard.address).collect()
    }

    /// Ends the threads and returns their last figures.
    pub(crate) fn shutdown(&self) -> Vec<ShardReport> {
        let mut reports = Vec::new();
        for shard in &self.0 {
            let driver = shard.driver.lock().map_or(None, |mut driver| driver.take());
            let Some(driver) = driver else { continue };
            for (_, endpoint) in driver.shutdown() {
                reports.push(endpoint.report());
            }
        }
        reports
    }
}

impl ShardThread {
    fn start(
        settings: &NodeSettings,
        index: u16,
        tap: Option<Arc<dyn ProtectTap>>,
        events: mpsc::Sender<ShardEvent>,
    ) -> Result<Self, NodeError> {
        let port = match settings.media.port() {
            0 => 0,
            first => first.saturating_add(index),
        };
        let socket = MediaSocket::bind(SocketAddr::new(settings.media.ip(), port))?;
        let address =
            socket.local_addr().map_err(|error| NodeError::Endpoint(error.to_string()))?;
        let config = ShardConfig {
            index,
            legs_max: settings.legs_max,
            conferences_max: settings.conferences_max,
            outbox: OutboxLimits {
                bodies_max: OUTBOX_BODIES_MAX,
                // A mixer sends a leg two packets at once where a pack ends early; a bridge up to so many.
                packets_max: WAITING_MAX * settings.legs_max,
                deferred_bodies_max: 0,
            },
            seed: random_seed(),
            tap,
        };
        let resources = ConferenceResources::new();
        let board = Arc::new(LoadBoard::default());
        let watch = LoadWatch::new(&ladder_settings(settings), board.clone());
        let endpoint = ShardEndpoint::new(Shard::new(config, resources), events, watch);
        let (driver, driver_name) = start_driver(
            settings.driver,
            DriverConfig {
                name: format!("{}{index}", NodeSettings::THREAD_PREFIX),
                core: settings.pin.then_some(usize::from(index)),
                real_time: settings.real_time,
                gather: GATHER,
                gather_when_busy: true,
                ..DriverConfig::default()
            },
            Clock::process(),
        )?;
        let key = driver
            .add(socket, endpoint)
            .map_err(|error| NodeError::Endpoint(error.reason.to_string()))?;
        let advertised = settings
            .advertise
            .iter()
            .map(|ip: &IpAddr| SocketAddr::new(*ip, address.port()))
            .collect();
        Ok(Self {
            sender: driver.sender().clone(),
            driver: std::sync::Mutex::new(Some(driver)),
            key,
            address,
            advertised,
            legs: AtomicUsize::new(0),
            conferences: AtomicUsize::new(0),
            driver_name,
            board,
        })
    }

    async fn order(&self, command: ShardCommand) -> bool {
        order(&self.sender, self.key, command).await
    }
}

async fn order(
    sender: &DriverSender<ShardEndpoint>,
    key: EndpointKey,
    mut command: ShardCommand,
) -> bool {
    for _ in 0..QUEUE_TRIES_MAX {
        match sender.send(key, command) {
            Ok(()) => return true,
            Err(SendError { reason: DriverError::Full { .. }, returned }) => {
                command = returned;
                tokio::time::sleep(QUEUE_PAUSE).await;
            }
            Err(SendError { reason, .. }) => {
                tracing::error!(%reason, "a shard takes no orders");
                return false;
            }
        }
    }
    tracing::error!("a shard's queue stayed full");
    false
}

fn ladder_settings(settings: &NodeSettings) -> LadderSettings {
    let rungs = RungSettings {
        complexity_max: settings.encoder.complexity,
        complexity_min: settings.complexity_min,
        packet: settings.listener_packet,
    };
    LadderSettings { rungs, load_max: settings.load_max() }
}

/// Draws a seed for first sequence numbers and timestamps.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// Bodies of one tick: the shared one and a personal one for each talker, with room to spare.
const OUTBOX_BODIES_MAX: usize = 64;

/// How long what arrives may wait to be read at most: mixers look at it in their ticks only, and
/// those come on time. Chosen: a quarter of a frame, in which most of a crowd's packets find company.
const GATHER: Duration = Duration::from_millis(5);

/// How long to wait for room in a shard's queue, and how often.
const QUEUE_PAUSE: Duration = Duration::from_millis(2);
const QUEUE_TRIES_MAX: usize = 500;
