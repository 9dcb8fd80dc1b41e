//! A conference from beginning to end: who hears whom, who is told what, and what outlives what.
#![allow(clippy::unwrap_used)]

mod support;

use sabha_client::member::{JoinError, NodeSession};
use sabha_core::UserId;
use sabha_core::message::{Answer, ConferenceId, Event, RefusalCode, Request};
use sabha_core::quic::LinkError;
use sabha_media::leg::{LegRole, Ssrc};
use support::member::{Leg, event, roster_change};
use support::sound::{all_near, amplitude, last_second, noise, tone};
use support::{Member, RunningHost, RunningNode, World, assert_says, soon, user};

/// Registers, connects, joins and talks.
async fn talker(world: &World, host: &RunningHost, name: &str, hz: f32) -> (NodeSession, Leg) {
    let member = Member::new(world, name);
    let session = member.session(host).await;
    let leg = member.join(world, &session, tone(hz, 0.3), None).await;
    (session, leg)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_hear_each_other_in_full_and_themselves_at_a_tenth() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let (hers, alice) = talker(&world, &host, "alice", 440.0).await;
    let (his, bob) = talker(&world, &host, "bob", 1_000.0).await;
    for (ear, other_hz, own_hz) in [(&alice, 1_000.0, 440.0), (&bob, 440.0, 1_000.0)] {
        let both = |heard: &[f32]| {
            let near =
                |hz, wanted| last_second(heard, hz).is_some_and(|all| all_near(&all, wanted, 0.15));
            near(other_hz, 0.3) && near(own_hz, 0.03)
        };
        ear.hears("the other in full and oneself at a tenth", both).await;
    }
    let (alice, bob) = (alice.leave(&hers).await, bob.leave(&his).await);
    for report in [alice, bob] {
        assert_eq!((report.lost, report.drops.total()), (0, 0), "{report:?}");
    }
    host.end().await;
    let report = node.stop().await;
    assert_eq!((report.ticks_over_encode_bound, report.ticks_over_decode_bound), (0, 0));
    assert!(report.decodes > 0 && report.packets_out > 0);
    assert_eq!(report.key_repeats, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conferences_on_one_node_do_not_hear_or_know_of_each_other() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let one = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let other = RunningHost::open(&world, &node, &["carol", "dave"]).await;
    assert_ne!(one.conference(), other.conference());
    let (hers, _alice) = talker(&world, &one, "alice", 440.0).await;
    let (_carols, carol) = talker(&world, &other, "carol", 1_000.0).await;
    let (_his, bob) = talker(&world, &one, "bob", 600.0).await;
    let (_daves, dave) = talker(&world, &other, "dave", 1_500.0).await;
    let is = |hz| move |heard: &[f32]| last_second(heard, hz).is_some_and(|all| all[0] > 0.25);
    bob.hears("alice", is(440.0)).await;
    dave.hears("carol", is(1_000.0)).await;
    carol.hears("dave", is(1_500.0)).await;
    for (ear, foreign) in [(&bob, [1_000.0, 1_500.0]), (&dave, [440.0, 600.0])] {
        let heard = ear.heard();
        for hz in foreign {
            let loudest = heard.chunks(9_600).map(|part| amplitude(part, hz));
            assert!(loudest.fold(0.0, f32::max) < 0.01, "{hz} Hz came through");
        }
    }
    other.end().await;
    let (id, heard) = (one.conference(), bob.heard().len());
    bob.hears("alice still", |all| is(440.0)(&all[heard..])).await;
    assert_eq!(told_users(&hers, id, 2).await, [user("alice"), user("bob")]);
}

/// Collects who joined, by name, until there are so many.
async fn told_users(session: &NodeSession, id: ConferenceId, count: usize) -> Vec<UserId> {
    let mut users = Vec::new();
    while users.len() < count {
        let changes = event(session, |event| match event {
            Event::Roster { conference, changes, .. } => Some((conference, changes)),
            _ => None,
        });
        let (conference, changes) = changes.await;
        assert_eq!(conference, id);
        users.extend(changes.into_iter().filter(|one| one.joined).map(|one| one.user));
        users.sort_unstable();
        users.dedup();
    }
    users
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roster_tells_who_is_who_by_their_source() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let (hers, alice) = talker(&world, &host, "alice", 440.0).await;
    let is = |ssrc: Ssrc, joined| {
        move |change: &sabha_core::message::RosterChange| {
            change.ssrc == ssrc && change.joined == joined
        }
    };
    let own = alice.answer.send_ssrc;
    assert_eq!(roster_change(&hers, is(own, true)).await.user, user("alice"));
    let (his, bob) = talker(&world, &host, "bob", 1_000.0).await;
    let bobs = bob.answer.send_ssrc;
    assert_ne!(own, bobs);
    assert_eq!(roster_change(&hers, is(bobs, true)).await.user, user("bob"));
    assert_eq!(
        roster_change(&his, is(own, true)).await.user,
        user("alice"),
        "a newcomer is told of those who were there before"
    );
    bob.leave(&his).await;
    assert_eq!(roster_change(&hers, is(bobs, false)).await.user, user("bob"));
    // Somebody whose session breaks is gone as well.
    let (his, bob) = talker(&world, &host, "bob", 1_000.0).await;
    let bobs = bob.answer.send_ssrc;
    assert_eq!(roster_change(&hers, is(bobs, true)).await.user, user("bob"));
    drop(his);
    assert_eq!(roster_change(&hers, is(bobs, false)).await.user, user("bob"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_the_conference_reaches_every_member() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let id = host.conference();
    let (hers, alice) = talker(&world, &host, "alice", 440.0).await;
    let (his, _bob) = talker(&world, &host, "bob", 1_000.0).await;
    host.end().await;
    for session in [&hers, &his] {
        assert_eq!(ended(session).await, (id, "the host ended it".to_owned()));
    }
    let Err(JoinError::NodeRefused(refusal)) = hers.join(LegRole::Member).await else {
        panic!("a conference that is over was joined");
    };
    assert_eq!(refusal.code, RefusalCode::UnknownConference);
    assert!(hers.leave(alice.answer.leg).await.is_err(), "its legs are gone");
    node.counted("packets of nobody", |report| report.drops.contains_key("unknown_ssrc")).await;
}

async fn ended(session: &NodeSession) -> (ConferenceId, String) {
    event(session, |event| match event {
        Event::Ended { conference, reason } => Some((conference, reason)),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conference_whose_time_is_over_ends_by_itself() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::with(&world, &node, &["alice"], |host| host.lasts = support::HOUR);
    let host = host.await.unwrap();
    let (hers, _alice) = talker(&world, &host, "alice", 440.0).await;
    world.pass(support::HOUR);
    assert_eq!(ended(&hers).await, (host.conference(), "its time is over".to_owned()));
    let late = Member::new(&world, "bob").try_session(&host).await.err().unwrap();
    assert_says(&late, &["the conference ended on", "ask its host for a new one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conference_outlives_its_hosts_process() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let (_hers, _alice) = talker(&world, &host, "alice", 440.0).await;
    let bob = Member::new(&world, "bob");
    let his = bob.session(&host).await;
    host.vanish().await;
    // Bob has his ticket; nobody needs the host any more.
    let ear = bob.join(&world, &his, noise(0.0, 1), None).await;
    ear.hears("alice", |heard| last_second(heard, 440.0).is_some_and(|all| all[0] > 0.25)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_shuts_down_tells_its_members() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let (hers, _alice) = talker(&world, &host, "alice", 440.0).await;
    let (his, _bob) = talker(&world, &host, "bob", 1_000.0).await;
    let (id, report) = (host.conference(), node.stop().await);
    assert!(report.packets_in > 0);
    for session in [&hers, &his] {
        assert_eq!(ended(session).await, (id, "the node is shutting down".to_owned()));
        let error = soon("the session's end", session.session().closed()).await;
        assert!(matches!(error, LinkError::Closed { .. }), "{error:?}");
        assert_says(&error, &["closed the session: the node is shutting down"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_conferences_go_to_the_shard_with_the_fewest_legs() {
    let world = World::new();
    let node = RunningNode::with(&world, |settings| settings.shards = 2);
    let shard = async |host: &RunningHost, name: &str| {
        let session = Member::new(&world, name).session(host).await;
        let leg = session.join(LegRole::Member).await.unwrap().answer.leg;
        (leg.shard, leg, session)
    };
    let first = RunningHost::open(&world, &node, &["alice"]).await;
    let (one, _, _hers) = shard(&first, "alice").await;
    let second = RunningHost::open(&world, &node, &["bob"]).await;
    let (other, leg, his) = shard(&second, "bob").await;
    assert_ne!(one, other);
    his.leave(leg).await.unwrap();
    let third = RunningHost::open(&world, &node, &["carol", "dave"]).await;
    let (third_shard, _, _carols) = shard(&third, "carol").await;
    assert_eq!(third_shard, other);
    let (_, _, _daves) = shard(&third, "dave").await;
    // A conference that ends takes its legs' weight with it.
    third.end().await;
    let fourth = RunningHost::open(&world, &node, &["erin"]).await;
    assert_eq!(shard(&fourth, "erin").await.0, other);
    assert_eq!(his.session().request(&Request::Ping {}).await.unwrap(), Answer::Pong {});
}
