//! Sessions over loopback: mutual authentication, requests, events, migration, media keys.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::UdpSocket;

use common::{
    LOOPBACK, TestCa, clock, credentials, later, listen, node_name, raw_connection, raw_request,
    user,
};
use sabha_core::{
    Clock, Direction, Identity, MediaKeyContext,
    message::{Answer, ConferenceId, Epoch, Event, Message, RefusalCode, Request, RosterChange},
    signalling::{
        ALPN, CertificateProblem, ClientCredentials, LinkError, Session, SignallingEndpoint,
        SignallingSettings,
    },
};
use sabha_media::{leg::Ssrc, srtp::SrtpSuite};

/// A member's and a node's end of one session.
async fn pair(member: &Identity, node: &Identity) -> (Session, Session, SignallingEndpoint) {
    let (server, address) = listen(node);
    let client = SignallingEndpoint::client(LOOPBACK).unwrap();
    let accept = tokio::spawn(async move {
        let session = server.accept().await.unwrap().handshake().await.unwrap();
        (session, server)
    });
    let session = client.connect(&credentials(member), address, node.node()).await.unwrap();
    let (accepted, _) = accept.await.unwrap();
    (session, accepted, client)
}

fn echo(session: Session) {
    tokio::spawn(async move {
        while let Ok((request, responder)) = session.accept_request().await {
            let answer = match request {
                Request::Ping {} => Answer::Pong {},
                _ => Answer::Done {},
            };
            let _ = responder.answer(&answer).await;
        }
    });
}

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
    let event = Event::Roster { conference: ConferenceId([1; 32]), changes };
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
async fn media_keys_agree_and_every_field_matters() {
    let ca = TestCa::new();
    let (member, node) = (ca.device("alice"), ca.mixer("node"));
    let (session, accepted, _client) = pair(&member, &node).await;
    let base = MediaKeyContext {
        conference: ConferenceId([1; 32]),
        epoch: Epoch { counter: 1, rank: 0 },
        leg_generation: 1,
        direction: Direction::ToNode,
        member_fingerprint: session.local_fingerprint(),
        node_fingerprint: session.peer().fingerprint,
        suite: SrtpSuite::AeadAes128Gcm,
    };
    let contexts = [
        base,
        MediaKeyContext { conference: ConferenceId([2; 32]), ..base },
        MediaKeyContext { epoch: Epoch { counter: 2, rank: 0 }, ..base },
        MediaKeyContext { epoch: Epoch { counter: 1, rank: 1 }, ..base },
        MediaKeyContext { leg_generation: 2, ..base },
        MediaKeyContext { direction: Direction::ToMember, ..base },
        MediaKeyContext { member_fingerprint: base.node_fingerprint, ..base },
        MediaKeyContext { node_fingerprint: base.member_fingerprint, ..base },
    ];
    let label = b"EXPORTER-sabha-media-1";
    let mut keys = Vec::new();
    for context in contexts {
        let here = session.export(label, &context.hash(), 28).unwrap();
        assert_eq!(here, accepted.export(label, &context.hash(), 28).unwrap());
        keys.push(here.to_vec());
        sabha_core::media_key(&accepted, &context).unwrap();
    }
    let (other, _accepted, _client) = pair(&member, &node).await;
    keys.push(other.export(label, &base.hash(), 28).unwrap().to_vec());
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count, "each context and each session has its own key");
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

/// Connects and returns what each side says about the failure.
async fn failure(client: &Identity, client_clock: &Clock, node: &Identity) -> [LinkError; 2] {
    let settings = SignallingSettings::default();
    let server = SignallingEndpoint::server(LOOPBACK, &clock(), node, settings).unwrap();
    let address = server.local_addr().unwrap();
    let accept =
        tokio::spawn(async move { server.accept().await.unwrap().handshake().await.err() });
    let endpoint = SignallingEndpoint::client(LOOPBACK).unwrap();
    let credentials = ClientCredentials::new(client_clock, client).unwrap();
    let here = match endpoint.connect(&credentials, address, node.node()).await {
        Err(error) => error,
        Ok(session) => session.request(&Request::Ping {}).await.unwrap_err(),
    };
    [here, accept.await.unwrap().unwrap()]
}

fn refused_us(error: &LinkError, expected: CertificateProblem) -> bool {
    matches!(error, LinkError::RefusedUs { why, .. } if *why == expected)
}

