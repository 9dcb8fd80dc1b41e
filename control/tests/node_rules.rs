//! What only a host may do at a node, what a node refuses to carry, and in which words.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use sabha_client::host::HostError;
use sabha_client::member::NodeSession;
use sabha_control::node::{Node, NodeError};
use sabha_core::Identity;
use sabha_core::message::{
    Answer, ConferenceOrigin, ConferenceSettings, Event, Mode, PermitList, RefusalCode, Request,
    Signed,
};
use sabha_core::signalling::Session;
use sabha_media::leg::LegRole;
use support::member::event;
use support::node::node_settings;
use support::sound::{last_second, tone};
use support::{HOUR, Member, RunningHost, RunningNode, World, assert_says, done, refusal, user};

/// A conference with alice and bob in it, and the host's session.
struct Room {
    world: World,
    node: RunningNode,
    host: RunningHost,
    chair: Session,
    alice: NodeSession,
    bob: NodeSession,
}

impl Room {
    async fn open() -> Self {
        let world = World::new();
        let node = RunningNode::start(&world);
        let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
        let chair = Member::of(&world, host.identity.clone(), [127, 0, 0, 1].into());
        let chair = chair.raw_session(&node).await;
        let alice = Member::new(&world, "alice").session(&host).await;
        let bob = Member::new(&world, "bob").session(&host).await;
        Self { world, node, host, chair, alice, bob }
    }

    fn mute(&self, name: &str, muted: bool) -> Request {
        Request::Mute { conference: self.host.conference(), user: user(name), muted }
    }
}

#[tokio::test]
async fn leg_of_another_session_cannot_be_left() {
    let room = Room::open().await;
    let leg = room.alice.join(LegRole::Member).await.unwrap().answer.leg;
    let refused = refusal(room.bob.session(), Request::Leave { leg }).await;
    assert_eq!(refused.code, RefusalCode::UnknownLeg);
    let parts = [&leg.to_string()[..], "not one of this session's", "may have left already"];
    assert_says(&refused.message, &parts);
    room.alice.leave(leg).await.unwrap();
    let refused = refusal(room.alice.session(), Request::Leave { leg }).await;
    assert_eq!(refused.code, RefusalCode::UnknownLeg);
}

#[tokio::test]
async fn only_the_host_mutes_others_locks_and_ends() {
    let room = Room::open().await;
    let conference = room.host.conference();
    let requests = [
        room.mute("bob", true),
        Request::Lock { conference, locked: true },
        Request::End { conference },
    ];
    for request in requests {
        let refused = refusal(room.alice.session(), request.clone()).await;
        assert_eq!(refused.code, RefusalCode::NotHost);
        let parts = ["alice@example.org", "neither host nor co-host", "ask one of them"];
        assert_says(&refused.message, &parts);
        done(&room.chair, request).await;
    }
}

#[tokio::test]
async fn cohost_may_do_what_the_host_may() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::with(&world, &node, &["alice", "bob"], |settings| {
        settings.cohosts = [user("alice")].into();
    });
    let host = host.await.unwrap();
    let alice = Member::new(&world, "alice").session(&host).await;
    let conference = host.conference();
    done(alice.session(), Request::Mute { conference, user: user("bob"), muted: true }).await;
    done(alice.session(), Request::End { conference }).await;
}

#[tokio::test]
async fn who_is_muted_by_the_host_cannot_unmute_themselves() {
    let room = Room::open().await;
    let alice = room.alice.session();
    done(alice, room.mute("alice", true)).await;
    done(alice, room.mute("alice", false)).await;
    done(&room.chair, room.mute("alice", true)).await;
    let refused = refusal(alice, room.mute("alice", false)).await;
    assert_eq!(refused.code, RefusalCode::NotHost);
    let parts = ["alice@example.org was muted by the host", "ask the host to be unmuted"];
    assert_says(&refused.message, &parts);
    done(&room.chair, room.mute("alice", false)).await;
    done(alice, room.mute("alice", false)).await;
}

