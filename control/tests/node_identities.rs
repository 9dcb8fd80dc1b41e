//! Certificates of other networks, expired ones, and hosts and nodes that are not what they say.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sabha_client::host::{Host, HostError, HostSettings};
use sabha_client::member::{Device, JoinError};
use sabha_core::ca::AuthoritySettings;
use sabha_core::message::{
    Answer, ConferenceId, ConferenceSettings, Epoch, JoinAnswer, JoinLink, Mode, Signed, Ticket,
};
use sabha_core::quic::LinkError;
use sabha_core::signalling::{
    CertificateProblem, ClientCredentials, SignallingEndpoint, SignallingSettings,
};
use sabha_core::{Clock, Identity};
use sabha_media::leg::{LegId, LegRole, Ssrc};
use sabha_media::srtp::SrtpSuite;
use support::{HOUR, Member, RunningHost, RunningNode, World, assert_says, until, user};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[tokio::test]
async fn member_of_another_network_is_refused_by_link_host_and_node() {
    let (world, elsewhere) = (World::new(), World::new());
    let node = RunningNode::start(&world);
    let host = RunningHost::open(&world, &node, &["alice"]).await;
    let alice = Member::new(&elsewhere, "alice");
    let register =
        async |link: &JoinLink| alice.device.register(link, LegRole::Member).await.unwrap_err();

    let error = register(host.link()).await;
    assert!(matches!(error, JoinError::OtherAuthority { .. }), "{error:?}");
    let theirs = world.mixer("witness").root().fingerprint().to_string();
    let ours = alice.identity.root().fingerprint().to_string();
    assert_says(&error, &[&theirs, &ours, "enrol with the conference's CA first"]);

    // A link that lies about its CA gets no further.
    let link = JoinLink { root: alice.identity.root().fingerprint(), ..host.link().clone() };
    let error = register(&link).await;
    assert!(is_other_authority(&error), "{error:?}");
    assert_says(&error, &["another CA", "enrol at the same CA"]);
    until("the host's refusal", async || (host.host().registrations() == (0, 1)).then_some(()))
        .await;

    // Nor does a ticket, though its own signer is of her network.
    let ticket = elsewhere.ticket(host.conference(), "alice", &node);
    let ticket = Signed::sign(&ticket, &elsewhere.device("host")).unwrap();
    let error = alice.device.connect(ticket).await.err().unwrap();
    assert!(is_other_authority(&error), "{error:?}");
    Member::new(&world, "alice").session(&host).await.join(LegRole::Member).await.unwrap();
}

fn is_other_authority(error: &JoinError) -> bool {
    let other = CertificateProblem::OtherAuthority;
    matches!(error, JoinError::Link(LinkError::PeerRefused { why, .. }) if *why == other)
}

#[tokio::test]
async fn expired_certificate_is_refused_by_host_and_node() {
    let settings =
        AuthoritySettings { certificate_lifetime: 10 * HOUR, ..AuthoritySettings::default() };
    let world = World::with(settings);
    let alice = world.device("alice");
    world.pass(5 * HOUR);
    let node = RunningNode::start(&world);
    let host = RunningHost::with(&world, &node, &["alice"], |host| host.lasts = 9 * HOUR);
    let host = host.await.unwrap();
    // Her own clock stands still, so she does not know.
    let clock = Clock::fixed(world.now());
    let credentials = ClientCredentials::new(&clock, &alice).unwrap();
    let endpoint = SignallingEndpoint::client(LOOPBACK).unwrap();
    let device = Device::new(endpoint, credentials, alice, clock);
    let ticket = device.register(host.link(), LegRole::Member).await.unwrap();
    let early = device.connect(ticket.clone()).await.unwrap();
    early.join(LegRole::Member).await.unwrap();

    world.pass(5 * HOUR + Duration::from_secs(1));
    let at_host = device.register(host.link(), LegRole::Member).await.unwrap_err();
    let at_node = device.connect(ticket).await.unwrap().join(LegRole::Member).await.err().unwrap();
    for error in [at_host, at_node] {
        let JoinError::Link(LinkError::RefusedUs { why, .. }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*why, CertificateProblem::Expired);
        assert_says(&error, &["our certificate expired", "renew it or enrol again"]);
    }
}

/// Somebody who answers joins from a list, instead of thinking.
async fn scripted(world: &World, identity: &Identity, answers: Vec<Answer>) -> SocketAddr {
    let settings = SignallingSettings::default();
    let endpoint =
        SignallingEndpoint::server(LOOPBACK, &world.clock(), identity, settings).unwrap();
    let address = endpoint.local_addr().unwrap();
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        while let Some(incoming) = endpoint.accept().await {
            let Ok(session) = incoming.handshake().await else { continue };
            while let Ok((_, responder)) = session.accept_request().await {
                let Some(answer) = answers.next() else { return };
                responder.answer(&answer).await.unwrap();
            }
        }
    });
    address
}

fn join_answer(leg_generation: u32) -> JoinAnswer {
    JoinAnswer {
        leg: LegId { shard: 0, index: 0, generation: leg_generation },
        leg_generation,
        epoch: Epoch { counter: 1, rank: 0 },
        suite: SrtpSuite::AeadAes128Gcm,
        media_addresses: vec!["127.0.0.1:9".parse().unwrap()],
        send_ssrc: Ssrc(1),
        receive_ssrcs: vec![Ssrc(2)],
        payload_type: 111,
        red_payload_type: None,
        client_level_extension: sabha_media::extension::CLIENT_LEVEL_ID,
        mixer_level_extension: sabha_media::extension::MIXER_LEVEL_ID,
        packet_ms: 20,
        mode: Mode::Mixer,
        cname: "x".into(),
    }
}