fn peer_refused(error: &LinkError, expected: CertificateProblem) -> bool {
    matches!(error, LinkError::PeerRefused { why, .. } if *why == expected)
}

#[tokio::test]
async fn server_of_another_ca_is_refused_and_told() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let [here, there] = failure(&ca.device("alice"), &clock(), &other.mixer("node")).await;
    assert!(peer_refused(&here, CertificateProblem::OtherAuthority), "{here}");
    assert!(refused_us(&there, CertificateProblem::OtherAuthority), "{there}");
    assert!(here.to_string().contains("another CA") && there.to_string().contains("another CA"));
}

#[tokio::test]
async fn client_of_another_ca_is_refused_and_told() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let (node, foreign) = (ca.mixer("node"), other.device("alice"));
    let (server, address) = listen(&node);
    let accept = tokio::spawn(async move { server.accept().await.unwrap().handshake().await });
    let connected =
        raw_connection(ca.root(), Some(&foreign), address, &node_name(node.node()), ALPN).await;
    let here = match connected {
        Err(error) => error,
        Ok(connection) => connection.closed().await,
    };
    assert!(here.to_string().contains("48"), "the alert unknown_ca: {here}");
    let there = accept.await.unwrap().err().unwrap();
    assert!(peer_refused(&there, CertificateProblem::OtherAuthority), "{there}");
}

#[tokio::test]
async fn expired_client_is_refused_and_told() {
    let ca = TestCa::new();
    let old = ca.device_at(common::earlier(183 * 86_400), "alice", false);
    let [here, there] = failure(&old, &clock(), &ca.mixer("node")).await;
    assert!(refused_us(&here, CertificateProblem::Expired), "{here}");
    assert!(peer_refused(&there, CertificateProblem::Expired), "{there}");
    assert!(here.to_string().contains("renew") && there.to_string().contains("expired"));
}

#[tokio::test]
async fn expired_server_is_refused_and_told() {
    let ca = TestCa::new();
    let old = ca.device_at(common::earlier(183 * 86_400), "node", true);
    let [here, there] = failure(&ca.device("alice"), &clock(), &old).await;
    assert!(peer_refused(&here, CertificateProblem::Expired), "{here}");
    assert!(refused_us(&there, CertificateProblem::Expired), "{there}");
}

#[tokio::test]
async fn clock_that_is_years_ahead_is_told_as_expiry() {
    let ca = TestCa::new();
    let ahead = Clock::fixed(later(3 * 365 * 86_400));
    let [here, _] = failure(&ca.device("alice"), &ahead, &ca.mixer("node")).await;
    assert!(here.to_string().contains("clock"), "{here}");
}

#[tokio::test]
async fn other_device_than_the_called_one_is_refused() {
    let ca = TestCa::new();
    let (server, address) = listen(&ca.mixer("mallory"));
    let accept = tokio::spawn(async move { server.accept().await.unwrap().handshake().await });
    let client = SignallingEndpoint::client(LOOPBACK).unwrap();
    let credentials = credentials(&ca.device("alice"));
    let called = ca.mixer("node").node();
    let error = client.connect(&credentials, address, called).await.err().unwrap();
    assert!(peer_refused(&error, CertificateProblem::OtherName), "{error}");
    assert!(accept.await.unwrap().is_err());
}

#[tokio::test]
async fn client_without_certificate_is_refused() {
    let ca = TestCa::new();
    let node = ca.mixer("node");
    let (server, address) = listen(&node);
    let accept = tokio::spawn(async move { server.accept().await.unwrap().handshake().await });
    let raw = raw_connection(ca.root(), None, address, &node_name(node.node()), ALPN).await;
    if let Ok(connection) = raw {
        connection.closed().await;
    }
    let error = accept.await.unwrap().err().unwrap();
    assert!(peer_refused(&error, CertificateProblem::Missing), "{error}");
}

#[tokio::test]
async fn other_protocol_version_is_told_on_both_sides() {
    let ca = TestCa::new();
    let (node, alice) = (ca.mixer("node"), ca.device("alice"));
    let (server, address) = listen(&node);
    let accept = tokio::spawn(async move { server.accept().await.unwrap().handshake().await });
    let name = node_name(node.node());
    let error = raw_connection(ca.root(), Some(&alice), address, &name, b"sabha/2").await;
    assert!(error.err().unwrap().to_string().contains("120"), "alert no_application_protocol");
    let error = accept.await.unwrap().err().unwrap();
    assert!(matches!(error, LinkError::Version { .. }), "{error}");
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
