//! A conference that is forwarded, beside one that is mixed, from joining to hearing.
#![allow(clippy::unwrap_used)]

mod support;

use sabha_core::message::{Answer, JoinRequest, Mode, RefusalCode, Request};
use support::sound::{all_near, last_second, tone};
use support::{Member, RunningHost, RunningNode, World, assert_says, join_request, refusal};

/// Opens a conference of this mode for alice and bob.
async fn open(world: &World, node: &RunningNode, mode: Mode, talkers_max: u16) -> RunningHost {
    let change = |settings: &mut sabha_client::host::HostSettings| {
        settings.settings.mode = mode;
        settings.settings.talkers_max = talkers_max;
    };
    RunningHost::with(world, node, &["alice", "bob"], change).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_hear_each_other_in_full_and_nothing_of_themselves() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = open(&world, &node, Mode::Bridge, 3).await;
    let mut legs = Vec::new();
    for (name, hz) in [("alice", 440.0), ("bob", 1_000.0)] {
        let member = Member::new(&world, name);
        let session = member.session(&host).await;
        let leg = member.join(&world, &session, tone(hz, 0.3), None).await;
        assert_eq!((leg.answer.mode.clone(), leg.answer.receive_ssrcs.len()), (Mode::Bridge, 3));
        legs.push((session, leg));
    }
    for (ear, other_hz, own_hz) in [(0, 1_000.0, 440.0), (1, 440.0, 1_000.0)] {
        let one = |heard: &[f32]| {
            last_second(heard, other_hz).is_some_and(|all| all_near(&all, 0.3, 0.15))
                && last_second(heard, own_hz).is_some_and(|all| all.iter().all(|own| *own < 0.003))
        };
        legs[ear].1.hears("the other in full and not oneself", one).await;
    }
    for (session, leg) in legs {
        let report = leg.leave(&session).await;
        assert_eq!((report.lost, report.drops.total()), (0, 0), "{report:?}");
        assert!(report.is_forwarded);
    }
    host.end().await;
    let report = node.stop().await;
    assert_eq!((report.ticks, report.encodes, report.key_repeats), (0, 0, Some(0)));
    assert_eq!((report.forwarding.turns, report.forwarding.switches), (2, 0));
    assert_eq!(report.forwarding.packets_out, report.packets_out);
}

#[tokio::test]
async fn client_that_takes_one_stream_is_told_so_by_a_bridge_and_admitted_to_a_mix() {
    let world = World::new();
    let node = RunningNode::start(&world);
    for (mode, is_admitted) in [(Mode::Bridge, false), (Mode::Mixer, true)] {
        let host = open(&world, &node, mode, 3).await;
        let session = Member::new(&world, "alice").raw_session(&node).await;
        let ticket = world.ticket(host.conference(), "alice", &node);
        let request = join_request(&ticket, &host.identity);
        let request = Request::Join(JoinRequest { streams_max: 1, ..request });
        if is_admitted {
            let answer = session.request(&request).await.unwrap();
            assert!(matches!(answer, Answer::Joined(joined) if joined.mode == Mode::Mixer));
        } else {
            let refused = refusal(&session, request).await;
            assert_eq!(refused.code, RefusalCode::BadRequest);
            assert_says(&refused.message, &["as 3 streams", "takes 1", "mode \"mixer\""]);
        }
        host.end().await;
    }
}

#[tokio::test]
async fn bridge_sends_four_streams_at_most_and_auto_chooses_it_for_few() {
    let world = World::new();
    let node = RunningNode::start(&world);
    for (mode, talkers_max, streams) in [(Mode::Bridge, 8, 4), (Mode::Auto, 2, 2)] {
        let host = open(&world, &node, mode, talkers_max).await;
        let session = Member::new(&world, "alice").session(&host).await;
        let leg = session.join(sabha_media::leg::LegRole::Member).await.unwrap();
        let told = (leg.answer.mode, leg.answer.receive_ssrcs.len());
        assert_eq!(told, (Mode::Bridge, streams));
        host.end().await;
    }
    let many: Vec<_> = (0..101).map(|number| format!("user{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).chain(["alice"]).collect();
    let change = |settings: &mut sabha_client::host::HostSettings| {
        settings.settings.mode = Mode::Auto;
    };
    let host = RunningHost::with(&world, &node, &many, change).await.unwrap();
    let session = Member::new(&world, "alice").session(&host).await;
    let leg = session.join(sabha_media::leg::LegRole::Member).await.unwrap();
    assert_eq!((leg.answer.mode, leg.answer.receive_ssrcs.len()), (Mode::Mixer, 1));
}