fn ticket_for(world: &World, node: &Identity, address: SocketAddr) -> Ticket {
    Ticket {
        conference: ConferenceId([9; 32]),
        user: user("alice"),
        role: LegRole::Member,
        node: node.node(),
        addresses: vec![address],
        epoch: Epoch { counter: 1, rank: 0 },
        issued: world.now(),
        expires: world.now().after(HOUR),
    }
}

#[tokio::test]
async fn node_that_repeats_a_leg_generation_is_refused() {
    let world = World::new();
    let node = world.mixer("node");
    let generations = [1, 2, 2, 1, 0, 3];
    let answers = generations.map(|generation| Answer::Joined(join_answer(generation)));
    let address = scripted(&world, &node, answers.into()).await;
    let alice = Member::new(&world, "alice");
    let ticket = Signed::sign(&ticket_for(&world, &node, address), &world.device("host")).unwrap();
    let session = alice.device.connect(ticket).await.unwrap();
    for (generation, is_new) in generations.into_iter().zip([true, true, false, false, false, true])
    {
        match session.join(LegRole::Member).await {
            Ok(leg) => assert!(is_new, "{generation} was taken: {:?}", leg.answer),
            Err(error) => {
                assert!(!is_new, "{generation}: {error}");
                assert_says(&error, &["repeats a leg generation", "upgrade"]);
            }
        }
    }
}

#[tokio::test]
async fn answers_that_this_version_cannot_follow_are_refused() {
    let world = World::new();
    let node = world.mixer("node");
    let cases = [
        (JoinAnswer { mode: Mode::Other("hologram".into()), ..join_answer(1) }, "mode"),
        (JoinAnswer { receive_ssrcs: vec![Ssrc(2), Ssrc(3)], ..join_answer(2) }, "mode"),
        (JoinAnswer { client_level_extension: 9, ..join_answer(3) }, "level extensions"),
        (JoinAnswer { packet_ms: 60, ..join_answer(4) }, "20 ms"),
        (JoinAnswer { media_addresses: Vec::new(), ..join_answer(5) }, "no media address"),
        (
            JoinAnswer {
                mode: Mode::Bridge,
                receive_ssrcs: (2..7).map(Ssrc).collect(),
                ..join_answer(6)
            },
            "mode",
        ),
    ];
    let answers = cases.iter().map(|(answer, _)| Answer::Joined(answer.clone())).collect();
    let address = scripted(&world, &node, answers).await;
    let alice = Member::new(&world, "alice");
    let ticket = Signed::sign(&ticket_for(&world, &node, address), &world.device("host")).unwrap();
    let session = alice.device.connect(ticket).await.unwrap();
    for (_, part) in cases {
        let error = session.join(LegRole::Member).await.err().unwrap();
        assert_says(&error, &["the node's answer cannot be used", part, "upgrade"]);
    }
}

#[tokio::test]
async fn node_without_mixer_mark_is_refused_by_member_and_host() {
    let world = World::new();
    let pretender = world.device("pretender");
    let address = scripted(&world, &pretender, Vec::new()).await;
    let (alice, host) = (Member::new(&world, "alice"), world.device("host"));
    let ticket = Signed::sign(&ticket_for(&world, &pretender, address), &host).unwrap();
    let error = alice.device.connect(ticket).await.err().unwrap();
    let id = pretender.node().to_string();
    assert_says(&error, &[&id, "no mixer mark", "tell the conference's host"]);
    let settings = HostSettings {
        listen: LOOPBACK,
        advertise: vec![LOOPBACK],
        node: pretender.node(),
        node_address: address,
        users: [].into(),
        cohosts: [].into(),
        settings: ConferenceSettings::default(),
        lasts: HOUR,
    };
    let error = Host::open(world.clock(), host, settings).await.err().unwrap();
    assert!(matches!(error, HostError::NoMixer(_)), "{error:?}");
    assert_says(&error, &[&id, "no mixer mark", "--mixer"]);
}

#[tokio::test]
async fn host_whose_ticket_does_not_fit_is_refused_by_the_member() {
    let world = World::new();
    let (node, host) = (world.mixer("node"), world.device("host"));
    let proper = ticket_for(&world, &node, LOOPBACK);
    let conference = proper.conference;
    let other = Ticket { conference: ConferenceId([8; 32]), ..proper.clone() };
    let somebody = Ticket { user: user("bob"), ..proper.clone() };
    let expired = Ticket { expires: world.now(), ..proper.clone() };
    let sign = |ticket: &Ticket, by: &Identity| Answer::Registered {
        ticket: Signed::sign(ticket, by).unwrap(),
    };
    let cases = [
        (sign(&other, &host), vec!["for conference 0808", "not for 0909"]),
        (sign(&somebody, &host), vec!["for bob@example.org", "ask the host for a ticket"]),
        (sign(&expired, &host), vec!["expired on", "ask the host for a new one"]),
        (sign(&proper, &world.device("mallory")), vec!["signed by mallory@example.org"]),
        (Answer::Pong {}, vec!["it is no ticket"]),
    ];
    let answers = cases.iter().map(|(answer, _)| answer.clone()).collect();
    let address = scripted(&world, &host, answers).await;
    let root = host.root().fingerprint();
    let link = JoinLink { conference, host: host.node(), root, addresses: vec![address] };
    let alice = Member::new(&world, "alice");
    for (_, parts) in cases {
        let error = alice.device.register(&link, LegRole::Member).await.unwrap_err();
        assert_says(&error, &parts);
    }
    let link = JoinLink { addresses: Vec::new(), ..link };
    let error = alice.device.register(&link, LegRole::Member).await.unwrap_err();
    assert_says(&error, &["names no address", "ask the host for a new one"]);
}
