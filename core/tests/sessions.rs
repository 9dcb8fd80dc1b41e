//! Sessions over loopback: mutual authentication, requests, events, migration, media keys.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::UdpSocket;

use common::{
    LOOPBACK, NOW, TestCa, clock, credentials, echo, later, listen, node_name, pair,
    raw_connection, raw_request, user,
};
use sabha_core::{
    ca::AuthoritySettings,
    message::{Answer, ConferenceId, Event, Message, RefusalCode, Request, RosterChange},
    signalling::{ALPN, LinkError, SignallingEndpoint, SignallingSettings},
};
use sabha_media::leg::Ssrc;

fn muted(index: u8) -> Event {
    Event::Muted { conference: ConferenceId([index; 32]), user: user("alice"), muted: true }
}

#[tokio::test]
async fn both_sides_know_each_other() {
    let ca = TestCa::new();
    let (member, node) = (ca.device("alice"), ca.mixer("node"));
    let (session, accepted, _client) = pair(&member, &node).await;
    assert_eq!(session.peer(), node.certificate());
    assert_eq!(accepted.peer(), member.certificate());
    assert_eq!(session.local_fingerprint(), member.certificate().fingerprint);
    assert_eq!(accepted.local_fingerprint(), node.certificate().fingerprint);
}

#[tokio::test]
async fn requests_are_answered_both_ways() {
    let ca = TestCa::new();
    let (session, accepted, _client) = pair(&ca.device("alice"), &ca.mixer("node")).await;
    echo(accepted.clone());
    echo(session.clone());
    assert_eq!(session.request(&Request::Ping {}).await.unwrap(), Answer::Pong {});
    let end = Request::End { conference: ConferenceId([1; 32]) };
    assert_eq!(accepted.request(&end).await.unwrap(), Answer::Done {});
}

