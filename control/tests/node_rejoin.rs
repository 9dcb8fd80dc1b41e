//! A member that comes and goes over one connection, and the keys of its legs.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use sabha_core::{Direction, MediaKeyContext, media_key};
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber};
use sabha_media::srtp::{KeyUseLog, MasterKey, ProtectTap, SrtpSender};
use support::sound::tone;
use support::{Member, RunningHost, RunningNode, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_rejoins_twice_over_one_connection_and_no_key_is_used_twice() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::open(&world, &node, &["alice"]).await;
    let alice = Member::new(&world, "alice");
    let session = alice.session(&host).await;
    let log = Arc::new(KeyUseLog::new(100_000));
    let mut generations = Vec::new();
    for _ in 0..3 {
        let leg = alice.join(&world, &session, tone(440.0, 0.3), Some(&log)).await;
        generations.push(leg.answer.leg_generation);
        // Her own voice, a tenth of it, comes back: the node used its key too.
        leg.counted("half a second of sound", |report| report.lengths_in.ms_20 >= 25).await;
        let report = leg.leave(&session).await;
        assert!(report.packets_out >= 25 && report.connected);
        assert_eq!(report.drops.total(), 0, "{report:?}");
    }
    assert!(generations.is_sorted_by(|one, next| one < next), "{generations:?}");
    let report = node.stop().await;
    assert!(report.key_uses.unwrap() >= 75, "{report:?}");
    assert_eq!((report.key_repeats, report.key_uses_unlogged), (Some(0), Some(0)));
    assert!(log.len() >= 75);
    assert_eq!((log.repeats(), log.overflow()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_key_derivation_trips_the_tap() {
    let world = World::new();
    let node = RunningNode::start(&world);
    let host = RunningHost::open(&world, &node, &["alice"]).await;
    let alice = Member::new(&world, "alice");
    let session = alice.session(&host).await;
    let leg = alice.join(&world, &session, tone(440.0, 0.3), None).await;
    let context = leg.key_context(&session, Direction::ToNode);
    let key = |leg_generation| {
        let context = MediaKeyContext { leg_generation, ..context };
        media_key(session.session(), &context).unwrap()
    };
    let proper = Arc::new(KeyUseLog::new(1_000));
    for leg_generation in [1, 2] {
        run(&key(leg_generation), leg.answer.send_ssrc, &proper);
    }
    assert_eq!((proper.len(), proper.repeats()), (100, 0));
    let broken = Arc::new(KeyUseLog::new(1_000));
    for _ in [1, 2] {
        run(&key(1), leg.answer.send_ssrc, &broken);
    }
    assert_eq!((broken.len(), broken.repeats()), (100, 50), "every packet of the second run");
}

/// Protects 50 packets as a new leg does.
fn run(key: &MasterKey, ssrc: Ssrc, log: &Arc<KeyUseLog>) {
    let mut sender = SrtpSender::new(key, &[ssrc]).unwrap();
    sender.set_tap(Some(log.clone() as Arc<dyn ProtectTap>));
    for number in 0..50 {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType(111),
            sequence_number: SequenceNumber(number),
            timestamp: RtpTimestamp(u32::from(number) * 960),
            ssrc,
        };
        let mut packet = [0; 64];
        let length = header.write_fixed(0, false, &mut packet);
        sender.protect_rtp(&mut packet, length + 10).unwrap();
    }
}
