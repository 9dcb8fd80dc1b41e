//! Members whose addresses change, and members of both address families.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use sabha_client::member::NodeSession;
use sabha_core::Direction;
use sabha_core::message::{Answer, Request, RosterChange, Signed, Ticket};
use sabha_media::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber};
use sabha_media::srtp::SrtpSender;
use sabha_transport::MediaSocket;
use support::member::{Leg, roster_change};
use support::sound::{all_near, last_second, noise, tone};
use support::{Member, RunningHost, RunningNode, World};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_whose_address_changes_keeps_its_place() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let (alice, bob) = (Member::new(&world, "alice"), Member::new(&world, "bob"));
    let (hers, his) = (alice.session(&host).await, bob.session(&host).await);
    let ear = bob.join(&world, &his, noise(0.0, 1), None).await;
    let mut mouth = alice.join(&world, &hers, tone(440.0, 0.3), None).await;
    ear.hears("alice", is_tone).await;
    assert_eq!(node.report().await.address_changes, 2, "each was found once");

    // The network gives her media and her signalling other ports, as after a change of Wi-Fi.
    let before = alice.endpoint.local_addr().unwrap();
    alice.endpoint.rebind(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    assert_ne!(alice.endpoint.local_addr().unwrap(), before);
    let media = mouth.detach().await;
    mouth.attach(media, MediaSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
    node.counted("the new address", |report| report.address_changes == 3).await;
    hears_from_now_on(&ear).await;
    let (ears, mouths) = (ear.report().await.packets_in, mouth.report().await.packets_in);
    mouth.counted("her own voice", |report| report.packets_in >= mouths + 50).await;
    assert_eq!(hers.session().request(&Request::Ping {}).await.unwrap(), Answer::Pong {});

    forge(&hers, &mouth).await;
    node.counted("the forgeries", |report| {
        let dropped = |reason| report.drops.get(reason).copied().unwrap_or(0);
        dropped("unauthentic") >= 1 && dropped("replayed") + dropped("too_old") >= 1
    })
    .await;
    ear.counted("two seconds more", |report| report.packets_in >= ears + 100).await;
    hears_from_now_on(&ear).await;
    assert_eq!(node.report().await.address_changes, 3, "a forgery moved her");

    // She is the same leg as ever: it is the only one that came, and the one that goes.
    let is_hers = |change: &RosterChange| change.user == *alice.identity.user();
    let leg = mouth.answer.leg;
    let ssrc = mouth.answer.send_ssrc;
    hers.leave(leg).await.unwrap();
    let mut changes = Vec::new();
    while changes.last().is_none_or(|change: &RosterChange| change.joined) {
        changes.push(roster_change(&his, is_hers).await);
    }
    assert!(changes.iter().all(|change| change.ssrc == ssrc), "{changes:?}");
    let report = node.stop().await;
    assert_eq!(report.key_repeats, Some(0), "a move repeats no index");
}

/// Sends from an address of nobody's: a packet with a false tag, and one that was sent before.
async fn forge(session: &NodeSession, leg: &Leg) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let key = leg.key_again(session, Direction::ToNode);
    let ssrc = leg.answer.send_ssrc;
    let mut sender = SrtpSender::new(&key, &[ssrc]).unwrap();
    for number in [0, 20_000] {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType(leg.answer.payload_type),
            sequence_number: SequenceNumber(number),
            timestamp: RtpTimestamp(0),
            ssrc,
        };
        let mut packet = [0; 128];
        let length = header.write_fixed(0, false, &mut packet) + 40;
        let length = sender.protect_rtp(&mut packet, length).unwrap();
        if number != 0 {
            packet[length - 1] ^= 1;
        }
        socket.send_to(&packet[..length], leg.node).unwrap();
    }
    socket.set_nonblocking(true).unwrap();
    leg.counted("what the node sends", |report| report.packets_in > 0).await;
    assert!(socket.recv(&mut [0; 2_000]).is_err(), "the node answered a forgery");
}

fn is_tone(heard: &[f32]) -> bool {
    last_second(heard, 440.0).is_some_and(|all| all_near(&all, 0.3, 0.2))
}

/// Waits for a whole second of tone that was recorded after this call.
async fn hears_from_now_on(ear: &Leg) {
    let from = ear.heard().len();
    ear.hears("a second of alice", |heard| is_tone(&heard[from..])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipv6_loopback_serves_a_conference() {
    let world = World::new();
    let node = RunningNode::with(&world, |settings| {
        settings.listen = SocketAddr::new(V6, 0);
        settings.media = SocketAddr::new(V6, 0);
        settings.advertise = vec![V6];
    });
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    assert!(host.link().addresses[0].is_ipv6());
    let (alice, bob) = (Member::at(&world, "alice", V6), Member::at(&world, "bob", V6));
    let (hers, his) = (alice.session(&host).await, bob.session(&host).await);
    hear_each_other(&world, (&alice, hers), (&bob, his)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_of_both_families_serves_members_of_both_together() {
    let world = World::new();
    let node = RunningNode::with(&world, |settings| {
        settings.listen = "[::]:0".parse().unwrap();
        settings.media = "[::]:0".parse().unwrap();
        settings.advertise = vec![V4, V6];
    });
    let host = RunningHost::open(&world, &node, &["alice", "bob"]).await;
    let (alice, bob) = (Member::at(&world, "alice", V4), Member::at(&world, "bob", V6));
    let hers = alice.session(&host).await;
    // A host names one address of the node, and his device reaches none but IPv6 ones.
    let addresses = vec![SocketAddr::new(V6, node.address.port())];
    let ticket = Ticket { addresses, ..world.ticket(host.conference(), "bob", &node) };
    let ticket = Signed::sign(&ticket, &host.identity).unwrap();
    let his = bob.device.connect(ticket).await.unwrap();
    hear_each_other(&world, (&alice, hers), (&bob, his)).await;
}

async fn hear_each_other(
    world: &World,
    (alice, hers): (&Member, NodeSession),
    (bob, his): (&Member, NodeSession),
) {
    let ips = (alice.ip, bob.ip);
    let alice = alice.join(world, &hers, tone(440.0, 0.3), None).await;
    let bob = bob.join(world, &his, tone(1_000.0, 0.3), None).await;
    assert_eq!((alice.node.ip(), bob.node.ip()), ips);
    let hears = |hz| {
        move |heard: &[f32]| last_second(heard, hz).is_some_and(|all| all_near(&all, 0.3, 0.2))
    };
    alice.hears("bob", hears(1_000.0)).await;
    bob.hears("alice", hears(440.0)).await;
    let told = roster_change(&hers, |change| change.ssrc == bob.answer.send_ssrc).await;
    assert!(told.joined);
    bob.leave(&his).await;
    let told = roster_change(&hers, |change| !change.joined).await;
    assert_eq!(told.user.as_str(), "bob@example.org");
    alice.leave(&hers).await;
}
