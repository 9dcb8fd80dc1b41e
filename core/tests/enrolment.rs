//! Enrolling over QUIC: what a newcomer sees, and what a hostile one gets.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;

use common::{LOOPBACK, NOW, TestCa, clock, key, later, raw_connection, raw_request, user};
use sabha_core::{
    Clock, Fingerprint,
    ca::{
        CA_ALPN, CA_SERVER_NAME, CaCode, CaServer, EnrolError, Redemption,
        message::{CaAnswer, CaRequest},
        redeem, renew, request_otp,
    },
    message::Message,
};

fn serve(ca: &TestCa, clock: Clock) -> SocketAddr {
    let server = CaServer::bind(LOOPBACK, ca.authority.clone(), clock).unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.run());
    address
}

fn code(error: &EnrolError) -> CaCode {
    match error {
        EnrolError::Refused { code, .. } => code.clone(),
        other => panic!("not a refusal: {other}"),
    }
}

async fn raw(ca: &TestCa, address: SocketAddr) -> quinn::Connection {
    raw_connection(ca.root(), None, address, CA_SERVER_NAME, CA_ALPN).await.unwrap()
}

async fn refused(connection: &quinn::Connection, bytes: &[u8]) -> CaCode {
    match CaAnswer::decode(&raw_request(connection, bytes).await).unwrap() {
        CaAnswer::Refused { code, .. } => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn newcomer_enrols_with_the_fingerprint_alone() {
    let (ca, alice) = (TestCa::new(), user("alice"));
    let (address, root) = (serve(&ca, clock()), ca.root().fingerprint());
    request_otp(&clock(), address, root, &alice).await.unwrap();
    let (otp, key) = (ca.mailed(&alice).unwrap(), key());
    let identity = redeem(&clock(), address, root, &alice, &otp, key.clone(), true).await.unwrap();
    assert_eq!((identity.user(), identity.node()), (&alice, key.node()));
    assert_eq!(identity.certificate().mixer.unwrap().node_since, NOW);
    assert_eq!(identity.root().fingerprint(), root);
}

#[tokio::test]
async fn device_renews_its_certificate() {
    let ca = TestCa::new();
    let alice = ca.mixer("alice");
    let now = Clock::fixed(later(86_400));
    let renewed = renew(&now, serve(&ca, now.clone()), &alice).await.unwrap();
    assert!(renewed.certificate().not_after > alice.certificate().not_after);
    assert_eq!(renewed.certificate().mixer, alice.certificate().mixer);
}

#[tokio::test]
async fn ca_with_another_root_is_refused() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let address = serve(&ca, clock());
    for expected in [other.root().fingerprint(), Fingerprint([0; 32])] {
        let error = request_otp(&clock(), address, expected, &user("alice")).await.unwrap_err();
        assert!(matches!(error, EnrolError::OtherRoot { .. }), "{error}");
        assert!(error.to_string().contains(&expected.to_string()));
    }
    assert_eq!(ca.mailed(&user("alice")), None);
}

#[tokio::test]
async fn wrong_otp_is_refused_with_the_tries_left() {
    let (ca, alice) = (TestCa::new(), user("alice"));
    let (address, root) = (serve(&ca, clock()), ca.root().fingerprint());
    request_otp(&clock(), address, root, &alice).await.unwrap();
    let error = redeem(&clock(), address, root, &alice, "wrong", key(), false).await.err().unwrap();
    assert_eq!(code(&error), CaCode::WrongOtp);
    assert!(error.to_string().contains("4 tries left"), "{error}");
}

#[tokio::test]
async fn redemption_without_or_with_a_used_nonce_is_refused() {
    let (ca, alice, key) = (TestCa::new(), user("alice"), key());
    let connection = raw(&ca, serve(&ca, clock())).await;
    let otp = ca.otp(NOW, &alice);
    let csr = rcgen::CertificateParams::default().serialize_request(&*key).unwrap();
    let request = |nonce: &[u8; 32], otp: &str| {
        let proof = Redemption::prove(&key, nonce, &alice, csr.der());
        let (user, otp, csr) = (alice.clone(), otp.to_owned(), csr.der().to_vec().into());
        let proof = proof.to_vec().into();
        CaRequest::Redeem { user, otp, csr, proof, mixer: false }.encode().unwrap()
    };
    assert_eq!(refused(&connection, &request(&[0; 32], &otp)).await, CaCode::NonceMissing);
    let answer = raw_request(&connection, &CaRequest::Nonce {}.encode().unwrap()).await;
    let CaAnswer::Nonce { nonce } = CaAnswer::decode(&answer).unwrap() else { panic!() };
    assert_eq!(refused(&connection, &request(&nonce, "wrong")).await, CaCode::WrongOtp);
    assert_eq!(refused(&connection, &request(&nonce, &otp)).await, CaCode::NonceMissing);
}

#[tokio::test]
async fn proof_over_a_nonce_of_another_connection_is_refused() {
    let (ca, alice, key) = (TestCa::new(), user("alice"), key());
    let address = serve(&ca, clock());
    let otp = ca.otp(NOW, &alice);
    let (first, second) = (raw(&ca, address).await, raw(&ca, address).await);
    let ask = CaRequest::Nonce {}.encode().unwrap();
    let CaAnswer::Nonce { nonce } = CaAnswer::decode(&raw_request(&first, &ask).await).unwrap()
    else {
        panic!()
    };
    raw_request(&second, &ask).await;
    let csr = rcgen::CertificateParams::default().serialize_request(&*key).unwrap();
    let proof = Redemption::prove(&key, &nonce, &alice, csr.der()).to_vec().into();
    let csr = csr.der().to_vec().into();
    let request = CaRequest::Redeem { user: alice, otp, csr, proof, mixer: false };
    assert_eq!(refused(&second, &request.encode().unwrap()).await, CaCode::BadProof);
}

#[tokio::test]
async fn unreadable_and_oversize_requests_are_refused() {
    let ca = TestCa::new();
    let connection = raw(&ca, serve(&ca, clock())).await;
    let mut bad_email = CaRequest::RequestOtp { user: user("alice") }.encode().unwrap();
    let at = bad_email.iter().position(|byte| *byte == b'@').unwrap();
    bad_email[at] = b'!';
    let mut oversize = CaRequest::Nonce {}.encode().unwrap();
    oversize.resize(100_000, 0);
    for bytes in [&bad_email[..], &oversize, b"\xa1\x64what\xa0", b"", b"\xff"] {
        assert_eq!(refused(&connection, bytes).await, CaCode::BadRequest);
    }
}

#[tokio::test]
async fn address_that_calls_too_often_is_refused() {
    let settings =
        sabha_core::ca::AuthoritySettings { connections_per_minute_max: 1, ..Default::default() };
    let ca = TestCa::with(settings);
    let (address, root) = (serve(&ca, clock()), ca.root().fingerprint());
    request_otp(&clock(), address, root, &user("alice")).await.unwrap();
    let error = request_otp(&clock(), address, root, &user("alice")).await.unwrap_err();
    assert!(matches!(error, EnrolError::Link(_)), "{error}");
}
