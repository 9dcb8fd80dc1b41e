//! A whole network on loopback for the node's tests: CA, node, hosts and members, all of them real.
//!
//! Time on certificates and tickets is set by hand; only media and timeouts run on real clocks.
//! Tests wait for what they want to see, never for time to pass.
// Each test file takes what it needs of this.
#![allow(dead_code, unused_imports, clippy::unwrap_used)]

pub mod host;
pub mod http;
pub mod member;
pub mod node;
pub mod sound;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sabha_client::media::MemberMedia;
use sabha_core::ca::{Authority, AuthoritySettings};
use sabha_core::message::{Answer, ConferenceId, Epoch, JoinRequest, Refusal, Request};
use sabha_core::message::{Signed, Ticket};
use sabha_core::signalling::Session;
use sabha_core::{Clock, DeviceKey, Identity, UnixTime, UserId};
use sabha_media::leg::LegRole;
use sabha_media::srtp::SrtpSuite;
use sabha_transport::{Clock as MediaClock, Driver, DriverConfig, DriverHandle, PollDriver};
use tempfile::TempDir;

pub use host::RunningHost;
pub use member::Member;
pub use node::RunningNode;

/// A network: its CA, its time, and the thread on which all members' media run.
pub struct World {
    dir: TempDir,
    authority: Authority,
    now: Arc<AtomicU64>,
    pub driver: DriverHandle<MemberMedia>,
}

impl World {
    pub fn new() -> Self {
        Self::with(AuthoritySettings::default())
    }

    pub fn with(settings: AuthoritySettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(FOUNDED, dir.path(), settings).unwrap();
        let driver = PollDriver::start(DriverConfig::default(), MediaClock::process()).unwrap();
        Self { dir, authority, now: Arc::new(AtomicU64::new(FOUNDED.as_secs())), driver }
    }

    /// The network's clock, which stands still until `pass`.
    pub fn clock(&self) -> Clock {
        let now = self.now.clone();
        Clock::new(move || UnixTime::from_secs(now.load(Ordering::Relaxed)))
    }

    pub fn now(&self) -> UnixTime {
        self.clock().now()
    }

    pub fn pass(&self, time: Duration) {
        self.now.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    /// Enrols a device of a user.
    pub fn device(&self, name: &str) -> Identity {
        self.issue(name, false)
    }

    /// Enrols a device that may carry conferences.
    pub fn mixer(&self, name: &str) -> Identity {
        self.issue(name, true)
    }

    fn issue(&self, name: &str, mixer: bool) -> Identity {
        let key = Arc::new(DeviceKey::generate().unwrap());
        self.authority.issue(self.now(), &user(name), key, mixer).unwrap()
    }

    /// A ticket as hosts write them, for an hour.
    pub fn ticket(&self, conference: ConferenceId, name: &str, node: &RunningNode) -> Ticket {
        Ticket {
            conference,
            user: user(name),
            role: LegRole::Member,
            node: node.id,
            addresses: vec![node.address],
            epoch: Epoch { counter: 1, rank: 0 },
            issued: self.now(),
            expires: self.now().after(HOUR),
        }
    }
}

pub fn user(name: &str) -> UserId {
    UserId::new(&format!("{name}@example.org")).unwrap()
}

/// A join with a ticket, as a client asks it.
pub fn join_request(ticket: &Ticket, signer: &Identity) -> JoinRequest {
    JoinRequest {
        ticket: Signed::sign(ticket, signer).unwrap(),
        role: ticket.role,
        suites: SrtpSuite::ALL.iter().map(|suite| suite.id()).collect(),
        client_version: "test".into(),
        red: true,
        streams_max: 4,
    }
}

/// Asks what must be refused.
pub async fn refusal(session: &Session, request: Request) -> Refusal {
    match session.request(&request).await.unwrap() {
        Answer::Refused(refusal) => refusal,
        other => panic!("{request:?} was answered {other:?}"),
    }
}

/// Asks what must be done.
pub async fn done(session: &Session, request: Request) {
    assert_eq!(session.request(&request).await.unwrap(), Answer::Done {}, "{request:?}");
}

/// Checks that a message for people names all of these: what was wrong, and what to do.
#[track_caller]
pub fn assert_says(message: &impl ToString, parts: &[&str]) {
    let message = message.to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

/// Looks again and again until there is something; gives up only when the machine must be stuck.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for what must come by itself.
pub async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> T {
    let come = tokio::time::timeout(PATIENCE, coming).await;
    come.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// When the network is founded; any date serves.
pub const FOUNDED: UnixTime = UnixTime::from_secs(1_800_000_000);

pub const HOUR: Duration = Duration::from_secs(3600);

/// No bound of anything that is tested: a crowded machine may be slow.
const PATIENCE: Duration = Duration::from_secs(30);
