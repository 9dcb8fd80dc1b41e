//! What signalling sessions cost: joins, memory, and being idle. Prints one figure a line.
//!
//!     cargo build --release -p sabha-control --bins --examples
//!     target/release/examples/session_cost 10000 60
//!
//! Enrols that many members, runs the `sabha` program beside itself as their node, joins them all
//! to one conference without media, and waits for so many seconds. CPU and memory are the kernel's
//! figures for either process.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sabha_control::cli::output;
use sabha_core::{
    Clock, Identity, NodeId, UserId,
    ca::{Authority, AuthoritySettings},
    message::{
        Answer, ConferenceId, ConferenceOrigin, ConferenceSettings, Epoch, JoinRequest, PermitList,
        Request, Signed, Ticket,
    },
    signalling::{ClientCredentials, Session, SignallingEndpoint},
};
use sabha_media::{leg::LegRole, srtp::SrtpSuite};
use tokio::{sync::Semaphore, task::JoinSet};

/// A node in a process of its own; killed when dropped.
struct NodeProcess {
    child: Child,
    id: NodeId,
    address: SocketAddr,
}

/// Processor time and memory of a process.
#[derive(Clone, Copy)]
struct Usage {
    cpu: Duration,
    rss_kib: f64,
}

/// A conference of this process.
struct Room {
    clock: Clock,
    host: Identity,
    conference: ConferenceId,
    node: NodeId,
    address: SocketAddr,
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().unwrap());
    let (members, idle_secs) = (args.next().unwrap_or(1_000), args.next().unwrap_or(20));
    sabha_transport::raise_descriptor_limit().unwrap();
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let started = Instant::now();
    let mut identities = enrol(&clock, dir.path(), members);
    print("enrolling, ms a device", started.elapsed().as_secs_f64() * 1e3 / members as f64);
    let (node, host) = (identities.remove(0), identities.remove(0));
    let node = NodeProcess::start(dir.path(), &node);
    let (room, _session) = Room::open(clock, host, &node, &identities).await;

    let before = (node.usage(), Usage::of("self"));
    let started = Instant::now();
    let credentials: Vec<_> = identities.iter().map(|one| credentials(&room, one)).collect();
    print("credentials, µs each", started.elapsed().as_secs_f64() * 1e6 / members as f64);
    print("credentials, KiB each", (Usage::of("self").rss_kib - before.1.rss_kib) / members as f64);
    let before = (node.usage(), Usage::of("self"));
    let started = Instant::now();
    let sessions = join_all(Arc::new(room), identities, credentials).await;
    print("joins a second", members as f64 / started.elapsed().as_secs_f64());
    for (name, before, after) in
        [("node", before.0, node.usage()), ("members", before.1, Usage::of("self"))]
    {
        let cpu = (after.cpu - before.cpu).as_secs_f64() * 1e3;
        print(&format!("{name}: CPU ms a join"), cpu / members as f64);
        print(&format!("{name}: KiB a session"), (after.rss_kib - before.rss_kib) / members as f64);
    }
    let before = (node.usage(), Usage::of("self"));
    tokio::time::sleep(Duration::from_secs(idle_secs)).await;
    for (name, before, after) in
        [("node", before.0, node.usage()), ("members", before.1, Usage::of("self"))]
    {
        let share = (after.cpu - before.cpu).as_secs_f64() / idle_secs as f64;
        print(&format!("{name}: idle, % of a core"), share * 100.0);
        print(&format!("{name}: KiB"), after.rss_kib);
    }
    print("sessions open at the end", open(&sessions).await as f64);
}

/// Makes the node's identity, the host's, and those of the members.
fn enrol(clock: &Clock, dir: &Path, members: u64) -> Vec<Identity> {
    let settings = AuthoritySettings { test_network: true, ..AuthoritySettings::default() };
    let now = clock.now();
    let authority = Authority::open_or_create(now, &dir.join("ca"), settings).unwrap();
    let user = |name: String| UserId::new(&format!("{name}@example.org")).unwrap();
    let mut identities = authority.issue_many(now, &[user("node".into())], true).unwrap();
    let others: Vec<_> = (0..=members).map(|index| user(format!("member{index:06}"))).collect();
    identities.extend(authority.issue_many(now, &others, false).unwrap());
    identities
}

