//! The members of a demonstration: they join, play their parts, and leave.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sabha_client::host::{Host, HostSettings};
use sabha_client::media::{
    BufferSink, MemberCommand, MemberMedia, MemberReport, MemberSettings, TimingLog,
};
use sabha_client::member::{Device, NodeSession};
use sabha_client::network::{ImpairedEndpoint, NetworkPlan};
use sabha_core::message::{ConferenceSettings, Mode};
use sabha_core::signalling::{ClientCredentials, SignallingEndpoint};
use sabha_media::leg::{LegId, LegRole, Ssrc};
use sabha_media::srtp::{KeyUseLog, ProtectTap};
use sabha_media::time::Instant;
use sabha_transport::{
    Clock, Driver, DriverConfig, DriverHandle, EndpointKey, MediaSocket, PollDriver,
};

use super::AFTERGLOW;
use super::script::Script;
use super::stage::{Stage, name};
use crate::cli::{Failure, Progress};
use crate::commands::join::{local_address, member_settings};
use crate::config::Config;

/// Everybody, joined and waiting for the beginning.
pub struct Cast {
    host: Host,
    members: Vec<Member>,
    driver: DriverHandle<ImpairedEndpoint<MemberMedia>>,
    clock: Clock,
    begin: Instant,
    duration: Duration,
    key_uses: Arc<KeyUseLog>,
}

struct Member {
    session: NodeSession,
    leg: LegId,
    key: EndpointKey,
    sink: BufferSink,
    said: Option<Vec<f32>>,
    start: Instant,
    impaired: bool,
    ssrc: Ssrc,
}

/// What is left of a member when all is over.
pub struct Recording {
    /// Who.
    pub user: String,
    /// When their clock began, after everybody's beginning.
    pub offset: Duration,
    /// What they heard.
    pub heard: Vec<f32>,
    /// What they said, if anything.
    pub said: Option<Vec<f32>>,
    /// Packet counts.
    pub report: MemberReport,
    /// When each packet went and came.
    pub timing: TimingLog,
    /// How long packets waited to be played, second by second since everybody's beginning.
    pub buffer_timeline: Vec<Option<Duration>>,
    /// Whether this member was behind a bad network.
    pub impaired: bool,
    /// The SSRC that this member sent with.
    pub ssrc: Ssrc,
    /// Repeated uses of a key, over all members.
    pub key_repeats: usize,
}

/// CPU time of the node over part of the conference.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeCpu {
    /// CPU time.
    pub used: Duration,
    /// Wall time.
    pub over: Duration,
}

impl Cast {
    /// One opens the conference; all register with them and join at the node. `network` is between
    /// the node and the first talker, and between the node and the first silent listener.
    ///
    /// # Errors
    /// `Failure` if anybody is refused.
    pub async fn assemble(
        config: &Config,
        stage: &Stage,
        script: &Script,
        (mode, network): (&Mode, Option<&NetworkPlan>),
    ) -> Result<Self, Failure> {
        let host = open_conference(stage, mode).await?;
        let clock = Clock::process();
        let driver =
            PollDriver::start(DriverConfig { real_time: true, ..DriverConfig::default() }, clock)?;
        let key_uses = Arc::new(KeyUseLog::new(KEY_USES_MAX));
        let endpoint = SignallingEndpoint::client(LOOPBACK)?;
        let mut joined = Vec::new();
        for identity in &stage.identities {
            let credentials = ClientCredentials::new(&stage.clock, identity)?;
            let device =
                Device::new(endpoint.clone(), credentials, identity.clone(), stage.clock.clone());
            let register = device.register(host.link(), LegRole::Member);
            let ticket = serving(&host, register).await??;
            let session = device.connect(ticket).await?;
            let leg = session.join(LegRole::Member).await?;
            joined.push((session, leg));
        }
        let begin = clock.now() + SETTLING;
        let mut members = Vec::new();
        for (index, (session, leg)) in joined.into_iter().enumerate() {
            let voice = script.voice(index);
            let said = (index < script.talkers).then(|| voice.reference());
            let sink = BufferSink::default();
            let socket = MediaSocket::bind(local_address(&config.client, leg.media))?;
            let (leg_id, ssrc) = (leg.answer.leg, leg.answer.send_ssrc);
            let start = begin + phase(index);
            let settings = MemberSettings {
                clock_ppm: clock_ppm(index),
                log_timing: true,
                tap: Some(key_uses.clone() as Arc<dyn ProtectTap>),
                ..member_settings(leg, &config.client, start)
            };
            let media = MemberMedia::new(&settings, Box::new(voice), Box::new(sink.clone()))?;
            let network = network.filter(|_| index == 0 || index == script.talkers);
            let media = match network.cloned() {
                Some(plan) => ImpairedEndpoint::new(media, plan, begin, index as u64),
                None => ImpairedEndpoint::clean(media),
            };
            let key = driver.add(socket, media).map_err(|error| error.reason)?;
            let impaired = network.is_some();
            members.push(Member { session, leg: leg_id, key, sink, said, start, impaired, ssrc });
        }
        let duration = samples(script.end) + AFTERGLOW;
        Ok(Self { host, members, driver, clock, begin, duration, key_uses })
    }

