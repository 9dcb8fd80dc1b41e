//! A member in this process: device, session, media.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use sabha_client::media::{
    BufferSink, MemberCommand, MemberMedia, MemberReport, MemberSettings, Source,
};
use sabha_client::member::{Device, JoinError, NodeSession};
use sabha_core::message::{Event, JoinAnswer, RefusalCode, RosterChange};
use sabha_core::signalling::{ClientCredentials, LinkError, Session, SignallingEndpoint};
use sabha_core::{Direction, Identity, MediaKeyContext, media_key};
use sabha_media::codec::EncoderSettings;
use sabha_media::leg::LegRole;
use sabha_media::rtp::PayloadType;
use sabha_media::shard::MediaEpoch;
use sabha_media::srtp::{KeyUseLog, MasterKey, ProtectTap};
use sabha_transport::{Clock as MediaClock, DriverSender, EndpointKey, MediaSocket};

use super::{RunningHost, RunningNode, World, soon, until};

/// An enrolled device with a signalling socket of its own.
pub struct Member {
    pub identity: Identity,
    pub endpoint: SignallingEndpoint,
    pub device: Device,
    /// Where its sockets are bound.
    pub ip: IpAddr,
    credentials: ClientCredentials,
}

/// A leg of a member that sends and hears.
pub struct Leg {
    pub answer: JoinAnswer,
    pub key: EndpointKey,
    pub node: SocketAddr,
    heard: BufferSink,
    driver: DriverSender<MemberMedia>,
}

impl Member {
    pub fn new(world: &World, name: &str) -> Self {
        Self::at(world, name, Ipv4Addr::LOCALHOST.into())
    }

    /// A member who reaches out from this address.
    pub fn at(world: &World, name: &str, ip: IpAddr) -> Self {
        Self::of(world, world.device(name), ip)
    }

    pub fn of(world: &World, identity: Identity, ip: IpAddr) -> Self {
        let credentials = ClientCredentials::new(&world.clock(), &identity).unwrap();
        let endpoint = SignallingEndpoint::client(SocketAddr::new(ip, 0)).unwrap();
        let device =
            Device::new(endpoint.clone(), credentials.clone(), identity.clone(), world.clock());
        Self { identity, endpoint, device, credentials, ip }
    }

    /// Registers with the host and opens a session with the node.
    pub async fn session(&self, host: &RunningHost) -> NodeSession {
        self.try_session(host).await.unwrap()
    }

    pub async fn try_session(&self, host: &RunningHost) -> Result<NodeSession, JoinError> {
        let ticket = self.device.register(host.link(), LegRole::Member).await?;
        self.device.connect(ticket).await
    }

    /// A session with the node without a ticket, to ask what no proper client would.
    pub async fn raw_session(&self, node: &RunningNode) -> Session {
        self.try_raw_session(node).await.unwrap()
    }

    pub async fn try_raw_session(&self, node: &RunningNode) -> Result<Session, LinkError> {
        self.endpoint.connect(&self.credentials, node.address, node.id).await
    }

    /// Makes a leg and begins to send and to record.
    pub async fn join(
        &self,
        world: &World,
        session: &NodeSession,
        voice: Box<dyn Source>,
        tap: Option<&Arc<KeyUseLog>>,
    ) -> Leg {
        self.try_join(world, session, voice, tap).await.unwrap()
    }

