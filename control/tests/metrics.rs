//! What a node tells about itself over HTTP, and what callers cannot do to it.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use sabha_control::http::HttpLimits;
use sabha_control::metrics::{MetricsListener, MetricsServer};
use sabha_control::node::REFUSAL_REASONS;
use sabha_core::message::Request;
use sabha_media::drop_reason::DropReason;
use sabha_media::leg::LegRole;
use support::http::{answer, ask, get, say, series};
use support::sound::tone;
use support::{Member, RunningHost, RunningNode, World, refusal, soon, until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn serve(node: &RunningNode) -> MetricsServer {
    serve_within(node, HttpLimits::default()).await
}

async fn serve_within(node: &RunningNode, limits: HttpLimits) -> MetricsServer {
    let listener = MetricsListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    listener.serve_within(node.figures(), limits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_packets_and_sessions_show_in_the_figures() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let metrics = serve(&node).await;
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let mut members = Vec::new();
    for (name, hz) in [("alice", 440.0), ("bob", 1_000.0)] {
        let member = Member::new(&world, name);
        let session = member.session(&host).await;
        let leg = member.join(&world, &session, tone(hz, 0.3), None).await;
        members.push((session, leg));
    }
    until("two talkers in the figures", async || {
        let text = get(metrics.local_addr(), "/metrics").await.body;
        let of_shard = |name: &str| series(&text, &format!("{name}{{shard=\"0\"}}"));
        let encodes = of_shard("sabha_mixer_encodes_total")?;
        (of_shard("sabha_talkers")? == 2.0 && encodes > 0.0).then_some(())
    })
    .await;
    let text = get(metrics.local_addr(), "/metrics").await.body;
    let value = |name: &str| series(&text, name).unwrap_or_else(|| panic!("{name}:\n{text}"));
    assert_eq!(value("sabha_legs{shard=\"0\"}"), 2.0);
    assert_eq!(value("sabha_conferences{shard=\"0\"}"), 1.0);
    assert_eq!(value("sabha_legs_joined_total{shard=\"0\"}"), 2.0);
    assert_eq!(value("sabha_shard_up{shard=\"0\"}"), 1.0);
    // The host's and each member's.
    assert_eq!(value("sabha_sessions"), 3.0);
    assert_eq!(value("sabha_requests_granted_total{request=\"create\"}"), 1.0);
    assert_eq!(value("sabha_requests_granted_total{request=\"join\"}"), 2.0);
    for direction in ["in", "out"] {
        for name in ["packets", "packet_bytes", "datagrams", "datagram_bytes"] {
            let name = format!("sabha_{name}_total{{shard=\"0\",direction=\"{direction}\"}}");
            assert!(value(&name) > 0.0, "{name}");
        }
    }
    assert!(value("sabha_tick_lateness_seconds_count{shard=\"0\"}") > 0.0);
    assert!(value("sabha_driver_busy_seconds_total{shard=\"0\"}") > 0.0);
    assert!(value("process_cpu_seconds_total") > 0.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reason_to_drop_or_refuse_is_a_series_from_the_start() {
    let world = World::new();
    let node = RunningNode::with(&world, |settings| settings.shards = 2);
    let metrics = serve(&node).await;
    let text = get(metrics.local_addr(), "/metrics").await.body;
    for shard in [0, 1] {
        for reason in DropReason::ALL {
            let labels = format!("{{shard=\"{shard}\",reason=\"{}\"}}", reason.as_str());
            assert_eq!(series(&text, &format!("sabha_dropped_packets_total{labels}")), Some(0.0));
        }
    }
    for reason in REFUSAL_REASONS {
        let labels = format!("{{request=\"join\",reason=\"{reason}\"}}");
        assert_eq!(series(&text, &format!("sabha_requests_refused_total{labels}")), Some(0.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_request_is_counted_under_its_reason() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let metrics = serve(&node).await;
    let host = RunningHost::open(&world, &node, &["alice"]).await;
    let session = Member::new(&world, "alice").raw_session(&node).await;
    let conference = host.conference();
    refusal(&session, Request::Lock { conference, locked: true }).await;
    let text = get(metrics.local_addr(), "/metrics").await.body;
    let counted = "sabha_requests_refused_total{request=\"other\",reason=\"not_host\"}";
    assert_eq!(series(&text, counted), Some(1.0), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_beyond_the_sessions_limit_is_counted() {
    let world = World::new();
    let node = RunningNode::with(&world, |settings| settings.sessions_max = 1);
    let metrics = serve(&node).await;
    let _session = Member::new(&world, "alice").raw_session(&node).await;
    let bob = Member::new(&world, "bob");
    assert!(bob.try_raw_session(&node).await.is_err());
    let text = get(metrics.local_addr(), "/metrics").await.body;
    let refused = |reason: &str| {
        series(&text, &format!("sabha_callers_refused_total{{reason=\"{reason}\"}}")).unwrap()
    };
    // A caller who is not answered soon calls again, and is refused again.
    let full = refused("sessions_full");
    assert!((1.0..=3.0).contains(&full), "{full}");
    assert_eq!(refused("handshake_failed"), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_are_200_while_the_node_serves_and_503_with_the_reason_afterwards() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let metrics = serve(&node).await;
    let address = metrics.local_addr();
    let healthy = get(address, "/healthz").await;
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "ok\n"));
    let ready = get(address, "/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    node.stop().await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let after = until("the node's end", async || {
            Some(get(address, path).await).filter(|answered| answered.status != 200)
        })
        .await;
        assert_eq!((after.status, after.body.as_str()), (503, "the node has ended\n"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_whose_legs_are_all_taken_is_not_ready_until_one_leaves() {
    let world = World::new();
    let node = RunningNode::with(&world, |settings| settings.legs_max = 1);
    let metrics = serve(&node).await;
    let host = RunningHost::open(&world, &node, &["alice"]).await;
    let session = Member::new(&world, "alice").session(&host).await;
    let readiness = async || get(metrics.local_addr(), "/readyz").await;
    assert_eq!(readiness().await.status, 200);
    let leg = session.join(LegRole::Member).await.unwrap().answer.leg;
    let full = readiness().await;
    let told = (full.status, full.body.as_str());
    assert_eq!(told, (503, "all 1 legs of every shard are taken\n"));
    session.leave(leg).await.unwrap();
    assert_eq!(readiness().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_over_its_load_limit_is_not_ready_until_the_talkers_leave() {
    let world = World::new();
    let node = RunningNode::with(&world, |settings| {
        settings.load_max_percent = 1;
        settings.encoder.complexity = 10;
        settings.complexity_min = 10;
    });
    let metrics = serve(&node).await;
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let mut members = Vec::new();
    for (name, hz) in [("alice", 440.0), ("bob", 1_000.0)] {
        let member = Member::new(&world, name);
        let session = member.session(&host).await;
        members.push((member.join(&world, &session, tone(hz, 0.3), None).await, session));
    }
    let told = until("a node at its limit", async || {
        let answered = get(metrics.local_addr(), "/readyz").await;
        (answered.status == 503).then_some(answered.body)
    })
    .await;
    support::assert_says(&told, &["at its limit", "busy", "%"]);
    for (leg, session) in members {
        leg.leave(&session).await;
    }
    until("room again", async || {
        (get(metrics.local_addr(), "/readyz").await.status == 200).then_some(())
    })
    .await;
}

/// A session with the node keeps it from ending before its goodbye has arrived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_shuts_down_is_not_ready() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let metrics = serve(&node).await;
    let _session = Member::new(&world, "alice").raw_session(&node).await;
    // Without a pause: the goodbye takes no longer than its way to the caller.
    let asking = soon("a word about shutting down", async {
        loop {
            let answered = get(metrics.local_addr(), "/readyz").await;
            if answered.status == 503 {
                return answered.body;
            }
        }
    });
    let (_, told) = tokio::join!(node.stop(), asking);
    assert_eq!(told, "the node is shutting down\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_three_paths_and_two_methods_are_served() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let metrics = serve(&node).await;
    let address = metrics.local_addr();
    for path in ["/", "/metrics/", "/metrics/../healthz", "/debug/pprof", "/%6detrics"] {
        assert_eq!(get(address, path).await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answered = ask(address, method, "/metrics").await;
        assert_eq!(answered.status, 405, "{method}");
        assert!(answered.head.contains("\r\nallow: get, head"), "{}", answered.head);
    }
    let whole = get(address, "/metrics").await;
    assert!(whole.head.contains("content-type: text/plain; version=0.0.4"), "{}", whole.head);
    assert!(whole.body.contains("# TYPE sabha_build_info gauge"), "{}", whole.body);
    let head = ask(address, "HEAD", "/metrics").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_with_too_long_a_head_is_refused() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let metrics = serve(&node).await;
    let address = metrics.local_addr();
    let get = "GET /healthz HTTP/1.1\r\nhost: node\r\n";
    let headers = |count: usize| format!("{get}{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(say(address, &headers(60)).await.unwrap().status, 200);
    assert_eq!(say(address, &headers(100)).await.unwrap().status, 431);
    let long = |octets: usize| format!("{get}a: {}\r\n\r\n", "b".repeat(octets));
    assert_eq!(say(address, &long(4_000)).await.unwrap().status, 200);
    // What was not read when the server closes may cost the caller the answer.
    let refused = say(address, &long(100_000)).await;
    assert!(refused.is_none_or(|answered| answered.status == 431));
    let nonsense = say(address, "\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n").await;
    assert!(nonsense.is_none_or(|answered| answered.status == 400));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_beyond_the_limit_is_closed_and_counted_and_others_are_served() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let limits = HttpLimits { connections_max: 3, ..HttpLimits::default() };
    let metrics = serve_within(&node, limits).await;
    let address = metrics.local_addr();
    let mut idle = Vec::new();
    for _ in 0..limits.connections_max {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(say(address, "GET /healthz HTTP/1.1\r\nhost: node\r\n\r\n").await, None);
    let mut one = idle.pop().unwrap();
    one.write_all(b"GET /metrics HTTP/1.1\r\nhost: node\r\n\r\n").await.unwrap();
    let served = soon("an answer", answer(&mut one)).await.unwrap();
    assert_eq!(series(&served.body, "sabha_metrics_connections_refused_total"), Some(1.0));
    drop(idle);
    until("room again", async || say(address, "GET /healthz HTTP/1.1\r\n\r\n").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_that_says_nothing_is_closed() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let limits = HttpLimits { time_max: Duration::from_millis(50), ..HttpLimits::default() };
    let metrics = serve_within(&node, limits).await;
    let mut silent = TcpStream::connect(metrics.local_addr()).await.unwrap();
    assert_eq!(soon("the server's close", answer(&mut silent)).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_collected_at_most_once_a_second() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let metrics = serve(&node).await;
    let began = std::time::Instant::now();
    let mut bodies = Vec::new();
    for _ in 0..20 {
        bodies.push(get(metrics.local_addr(), "/metrics").await.body);
    }
    // Each collection asks the shard for a report, which its driver counts.
    let asked = |text: &String| series(text, "sabha_driver_commands_total{shard=\"0\"}").unwrap();
    let more = asked(bodies.last().unwrap()) - asked(&bodies[0]);
    assert!(more <= began.elapsed().as_secs_f64(), "{more}");
    bodies.dedup();
    assert!(bodies.len() as u64 <= 1 + began.elapsed().as_secs(), "{}", bodies.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_in_one_process_have_figures_of_their_own() {
    let world = World::new();
    let (one, other) = (RunningNode::start(&world), RunningNode::start(&world));
    let (metrics, others) = (serve(&one).await, serve(&other).await);
    let _host = RunningHost::open(&world, &one, &["alice"]).await;
    let conferences = async |metrics: &MetricsServer| {
        let text = get(metrics.local_addr(), "/metrics").await.body;
        series(&text, "sabha_conferences{shard=\"0\"}").unwrap()
    };
    assert_eq!((conferences(&metrics).await, conferences(&others).await), (1.0, 0.0));
}

#[tokio::test]
async fn address_that_is_taken_is_told_with_a_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = MetricsListener::bind(address).await.unwrap_err().to_string();
    support::assert_says(&error, &[&address.to_string(), "in use", "--metrics"]);
}