    /// Returns how long the play takes.
    pub fn duration(&self) -> Duration {
        SETTLING + self.duration
    }

    /// Waits until all is said and heard; measures the node's CPU over the part after its first
    /// and before its last second.
    pub async fn play(&self, stage: &Stage, progress: &Progress) -> NodeCpu {
        let second = Duration::from_secs(1);
        self.wait_until(self.begin + second, progress).await;
        let (from, used) = (self.clock.now(), stage.node_cpu().unwrap_or_default());
        let end = self.begin + self.duration;
        self.wait_until(end - second, progress).await;
        let over = self.clock.now().saturating_since(from);
        let used = stage.node_cpu().unwrap_or_default().saturating_sub(used);
        self.wait_until(end, progress).await;
        NodeCpu { used, over }
    }

    /// Everybody says goodbye; returns what they recorded.
    ///
    /// # Errors
    /// `Failure` if the node does not let somebody go, or the conference not end.
    pub async fn leave(self) -> Result<Vec<Recording>, Failure> {
        let Self { host, members, driver, key_uses, begin, .. } = self;
        for member in &members {
            driver.send(member.key, MemberCommand::Leave).map_err(|error| error.reason)?;
        }
        let mut engines: Vec<_> = driver.shutdown();
        engines.sort_by_key(|(key, _)| *key);
        for member in &members {
            // The goodbye on the media path may have removed the leg already.
            let _ = member.session.leave(member.leg).await;
            member.session.session().close("the demonstration is over");
        }
        host.end().await?;
        let key_repeats = key_uses.repeats() + key_uses.overflow();
        let recordings = members.into_iter().enumerate().map(|(index, member)| {
            let engine = engines.iter().find(|(key, _)| *key == member.key);
            let (report, timing) = engine.map_or_else(Default::default, |(_, engine)| {
                let engine = engine.inner();
                (engine.report(), engine.timing().cloned().unwrap_or_default())
            });
            Recording {
                user: name(index),
                offset: member.start.saturating_since(begin),
                heard: member.sink.samples(),
                said: member.said,
                report,
                buffer_timeline: timing.buffer_timeline(begin),
                timing,
                impaired: member.impaired,
                ssrc: member.ssrc,
                key_repeats,
            }
        });
        Ok(recordings.collect())
    }

    async fn wait_until(&self, end: Instant, progress: &Progress) {
        loop {
            let left = end.saturating_since(self.clock.now());
            if left.is_zero() {
                return;
            }
            let passed = self.clock.now().saturating_since(self.begin);
            progress.set(passed.as_secs());
            tokio::time::sleep(left.min(Duration::from_millis(500))).await;
        }
    }
}

impl Recording {
    /// Returns the file of what was heard.
    pub fn wav(&self) -> String {
        format!("{}-heard.wav", self.user)
    }

    /// Returns the file of what was said.
    pub fn reference_wav(&self) -> String {
        format!("{}-said.wav", self.user)
    }
}

async fn open_conference(stage: &Stage, mode: &Mode) -> Result<Host, Failure> {
    let first = stage.identities.first().ok_or_else(|| Failure::new("there are no members"))?;
    let users: BTreeSet<_> = stage.identities.iter().map(|one| one.user().clone()).collect();
    let settings = HostSettings {
        listen: LOOPBACK,
        advertise: vec![LOOPBACK],
        node: stage.node_id,
        node_address: stage.node_address,
        users,
        cohosts: BTreeSet::new(),
        settings: ConferenceSettings {
            talkers_max: TALKERS_MAX,
            self_share_percent: SELF_SHARE_PERCENT,
            members_max: 10_000,
            mode: mode.clone(),
        },
        lasts: Duration::from_secs(3600),
    };
    Ok(Host::open(stage.clock.clone(), first.clone(), settings).await?)
}

/// Does something while the host serves registrations.
async fn serving<T>(host: &Host, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        done = work => Ok(done),
        lost = host.serve() => Err(Failure::from(lost)),
    }
}

/// Returns when a member's 20 ms begin: anywhere, and different for each (golden ratio).
fn phase(member: usize) -> Duration {
    let turns = (member as f64 + 1.0) * 0.618_033_988_75;
    Duration::from_secs_f64(turns.fract() * 0.02)
}

/// Returns how wrong a member's clock goes: up to 50 millionths either way.
fn clock_ppm(member: usize) -> i32 {
    (member as i32 * 37 + 11) % 101 - 50
}

fn samples(count: u64) -> Duration {
    Duration::from_nanos(count * 1_000_000_000 / 48_000)
}

/// Talkers that are heard at once.
pub const TALKERS_MAX: u16 = 8;

/// Share of their own voice that talkers hear.
pub const SELF_SHARE_PERCENT: u8 = 10;

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Between the last join and the beginning, so that all begin together.
const SETTLING: Duration = Duration::from_millis(1_000);

/// Uses of a key that are logged: 200 members for a minute.
const KEY_USES_MAX: usize = 1_000_000;
