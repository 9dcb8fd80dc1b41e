//! A full room in which nobody speaks.
#![allow(clippy::unwrap_used)]

mod support;

use sabha_client::media::PacketLengths;
use sabha_core::message::Request;
use support::sound::noise;
use support::{Member, RunningHost, RunningNode, World};

/// Packets that each member sends: two seconds.
const PACKETS: u64 = 100;

const MEMBERS: usize = 50;

/// Probes that a newcomer to a silent conference is sent at most, see `sabha_mixer`.
const PROBES_MAX: u64 = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_legs_of_faint_noise_cause_no_decode_and_no_packet_but_probes() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let names: Vec<_> = (0..MEMBERS).map(|index| format!("m{index}")).collect();
    let users: Vec<_> = names.iter().map(String::as_str).collect();
    let host = RunningHost::open(&world, &node, &users).await;
    // -65 dBov.
    let rms = 10f32.powf(-65.0 / 20.0);
    let mut legs = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let member = Member::new(&world, name);
        let session = member.session(&host).await;
        let leg = member.join(&world, &session, noise(rms, index as u64), None).await;
        legs.push((session, leg));
    }
    for (_, leg) in &legs {
        leg.counted("two seconds of packets", |report| report.packets_out >= PACKETS).await;
    }
    let all = MEMBERS as u64 * PACKETS;
    // The last three of each are kept, in case a voice begins; the others are dropped unread.
    let kept = 3 * MEMBERS as u64;
    let report = node
        .counted("two seconds of noise from everybody", |report| {
            report.drops.get("squelched").is_some_and(|squelched| squelched + kept >= all)
        })
        .await;
    assert!(report.packets_in >= all);
    let report = node
        .counted("a keep-alive to everybody", |report| report.reports_out >= MEMBERS as u64)
        .await;
    assert_eq!((report.decodes, report.encodes, report.ticks), (0, 0, 0));
    assert!(report.packets_out <= PROBES_MAX * MEMBERS as u64, "{}", report.packets_out);
    let reasons: Vec<_> = report.drops.keys().map(String::as_str).collect();
    assert_eq!(reasons, ["squelched"]);
    for (session, leg) in &legs {
        let report = leg.counted("a keep-alive", |report| report.connected).await;
        assert_eq!((report.lengths_in, report.drops.total()), (PacketLengths::default(), 0));
        session.session().request(&Request::Ping {}).await.unwrap();
    }
}