    pub async fn try_join(
        &self,
        world: &World,
        session: &NodeSession,
        voice: Box<dyn Source>,
        tap: Option<&Arc<KeyUseLog>>,
    ) -> Result<Leg, JoinError> {
        let leg = session.join(LegRole::Member).await?;
        let (answer, heard) = (leg.answer, BufferSink::default());
        let settings = MemberSettings {
            node: leg.media,
            send_key: leg.send_key,
            receive_key: leg.receive_key,
            send_ssrc: answer.send_ssrc,
            receive_ssrcs: answer.receive_ssrcs.clone(),
            mode: answer.mode.clone(),
            payload_type: PayloadType(answer.payload_type),
            red_payload_type: answer.red_payload_type.map(PayloadType),
            epoch: MediaEpoch { counter: answer.epoch.counter, rank: answer.epoch.rank },
            cname: answer.cname.clone(),
            encoder: EncoderSettings { bitrate: 64_000, complexity: 2 },
            playout_delay: Duration::from_millis(60),
            start: MediaClock::process().now(),
            clock_ppm: 0,
            microphone: None,
            sidetone: false,
            log_timing: false,
            tap: tap.map(|log| log.clone() as Arc<dyn ProtectTap>),
        };
        let media = MemberMedia::new(&settings, voice, Box::new(heard.clone())).unwrap();
        let socket = MediaSocket::bind(SocketAddr::new(self.ip, 0)).unwrap();
        let key = world.driver.add(socket, media).map_err(|error| error.reason).unwrap();
        Ok(Leg { answer, key, node: leg.media, heard, driver: world.driver.sender().clone() })
    }
}

impl Leg {
    /// Everything heard so far.
    pub fn heard(&self) -> Vec<f32> {
        self.heard.samples()
    }

    pub async fn report(&self) -> MemberReport {
        let (reply, report) = sync_channel(1);
        let sent = self.driver.send(self.key, MemberCommand::Report(reply));
        sent.map_err(|error| error.reason).unwrap();
        until("a member's figures", async || report.try_recv().ok()).await
    }

    /// Waits for figures.
    pub async fn counted(&self, what: &str, is_so: impl Fn(&MemberReport) -> bool) -> MemberReport {
        until(what, async || Some(self.report().await).filter(&is_so)).await
    }

    /// Waits until something of this kind was heard.
    pub async fn hears(&self, what: &str, is_so: impl Fn(&[f32]) -> bool) {
        until(what, async || is_so(&self.heard()).then_some(())).await;
    }

    /// Takes the media engine off its thread; its socket closes.
    pub async fn detach(&self) -> MemberMedia {
        let removed = self.driver.remove(self.key).unwrap();
        until("a member's engine", async || removed.try_recv().ok()).await
    }

    /// Puts the media engine on another socket, with another port.
    pub fn attach(&mut self, media: MemberMedia, socket: MediaSocket) {
        self.key = self.driver.add(socket, media).map_err(|error| error.reason).unwrap();
    }

    /// Says goodbye on both paths, as `sabha join` does.
    pub async fn leave(self, session: &NodeSession) -> MemberReport {
        let said = self.driver.send(self.key, MemberCommand::Leave);
        said.map_err(|error| error.reason).unwrap();
        match session.leave(self.answer.leg).await {
            Ok(()) => {}
            // The goodbye on the media path was faster.
            Err(JoinError::NodeRefused(refusal)) if refusal.code == RefusalCode::UnknownLeg => {}
            Err(error) => panic!("{error}"),
        }
        self.detach().await.report()
    }

    /// What this leg's keys are derived from.
    pub fn key_context(&self, session: &NodeSession, direction: Direction) -> MediaKeyContext {
        MediaKeyContext {
            conference: session.conference(),
            epoch: self.answer.epoch,
            leg_generation: self.answer.leg_generation,
            direction,
            member_fingerprint: session.session().local_fingerprint(),
            node_fingerprint: session.session().peer().fingerprint,
            suite: self.answer.suite,
        }
    }

    /// This leg's key once more, as only this member can derive it.
    pub fn key_again(&self, session: &NodeSession, direction: Direction) -> MasterKey {
        media_key(session.session(), &self.key_context(session, direction)).unwrap()
    }
}

/// Waits for the next event of one kind; others are passed over.
pub async fn event<T>(session: &NodeSession, pick: impl Fn(Event) -> Option<T>) -> T {
    let coming = async {
        loop {
            if let Some(picked) = pick(session.event().await.unwrap()) {
                return picked;
            }
        }
    };
    soon("an event", coming).await
}

/// Waits for a change of the roster.
pub async fn roster_change(
    session: &NodeSession,
    is_it: impl Fn(&RosterChange) -> bool,
) -> RosterChange {
    event(session, |event| match event {
        Event::Roster { changes, .. } => changes.into_iter().find(&is_it),
        _ => None,
    })
    .await
}
