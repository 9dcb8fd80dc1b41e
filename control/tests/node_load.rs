//! What a node does when there is too much to do, and what it tells those whom it turns away.
#![allow(clippy::unwrap_used)]

mod support;

use sabha_client::host::HostError;
use sabha_client::member::{JoinError, NodeSession};
use sabha_core::message::{
    Answer, ConferenceOrigin, ConferenceSettings, PermitList, RefusalCode, Request, Signed,
};
use sabha_media::leg::LegRole;
use sabha_media::shard::UplinkOrder;
use sabha_mixer::{ListenerPacket, ListenerPacketSetting};
use support::member::Leg;
use support::sound::{noise, tone};
use support::{HOUR, Member, RunningHost, RunningNode, World, assert_says, until, user};

const TALKERS: [&str; 6] = ["t0", "t1", "t2", "t3", "t4", "t5"];

/// Six who talk on a node that may be busy hardly at all, and one who comes later.
struct Crowd {
    world: World,
    node: RunningNode,
    host: RunningHost,
    talkers: Vec<(NodeSession, Leg)>,
}

impl Crowd {
    async fn gather() -> Self {
        let mut crowd = Self::open().await;
        crowd.talk().await;
        crowd
    }

    async fn open() -> Self {
        let world = World::new();
        let node = RunningNode::with(&world, |settings| {
            settings.load_max_percent = 3;
            settings.encoder.complexity = 9;
            settings.complexity_min = 6;
            settings.listener_packet = ListenerPacketSetting::Auto;
        });
        let users = [&TALKERS[..], &["late"]].concat();
        let host = RunningHost::open(&world, &node, &users).await;
        Self { world, node, host, talkers: Vec::new() }
    }

    /// Lets them in until the node has enough of them.
    async fn talk(&mut self) {
        for (index, name) in TALKERS.iter().enumerate() {
            let member = Member::new(&self.world, name);
            let session = member.session(&self.host).await;
            let voice = tone(300.0 + 100.0 * index as f32, 0.1);
            match member.try_join(&self.world, &session, voice, None).await {
                Ok(leg) => self.talkers.push((session, leg)),
                Err(JoinError::NodeRefused(refusal)) if refusal.code == RefusalCode::Full => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(!self.talkers.is_empty());
    }

    async fn is_full(&self) {
        until("a full node", async || {
            Some(self.node.load().await).filter(|load| load.is_full && load.step == load.step_max)
        })
        .await;
    }

    async fn disperse(&mut self) {
        for (session, leg) in self.talkers.drain(..) {
            leg.leave(&session).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_at_its_limit_refuses_newcomers_and_says_why_until_there_is_room() {
    let mut crowd = Crowd::gather().await;
    crowd.is_full().await;
    let late = Member::new(&crowd.world, "late").session(&crowd.host).await;
    let Err(JoinError::NodeRefused(refusal)) = late.join(LegRole::Member).await else {
        panic!("the node let her in");
    };
    assert_eq!(refusal.code, RefusalCode::Full);
    let parts = ["at its limit", "% of the time", "ask the host for another node, or try again"];
    assert_says(&refusal.message, &parts);

    let again = RunningHost::with(&crowd.world, &crowd.node, &[], |_| ()).await;
    let Err(error @ HostError::Refused(_)) = again else { panic!("a new conference was taken") };
    assert_says(&error, &["at its limit", "try again in a minute"]);
    assert_says(&crowd.node.figures().unready().unwrap(), &["at its limit"]);

    crowd.disperse().await;
    until("room for a newcomer", async || late.join(LegRole::Member).await.ok()).await;
    let is_ready = async || crowd.node.figures().unready().is_none().then_some(());
    until("a welcome", is_ready).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_may_still_tell_a_full_node_of_a_newer_list() {
    let mut crowd = Crowd::open().await;
    let planner = crowd.world.device("planner");
    let session = Member::of(&crowd.world, planner.clone(), [127, 0, 0, 1].into());
    let session = session.raw_session(&crowd.node).await;
    let list = PermitList {
        origin: ConferenceOrigin::new(crowd.world.now(), planner.node(), 20_270_115, 1).unwrap(),
        issued: crowd.world.now(),
        expires: crowd.world.now().after(HOUR),
        users: [user("alice")].into(),
        cohosts: [].into(),
        settings: ConferenceSettings::default(),
    };
    let create = Request::CreateConference { permit_list: Signed::sign(&list, &planner).unwrap() };
    let created = async || match session.request(&create).await.unwrap() {
        Answer::Created { .. } => Some(()),
        _ => None,
    };
    created().await.unwrap();
    crowd.talk().await;
    crowd.is_full().await;
    created().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_node_gives_up_effort_and_takes_it_up_again() {
    let mut crowd = Crowd::gather().await;
    let busy = until("the end of the ladder", async || {
        Some(crowd.node.load().await).filter(|load| load.step == load.step_max)
    })
    .await;
    assert_eq!((busy.effort.complexity, busy.effort.packet), (6, ListenerPacket::Ms60));
    crowd.disperse().await;
    let idle = until("the first step", async || {
        Some(crowd.node.load().await).filter(|load| load.step < busy.step)
    })
    .await;
    assert!(!idle.is_full);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_members_of_a_large_conference_send_levels_only_until_it_is_small_again() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let names: Vec<_> = (0..64).map(|index| format!("m{index}")).collect();
    let users: Vec<_> = names.iter().map(String::as_str).collect();
    let host = RunningHost::open(&world, &node, &users).await;
    let mut legs = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let member = Member::new(&world, name);
        let session = member.session(&host).await;
        // -65 dBov: below the gate.
        let leg = member.join(&world, &session, noise(0.000_56, index as u64), None).await;
        legs.push((session, leg));
    }
    for (_, leg) in &legs {
        leg.counted("the order to send voice only", is_told(UplinkOrder::Voice)).await;
    }
    assert_eq!(node.load().await.uplink, UplinkOrder::Voice);
    let (_, one) = &legs[0];
    let before = one.report().await;
    let after =
        one.counted("three more levels", |report| report.probes_out >= before.probes_out + 3).await;
    assert_eq!(after.voice_out, before.voice_out, "levels only");
    for (session, leg) in legs.drain(20..) {
        leg.leave(&session).await;
    }
    for (_, leg) in &legs {
        leg.counted("the order to send everything", is_told(UplinkOrder::Everything)).await;
    }
}

fn is_told(order: UplinkOrder) -> impl Fn(&sabha_client::media::MemberReport) -> bool {
    move |report| report.uplink_order == order
}
