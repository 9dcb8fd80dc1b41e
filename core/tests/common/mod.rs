//! A CA in a temporary folder, and devices of it.
#![allow(dead_code, clippy::unwrap_used)]

pub mod samples;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sabha_core::{
    Clock, DeviceKey, Identity, NodeId, UnixTime, UserId,
    ca::{Authority, AuthoritySettings, CaRefusal, FolderOutbox, Redemption},
    certificate::{PeerCertificate, TrustRoot},
    message::{Answer, Request},
    signalling::{ClientCredentials, Session, SignallingEndpoint, SignallingSettings},
};
use tempfile::TempDir;

pub const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// When test CAs are made: long enough ago for a certificate to have expired.
pub const FOUNDED: UnixTime = NOW.before(Duration::from_secs(200 * 86_400));
pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub struct TestCa {
    pub dir: TempDir,
    pub authority: Arc<Authority>,
}

impl TestCa {
    pub fn new() -> Self {
        Self::with(AuthoritySettings::default())
    }

    pub fn with(settings: AuthoritySettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::open_or_create(FOUNDED, dir.path(), settings).unwrap());
        Self { dir, authority }
    }

    pub fn otp(&self, now: UnixTime, user: &UserId) -> String {
        self.authority.request_otp(now, user).unwrap();
        self.mailed(user).unwrap()
    }

    pub fn mailed(&self, user: &UserId) -> Option<String> {
        FolderOutbox::new(&self.dir.path().join("outbox")).unwrap().newest_otp(user).unwrap()
    }

    pub fn device(&self, name: &str) -> Identity {
        self.device_at(NOW, name, false)
    }

    pub fn mixer(&self, name: &str) -> Identity {
        self.device_at(NOW, name, true)
    }

    pub fn device_at(&self, now: UnixTime, name: &str, mixer: bool) -> Identity {
        self.authority.issue(now, &user(name), key(), mixer).unwrap()
    }

    pub fn root(&self) -> &TrustRoot {
        self.authority.root()
    }
}

pub fn user(name: &str) -> UserId {
    UserId::new(&format!("{name}@example.org")).unwrap()
}

pub fn key() -> Arc<DeviceKey> {
    Arc::new(DeviceKey::generate().unwrap())
}

pub fn later(secs: u64) -> UnixTime {
    NOW.after(Duration::from_secs(secs))
}

pub fn earlier(secs: u64) -> UnixTime {
    NOW.before(Duration::from_secs(secs))
}

pub fn clock() -> Clock {
    Clock::fixed(NOW)
}

/// A listening node and its address.
pub fn listen(identity: &Identity) -> (SignallingEndpoint, SocketAddr) {
    let settings = SignallingSettings::default();
    let endpoint = SignallingEndpoint::server(LOOPBACK, &clock(), identity, settings).unwrap();
    let address = endpoint.local_addr().unwrap();
    (endpoint, address)
}

pub fn credentials(identity: &Identity) -> ClientCredentials {
    ClientCredentials::new(&clock(), identity).unwrap()
}

/// A member's and a node's end of one session.
pub async fn pair(member: &Identity, node: &Identity) -> (Session, Session, SignallingEndpoint) {
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

/// Answers every request of a session.
pub fn echo(session: Session) {
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

/// A QUIC client of no library: for messages that ours would never send.
pub async fn raw_connection(
    root: &TrustRoot,
    identity: Option<&Identity>,
    address: SocketAddr,
    name: &str,
    alpn: &[u8],
) -> Result<quinn::Connection, quinn::ConnectionError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let builder = rustls::ClientConfig::builder_with_details(provider, Arc::new(clock()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut tls = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain: Vec<CertificateDer<'static>> =
                identity.chain().into_iter().map(CertificateDer::into_owned).collect();
            builder.with_client_auth_cert(chain, private_key(identity)).unwrap()
        }
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::client(LOOPBACK).unwrap();
    endpoint.connect_with(config, address, name).unwrap().await
}

/// Sends bytes as one request and returns the bytes of the answer.
pub async fn raw_request(connection: &quinn::Connection, bytes: &[u8]) -> Vec<u8> {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    // A server that has read enough stops the stream and answers all the same.
    let _ = send.write_all(bytes).await;
    let _ = send.finish();
    receive.read_to_end(1 << 20).await.unwrap()
}

pub fn node_name(node: NodeId) -> String {
    node.dns_name()
}

fn private_key(identity: &Identity) -> PrivateKeyDer<'static> {
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("device.key");
    identity.key().save(path).unwrap();
    PrivateKeyDer::from_pem_file(path).unwrap()
}

pub const NONCE: [u8; 32] = [7; 32];

pub fn csr(key: &DeviceKey) -> Vec<u8> {
    rcgen::CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

pub fn redeem_mixer(
    authority: &Authority,
    now: UnixTime,
    user: &UserId,
    otp: &str,
    key: &DeviceKey,
    mixer: bool,
) -> Result<PeerCertificate, CaRefusal> {
    let csr = csr(key);
    let proof = Redemption::prove(key, &NONCE, user, &csr);
    let redemption = Redemption { user, otp, csr: &csr, proof: &proof, nonce: &NONCE, mixer };
    let chain = authority.redeem(now, &redemption)?;
    Ok(authority.root().verify_device(now, &chain).unwrap())
}

pub fn redeem(
    authority: &Authority,
    now: UnixTime,
    user: &UserId,
    otp: &str,
    key: &DeviceKey,
) -> Result<PeerCertificate, CaRefusal> {
    redeem_mixer(authority, now, user, otp, key, false)
}
