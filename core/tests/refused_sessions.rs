//! Sessions that must not come about, and what both sides say about it.

#![allow(clippy::unwrap_used)]

mod common;

use common::{LOOPBACK, TestCa, clock, credentials, later, listen, node_name, raw_connection};
use sabha_core::{
    Clock, Identity,
    message::Request,
    signalling::{
        ALPN, CertificateProblem, ClientCredentials, LinkError, SignallingEndpoint,
        SignallingSettings,
    },
};

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