impl NodeProcess {
    fn start(dir: &Path, identity: &Identity) -> Self {
        let home = dir.join("node");
        identity.save(&home).unwrap();
        let program = std::env::current_exe().unwrap();
        let program = program.parent().unwrap().parent().unwrap().join("sabha");
        let mut child = Command::new(program)
            .args(["node", "--listen", "127.0.0.1:0", "--media", "127.0.0.1:0", "--dir"])
            .arg(&home)
            .envs([("SABHA_NODE_MARK_MARGIN_SECS", "0"), ("SABHA_NODE_LEGS_MAX", "65536")])
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(dir.join("node.log")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| Some(line.unwrap().strip_prefix("node ")?.to_owned()));
        let ready = ready.expect("a node tells where it is");
        let (id, address) = ready.split_once('@').unwrap();
        Self { child, id: id.parse().unwrap(), address: address.parse().unwrap() }
    }

    fn usage(&self) -> Usage {
        Usage::of(&self.child.id().to_string())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Usage {
    fn of(process: &str) -> Self {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        // Behind the name, which may hold blanks; utime and stime are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        let pages: f64 = fields[21].parse().unwrap();
        Self { cpu: Duration::from_millis(ticks * 10), rss_kib: pages * 4.0 }
    }
}

impl Room {
    async fn open(
        clock: Clock,
        host: Identity,
        node: &NodeProcess,
        members: &[Identity],
    ) -> (Self, Session) {
        let now = clock.now();
        let list = PermitList {
            origin: ConferenceOrigin::new(now, host.node(), now.date(), 1).unwrap(),
            issued: now,
            expires: now.after(Duration::from_secs(3_600)),
            users: members.iter().map(|member| member.user().clone()).collect(),
            cohosts: [].into(),
            settings: ConferenceSettings { members_max: 20_000, ..ConferenceSettings::default() },
        };
        let endpoint = SignallingEndpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let credentials = ClientCredentials::new(&clock, &host).unwrap();
        let session = endpoint.connect(&credentials, node.address, node.id).await.unwrap();
        let permit_list = Signed::sign(&list, &host).unwrap();
        let asked = session.request(&Request::CreateConference { permit_list }).await.unwrap();
        assert!(matches!(asked, Answer::Created { .. }), "{asked:?}");
        let conference = list.conference();
        (Self { clock, host, conference, node: node.id, address: node.address }, session)
    }

    fn join_request(&self, user: &UserId) -> Request {
        let now = self.clock.now();
        let ticket = Ticket {
            conference: self.conference,
            user: user.clone(),
            role: LegRole::Member,
            node: self.node,
            addresses: vec![self.address],
            epoch: Epoch { counter: 1, rank: 0 },
            issued: now,
            expires: now.after(Duration::from_secs(3_600)),
        };
        Request::Join(JoinRequest {
            ticket: Signed::sign(&ticket, &self.host).unwrap(),
            role: LegRole::Member,
            suites: SrtpSuite::ALL.iter().map(|suite| suite.id()).collect(),
            client_version: "session_cost".into(),
            red: true,
            streams_max: 1,
        })
    }
}

fn credentials(room: &Room, identity: &Identity) -> ClientCredentials {
    ClientCredentials::new(&room.clock, identity).unwrap()
}

/// Joins everybody, so many at a time, over a few sockets; the sessions stay.
async fn join_all(
    room: Arc<Room>,
    identities: Vec<Identity>,
    credentials: Vec<ClientCredentials>,
) -> Vec<Session> {
    let socket = || SignallingEndpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let (sockets, gate) = (Vec::from_iter((0..4).map(|_| socket())), Arc::new(Semaphore::new(64)));
    let mut joining = JoinSet::new();
    for (index, (identity, credentials)) in identities.into_iter().zip(credentials).enumerate() {
        let place = gate.clone().acquire_owned().await.unwrap();
        let (room, socket) = (room.clone(), sockets[index % sockets.len()].clone());
        joining.spawn(async move {
            let session = socket.connect(&credentials, room.address, room.node).await.unwrap();
            let answer = session.request(&room.join_request(identity.user())).await.unwrap();
            assert!(matches!(answer, Answer::Joined(_)), "{answer:?}");
            drop(place);
            // Takes what the node tells, as every member does.
            let events = session.clone();
            tokio::spawn(async move { while events.accept_event().await.is_ok() {} });
            session
        });
    }
    joining.join_all().await
}

async fn open(sessions: &[Session]) -> usize {
    let mut open = 0;
    for session in sessions {
        open += usize::from(session.request(&Request::Ping {}).await.is_ok());
    }
    open
}

fn print(what: &str, figure: f64) {
    output::line(format_args!("{what:28} {figure:10.3}")).unwrap();
}