#[tokio::test]
async fn stranger_with_the_conferences_name_mutes_nobody() {
    let room = Room::open().await;
    let carol = Member::new(&room.world, "carol").raw_session(&room.node).await;
    for name in ["carol", "alice"] {
        let refused = refusal(&carol, room.mute(name, true)).await;
        assert_eq!(refused.code, RefusalCode::NotHost, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn muted_member_is_not_heard_even_after_coming_back_and_everybody_is_told() {
    let room = Room::open().await;
    let (bob, alice) = (Member::new(&room.world, "bob"), Member::new(&room.world, "alice"));
    let ear = bob.join(&room.world, &room.bob, support::sound::noise(0.0, 1), None).await;
    let mouth = alice.join(&room.world, &room.alice, tone(440.0, 0.3), None).await;
    let is_heard = |heard: &[f32]| last_second(heard, 440.0).is_some_and(|all| all[0] > 0.2);
    let is_silent = |heard: &[f32]| {
        last_second(heard, 440.0).is_some_and(|all| all.iter().all(|one| *one < 0.001))
    };
    ear.hears("alice", is_heard).await;
    room.host.host().mute(user("alice"), true).await.unwrap();
    let told = event(&room.bob, |event| match event {
        Event::Muted { user, muted, .. } => Some((user, muted)),
        _ => None,
    });
    assert_eq!(told.await, (user("alice"), true));
    ear.hears("alice's silence", is_silent).await;
    mouth.leave(&room.alice).await;
    let mouth = alice.join(&room.world, &room.alice, tone(440.0, 0.3), None).await;
    let before = room.node.report().await.drops.get("muted").copied().unwrap_or(0);
    room.node
        .counted("packets of the muted", |report| {
            report.drops.get("muted").is_some_and(|muted| *muted >= before + 50)
        })
        .await;
    assert!(is_silent(&ear.heard()), "a new leg does not unmute");
    room.host.host().mute(user("alice"), false).await.unwrap();
    ear.hears("alice again", is_heard).await;
    mouth.leave(&room.alice).await;
}

/// A list as its host would sign it.
fn permit_list(world: &World, host: &Identity) -> PermitList {
    let now = world.now();
    PermitList {
        origin: ConferenceOrigin::new(now, host.node(), 20_270_115, 1).unwrap(),
        issued: now,
        expires: now.after(HOUR),
        users: [user("alice")].into(),
        cohosts: [].into(),
        settings: ConferenceSettings::default(),
    }
}

#[tokio::test]
async fn conference_is_created_by_its_own_host_only() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let (host, mallory) = (world.device("host"), world.device("mallory"));
    let list = permit_list(&world, &host);
    let member = |identity: &Identity| Member::of(&world, identity.clone(), [127, 0, 0, 1].into());
    let session = member(&mallory).raw_session(&node).await;

    let permit_list = Signed::sign(&list, &mallory).unwrap();
    let refused = refusal(&session, Request::CreateConference { permit_list }).await;
    assert_eq!(refused.code, RefusalCode::NotPermitted);
    let parts = [
        &mallory.node().to_string()[..],
        &host.node().to_string(),
        "the host itself must create it",
    ];
    assert_says(&refused.message, &parts);

    let permit_list = Signed::sign(&list, &host).unwrap();
    let create = Request::CreateConference { permit_list };
    let refused = refusal(&session, create.clone()).await;
    assert_eq!(refused.code, RefusalCode::NotHost);
    let parts = ["mallory@example.org is not the host", "only the host's own device"];
    assert_says(&refused.message, &parts);

    let session = member(&host).raw_session(&node).await;
    for _ in 0..2 {
        let answer = session.request(&create).await.unwrap();
        assert!(matches!(answer, Answer::Created { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn permit_list_that_is_over_or_still_to_come_creates_nothing() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = world.device("host");
    let session = Member::of(&world, host.clone(), [127, 0, 0, 1].into()).raw_session(&node).await;
    let list = permit_list(&world, &host);
    let over = PermitList { expires: world.now(), ..list.clone() };
    let early = PermitList { issued: world.now().after(Duration::from_secs(61)), ..list };
    for (list, part) in [(over, "create a new conference"), (early, "set the host's clock right")] {
        let permit_list = Signed::sign(&list, &host).unwrap();
        let refused = refusal(&session, Request::CreateConference { permit_list }).await;
        assert_eq!(refused.code, RefusalCode::NotPermitted);
        assert_says(&refused.message, &[part]);
    }
}

async fn refused_settings(settings: ConferenceSettings) -> String {
    let world = World::new();
    let node = RunningNode::start(&world);
    let opened = RunningHost::with(&world, &node, &[], |host| host.settings = settings).await;
    match opened {
        Err(error @ HostError::Refused(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the node took it"),
    }
}

#[tokio::test]
async fn more_talkers_than_the_node_mixes_are_refused() {
    for (talkers_max, parts) in [
        (9, ["talkers_max is 9", "this node mixes 1 to 8"]),
        (0, ["talkers_max is 0", "it must be 1 to"]),
        (1_000, ["talkers_max is 1000", "it must be 1 to"]),
    ] {
        let settings = ConferenceSettings { talkers_max, ..ConferenceSettings::default() };
        let message = refused_settings(settings).await;
        assert_says(&message, &["the node refused the conference"]);
        assert_says(&message, &parts);
    }
}

#[tokio::test]
async fn mode_that_the_node_does_not_serve_is_refused() {
    let mode = Mode::Other("hologram".into());
    let settings = ConferenceSettings { mode, ..ConferenceSettings::default() };
    let message = refused_settings(settings).await;
    assert_says(&message, &["hologram", "create the conference with mode \"mixer\""]);
}

#[tokio::test]
async fn full_node_refuses_conferences_until_one_ends() {
    let world = World::new();
    let node = RunningNode::with(&world, |settings| settings.conferences_max = 1);
    let first = RunningHost::open(&world, &node, &[]).await;
    let Err(error) = RunningHost::with(&world, &node, &[], |_| ()).await else {
        panic!("the node took a second conference");
    };
    assert!(matches!(&error, HostError::Refused(refusal) if refusal.code == RefusalCode::Full));
    assert_says(&error, &["1 conferences", "choose another node"]);
    first.end().await;
    RunningHost::open(&world, &node, &[]).await;
}

#[tokio::test]
async fn device_without_mixer_mark_starts_no_node() {
    let world = World::new();
    let identity = world.device("node");
    let id = identity.node();
    match Node::start(node_settings(), identity, world.clock()) {
        Err(error @ NodeError::NoMixer(_)) => {
            assert_says(&error, &[&id.to_string(), "mixer mark", "`sabha enroll --mixer`"]);
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it started"),
    }
}