#[tokio::test]
async fn events_arrive_in_order() {
    let ca = TestCa::new();
    let (session, accepted, _client) = pair(&ca.device("alice"), &ca.mixer("node")).await;
    let sender = tokio::spawn(async move {
        for index in 0..100 {
            accepted.notify(&muted(index)).await.unwrap();
        }
        accepted
    });
    for index in 0..100 {
        assert_eq!(session.accept_event().await.unwrap(), muted(index));
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn cancelled_waits_lose_nothing() {
    let ca = TestCa::new();
    let (session, accepted, _client) = pair(&ca.device("alice"), &ca.mixer("node")).await;
    let changes = vec![RosterChange { user: user("bob"), ssrc: Ssrc(7), joined: true }; 128];
    let event = Event::Roster { conference: ConferenceId([1; 32]), complete: false, changes };
    let sent = event.clone();
    let sender = tokio::spawn(async move {
        for _ in 0..20 {
            accepted.notify(&sent).await.unwrap();
        }
        accepted
    });
    for _ in 0..20 {
        let received = loop {
            tokio::select! {
                biased;
                received = session.accept_event() => break received.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        };
        assert_eq!(received, event);
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn session_survives_a_new_socket_of_the_client() {
    let ca = TestCa::new();
    let (session, accepted, client) = pair(&ca.device("alice"), &ca.mixer("node")).await;
    echo(accepted.clone());
    session.request(&Request::Ping {}).await.unwrap();
    let before = accepted.remote_address();
    client.rebind(UdpSocket::bind(LOOPBACK).unwrap()).unwrap();
    assert_eq!(session.request(&Request::Ping {}).await.unwrap(), Answer::Pong {});
    assert_eq!(accepted.remote_address(), client.local_addr().unwrap());
    assert_ne!(accepted.remote_address(), before);
}

#[tokio::test]
async fn crowd_of_callers_at_once_all_get_in() {
    let ca = TestCa::with(AuthoritySettings { test_network: true, ..AuthoritySettings::default() });
    let node = ca.mixer("node");
    let (server, address) = listen(&node);
    tokio::spawn(async move {
        while let Some(incoming) = server.accept().await {
            tokio::spawn(async move { echo(incoming.handshake().await.unwrap()) });
        }
    });
    let users: Vec<_> = (0..500).map(|index| user(&format!("m{index}"))).collect();
    let client = SignallingEndpoint::client(LOOPBACK).unwrap();
    let mut calling = tokio::task::JoinSet::new();
    for identity in ca.authority.issue_many(NOW, &users, false).unwrap() {
        let (client, node) = (client.clone(), node.node());
        calling.spawn(async move {
            let session = client.connect(&credentials(&identity), address, node).await.unwrap();
            assert_eq!(session.request(&Request::Ping {}).await.unwrap(), Answer::Pong {});
            session
        });
    }
    assert_eq!(calling.join_all().await.len(), users.len());
}

#[tokio::test]
async fn many_devices_share_one_client_socket() {
    let ca = TestCa::new();
    let node = ca.mixer("node");
    let (server, address) = listen(&node);
    let client = SignallingEndpoint::client(LOOPBACK).unwrap();
    tokio::spawn(async move {
        while let Some(incoming) = server.accept().await {
            tokio::spawn(async move { echo(incoming.handshake().await.unwrap()) });
        }
    });
    let mut sessions = Vec::new();
    for index in 0..20 {
        let member = ca.device(&format!("member{index}"));
        sessions.push(client.connect(&credentials(&member), address, node.node()).await.unwrap());
    }
    for session in &sessions {
        assert_eq!(session.request(&Request::Ping {}).await.unwrap(), Answer::Pong {});
    }
}

#[tokio::test]
async fn strange_requests_are_refused_and_the_session_goes_on() {
    let ca = TestCa::new();
    let (node, alice) = (ca.mixer("node"), ca.device("alice"));
    let (server, address) = listen(&node);
    tokio::spawn(async move { echo(server.accept().await.unwrap().handshake().await.unwrap()) });
    let name = node_name(node.node());
    let raw = raw_connection(ca.root(), Some(&alice), address, &name, ALPN).await.unwrap();
    let mut oversize = Request::Ping {}.encode().unwrap();
    oversize.resize(200_000, 0);
    let cases: [(&[u8], RefusalCode); 4] = [
        (&oversize, RefusalCode::BadRequest),
        (b"\xa1\x66dance!\xa0", RefusalCode::UnknownRequest),
        (b"\xa1\x64ping\x00", RefusalCode::BadRequest),
        (b"", RefusalCode::BadRequest),
    ];
    for (bytes, expected) in cases {
        let answer = Answer::decode(&raw_request(&raw, bytes).await).unwrap();
        assert!(matches!(&answer, Answer::Refused(r) if r.code == expected), "{answer:?}");
    }
    let answer = raw_request(&raw, b"\xa1\x64ping\xa1\x65later\x05").await;
    assert_eq!(Answer::decode(&answer).unwrap(), Answer::Pong {});
}

#[tokio::test]
async fn events_of_a_later_version_are_skipped() {
    let ca = TestCa::new();
    let (node, alice) = (ca.mixer("node"), ca.device("alice"));
    let (server, address) = listen(&node);
    let accept = tokio::spawn(async move { server.accept().await.unwrap().handshake().await });
    let name = node_name(node.node());
    let raw = raw_connection(ca.root(), Some(&alice), address, &name, ALPN).await.unwrap();
    let session = accept.await.unwrap().unwrap();
    for bytes in [b"\xa1\x65moved\xa1\x62to\x01".to_vec(), muted(9).encode().unwrap()] {
        let mut send = raw.open_uni().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        send.finish().unwrap();
    }
    assert_eq!(session.accept_event().await.unwrap(), muted(9));
}

#[tokio::test]
async fn reason_of_closing_reaches_the_other_side_without_control_characters() {
    let ca = TestCa::new();
    let (session, accepted, _client) = pair(&ca.device("alice"), &ca.mixer("node")).await;
    accepted.close("node shuts down\x1b[31m");
    let error = session.closed().await;
    assert!(error.to_string().ends_with("node shuts down[31m"), "{error}");
    assert!(matches!(accepted.closed().await, LinkError::ClosedHere { .. }));
}

#[tokio::test]
async fn callers_over_the_limit_are_turned_away() {
    let ca = TestCa::new();
    let node = ca.mixer("node");
    let settings = SignallingSettings { sessions_max: 1, ..Default::default() };
    let server = SignallingEndpoint::server(LOOPBACK, &clock(), &node, settings).unwrap();
    let address = server.local_addr().unwrap();
    let accept = tokio::spawn(async move {
        let first = server.accept().await.unwrap().handshake().await.unwrap();
        echo(first);
        server.accept().await.map(|_| ())
    });
    let client = SignallingEndpoint::client(LOOPBACK).unwrap();
    let alice = credentials(&ca.device("alice"));
    let first = client.connect(&alice, address, node.node()).await.unwrap();
    assert_eq!(first.request(&Request::Ping {}).await.unwrap(), Answer::Pong {});
    client.connect(&alice, address, node.node()).await.err().unwrap();
    accept.abort();
}

#[tokio::test]
async fn endpoint_that_only_connects_accepts_nobody() {
    assert!(SignallingEndpoint::client(LOOPBACK).unwrap().accept().await.is_none());
}

#[tokio::test]
async fn renewed_certificate_is_shown_to_later_callers_and_kept_out_of_older_sessions() {
    let ca = TestCa::new();
    let (alice, node) = (ca.device("alice"), ca.mixer("node"));
    let (server, address) = listen(&node);
    let client = SignallingEndpoint::client(LOOPBACK).unwrap();
    let (mut here, mut there) = (Vec::new(), Vec::new());
    let renewed = ca.authority.issue(later(1), node.user(), node.key().clone(), true).unwrap();
    for identity in [&node, &renewed] {
        server.renew(identity).unwrap();
        let credentials = credentials(&alice);
        let connect = client.connect(&credentials, address, node.node());
        let accept = async { server.accept().await.unwrap().handshake().await };
        let (session, accepted) = tokio::join!(connect, accept);
        here.push(session.unwrap());
        there.push(accepted.unwrap());
    }
    for (index, identity) in [&node, &renewed].into_iter().enumerate() {
        let fingerprint = identity.certificate().fingerprint;
        assert_eq!(here[index].peer().fingerprint, fingerprint);
        assert_eq!(there[index].local_fingerprint(), fingerprint);
    }
}
