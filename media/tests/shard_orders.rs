//! Uplink orders: who is told what when, and who may send voice while the others send probes.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use sabha_media::drop_reason::DropReason;
use sabha_media::extension::LevelDbov;
use sabha_media::rtcp::{REPORT_INTERVAL, RtcpPacket};
use sabha_media::rtp::{PacketKind, classify};
use sabha_media::shard::{
    ConferenceKey, KeepAlive, PROMOTED_MAX, PROMOTION_HOLD, PROMOTION_LEVEL, UplinkOrder,
};

#[allow(dead_code)]
#[path = "shard/rig.rs"]
mod rig;

use rig::{Bridge, Member, Rig, only};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const QUIET: LevelDbov = LevelDbov(PROMOTION_LEVEL.0 + 1);

fn order_of(member: &mut Member, datagram: &[u8]) -> UplinkOrder {
    let mut order = None;
    member.open_rtcp(datagram, |packet| {
        if let RtcpPacket::Application(packet) = packet {
            order = KeepAlive::from_application(&packet).map(|said| said.uplink);
        }
    });
    order.expect("each compound has a keep-alive")
}

/// Members who were heard, in a conference whose engine hears whoever sends sound.
fn room(rig: &mut Rig, first: u8, count: u8) -> (ConferenceKey, Vec<Member>) {
    let key = rig.conference_of(Bridge { hears_voices: true, ..Bridge::default() });
    let mut members: Vec<_> = (0..count).map(|place| rig.join(key, first + place)).collect();
    for member in &mut members {
        rig.hear(member);
    }
    (key, members)
}

/// Sends a level probe; returns what was sent thereupon.
fn probe(rig: &mut Rig, member: &mut Member, level: LevelDbov) -> Vec<(SocketAddr, Vec<u8>)> {
    let datagram = member.rtp_at(level, b"");
    rig.send(member.address, &datagram)
}

/// Lets a member probe; returns whether it was told an order thereupon, and which.
fn probe_alone(rig: &mut Rig, member: &mut Member, level: LevelDbov) -> Option<UplinkOrder> {
    let sent = probe(rig, member, level);
    if sent.is_empty() {
        return None;
    }
    let (to, datagram) = only(sent);
    assert_eq!(to, member.address);
    Some(order_of(member, &datagram))
}

/// Lets time pass; returns the orders that each member was told, in order.
fn told(
    rig: &mut Rig,
    members: &mut [Member],
    time: Duration,
) -> BTreeMap<SocketAddr, Vec<UplinkOrder>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for (_, to, datagram) in rig.run(time) {
        if classify(&datagram) == PacketKind::Rtcp
            && let Some(member) = members.iter_mut().find(|member| member.address == to)
        {
            all.entry(to).or_default().push(order_of(member, &datagram));
        }
    }
    all
}

#[test]
fn newcomer_is_told_the_order_at_first_contact() {
    for order in [UplinkOrder::Everything, UplinkOrder::Voice, UplinkOrder::Probes] {
        let mut rig = Rig::new();
        rig.shard.set_uplink_order(order);
        assert_eq!(rig.shard.uplink_order(), order);
        let key = rig.conference();
        for (person, is_probe) in [(1, false), (2, true)] {
            let mut member = rig.join(key, person);
            let first = if is_probe { member.rtp_at(LevelDbov(90), b"") } else { member.report() };
            let (_, answer) = only(rig.send(member.address, &first));
            assert_eq!(order_of(&mut member, &answer), order);
        }
        assert_eq!(rig.shard.counters().orders_out, 2);
    }
}

#[test]
fn every_member_is_told_a_change_within_a_second_and_then_as_before() {
    let mut rig = Rig::with(200, 4, None);
    let (_, mut members) = room(&mut rig, 0, 200);
    rig.run(MS * 50);
    for order in [UplinkOrder::Voice, UplinkOrder::Probes, UplinkOrder::Everything] {
        let before = rig.shard.counters().orders_out;
        rig.shard.set_uplink_order(order);
        assert!(rig.shard.poll_timeout().unwrap() <= rig.now, "due at once");
        let changes = told(&mut rig, &mut members, SECOND);
        assert_eq!(changes.len(), 200);
        assert!(changes.values().all(|orders| *orders == [order]));
        assert_eq!(rig.shard.counters().orders_out, before + 200);
        let after = told(&mut rig, &mut members, REPORT_INTERVAL * 2);
        assert_eq!(after.len(), 200);
        assert!(after.values().flatten().all(|told| *told == order));
        assert_eq!(rig.shard.counters().orders_out, before + 200, "nothing new");
        for member in &mut members {
            rig.hear(member);
        }
    }
}

#[test]
fn order_that_is_not_new_hastens_nothing() {
    let mut rig = Rig::new();
    let (_, mut members) = room(&mut rig, 0, 50);
    rig.shard.set_uplink_order(UplinkOrder::Everything);
    assert!(told(&mut rig, &mut members, SECOND).len() <= 11);
    rig.shard.set_uplink_order(UplinkOrder::Voice);
    rig.run(SECOND);
    rig.shard.set_uplink_order(UplinkOrder::Voice);
    assert!(told(&mut rig, &mut members, SECOND).len() <= 11);
}

#[test]
fn loud_probe_promotes_at_once_and_only_its_sender() {
    let mut rig = Rig::new();
    let (_, mut members) = room(&mut rig, 1, 3);
    for order in [UplinkOrder::Everything, UplinkOrder::Voice] {
        rig.shard.set_uplink_order(order);
        rig.run(SECOND);
        assert_eq!(probe_alone(&mut rig, &mut members[0], LevelDbov(20)), None);
    }
    rig.shard.set_uplink_order(UplinkOrder::Probes);
    rig.run(SECOND);
    assert_eq!(probe_alone(&mut rig, &mut members[0], QUIET), None);
    let told_at_once = probe_alone(&mut rig, &mut members[0], PROMOTION_LEVEL);
    assert_eq!(told_at_once, Some(UplinkOrder::Voice));
    assert_eq!(probe_alone(&mut rig, &mut members[0], LevelDbov(20)), None, "once");
    let address = members[0].address;
    for (to, orders) in told(&mut rig, &mut members, REPORT_INTERVAL) {
        let is_promoted = to == address && orders == [UplinkOrder::Voice];
        assert!(is_promoted || orders == [UplinkOrder::Probes], "{to}: {orders:?}");
    }
    let counters = rig.shard.counters();
    assert_eq!((counters.promotions, counters.demotions, counters.promotions_refused), (1, 0, 0));
    assert_eq!(counters.probes_in, 5);
}

#[test]
fn forged_probe_promotes_nobody() {
    let mut rig = Rig::new();
    let (_, mut members) = room(&mut rig, 1, 2);
    rig.shard.set_uplink_order(UplinkOrder::Probes);
    rig.run(SECOND);
    let mut forged = members[0].rtp_at(LevelDbov(0), b"");
    *forged.last_mut().unwrap() ^= 1;
    assert!(rig.send(members[0].address, &forged).is_empty());
    let counters = rig.shard.counters();
    assert_eq!((counters.promotions, counters.probes_in), (0, 0));
}

#[test]
fn promotion_ends_with_the_first_report_after_five_quiet_seconds() {
    let mut rig = Rig::new();
    let (_, mut members) = room(&mut rig, 1, 2);
    rig.shard.set_uplink_order(UplinkOrder::Probes);
    rig.run(SECOND);
    probe(&mut rig, &mut members[0], LevelDbov(30));
    let address = members[0].address;
    let mut orders = Vec::new();
    for second in 0..30 {
        // Loud again and again for ten seconds; then quiet.
        let level = if second < 10 { LevelDbov(30) } else { QUIET };
        probe(&mut rig, &mut members[0], level);
        for order in told(&mut rig, &mut members, SECOND).remove(&address).into_iter().flatten() {
            orders.push((second, order));
        }
        rig.hear(&mut members[1]);
    }
    let last = orders.iter().rposition(|(_, order)| *order == UplinkOrder::Voice).unwrap();
    let (lost_in, _) = orders[last + 1];
    let hold = PROMOTION_HOLD.as_secs();
    assert!((9 + hold..=9 + 2 * hold).contains(&lost_in), "{orders:?}");
    assert!(orders[last + 1..].iter().all(|(_, order)| *order == UplinkOrder::Probes));
    assert_eq!(rig.shard.counters().demotions, 1);
    let again = probe_alone(&mut rig, &mut members[0], LevelDbov(30));
    assert_eq!(again, Some(UplinkOrder::Voice));
}

#[test]
fn places_are_bounded_and_a_quiet_one_makes_way() {
    let mut rig = Rig::new();
    let count = PROMOTED_MAX as u8 + 1;
    let (_, mut members) = room(&mut rig, 1, count);
    let (_, mut others) = room(&mut rig, 100, 1);
    rig.shard.set_uplink_order(UplinkOrder::Probes);
    rig.run(SECOND);
    let (last, first) = members.split_last_mut().unwrap();
    for member in &mut *first {
        assert_eq!(probe_alone(&mut rig, member, LevelDbov(30)), Some(UplinkOrder::Voice));
        // Heard by the engine from now on, so it need not make way while it is loud.
        let voice = member.rtp(b"voice");
        rig.send(member.address, &voice);
    }
    assert_eq!(probe_alone(&mut rig, last, LevelDbov(30)), None);
    assert_eq!(rig.shard.counters().promotions_refused, 1);
    let elsewhere = probe_alone(&mut rig, &mut others[0], LevelDbov(30));
    assert_eq!(elsewhere, Some(UplinkOrder::Voice), "another conference has places of its own");

    rig.now += SECOND * 3;
    for member in &mut first[1..] {
        probe(&mut rig, member, LevelDbov(30));
    }
    assert_eq!(probe_alone(&mut rig, last, LevelDbov(30)), None);
    rig.now += PROMOTION_HOLD - SECOND * 3 + MS;
    let sent = probe(&mut rig, last, LevelDbov(30));
    assert_eq!(sent.len(), 2, "both are told");
    assert_eq!((sent[0].0, sent[1].0), (last.address, first[0].address));
    assert_eq!(order_of(last, &sent[0].1), UplinkOrder::Voice);
    assert_eq!(order_of(&mut first[0], &sent[1].1), UplinkOrder::Probes);
    assert_eq!(rig.shard.counters().demotions, 1);
}

#[test]
fn promoted_member_who_is_not_heard_makes_way_after_a_while() {
    let mut rig = Rig::new();
    let (_, mut members) = room(&mut rig, 1, PROMOTED_MAX as u8 + 1);
    rig.shard.set_uplink_order(UplinkOrder::Probes);
    rig.run(SECOND);
    let (last, first) = members.split_last_mut().unwrap();
    for (place, member) in first.iter_mut().enumerate() {
        probe(&mut rig, member, LevelDbov(30));
        // All but the fourth are heard.
        if place != 3 {
            let voice = member.rtp(b"voice");
            rig.send(member.address, &voice);
        }
    }
    rig.now += SECOND * 2;
    assert_eq!(probe_alone(&mut rig, last, LevelDbov(30)), None, "not yet");
    rig.now += MS;
    let sent = probe(&mut rig, last, LevelDbov(30));
    let told: BTreeSet<_> = sent.iter().map(|(to, _)| *to).collect();
    assert_eq!(told, BTreeSet::from([last.address, first[3].address]));
}

#[test]
fn whoever_is_heard_at_the_change_is_promoted_first() {
    let mut rig = Rig::new();
    let (_, mut members) = room(&mut rig, 1, 4);
    let talker = members[2].address;
    let voice = members[2].rtp(b"voice");
    rig.send(talker, &voice);
    assert_eq!(rig.shard.counters().talkers, 1);
    rig.shard.set_uplink_order(UplinkOrder::Probes);
    assert_eq!(rig.shard.counters().promotions, 1);
    for (to, orders) in told(&mut rig, &mut members, SECOND) {
        let expected = if to == talker { UplinkOrder::Voice } else { UplinkOrder::Probes };
        assert_eq!(orders, [expected]);
    }
}

#[test]
fn promotions_are_forgotten_with_the_order_and_with_the_leg() {
    let mut rig = Rig::new();
    let (key, mut members) = room(&mut rig, 1, 2);
    rig.shard.set_uplink_order(UplinkOrder::Probes);
    rig.run(SECOND);
    probe(&mut rig, &mut members[0], LevelDbov(30));
    rig.shard.set_uplink_order(UplinkOrder::Voice);
    rig.run(SECOND);
    rig.now += PROMOTION_HOLD;
    rig.shard.set_uplink_order(UplinkOrder::Probes);
    let address = members[0].address;
    assert_eq!(told(&mut rig, &mut members, SECOND)[&address], [UplinkOrder::Probes]);

    probe(&mut rig, &mut members[0], LevelDbov(30));
    rig.shard.remove_leg(rig.now, members[0].grant.id);
    let mut next = rig.try_join(key, 1, 2).unwrap();
    assert_eq!(next.grant.id.index, members[0].grant.id.index);
    let datagram = next.report();
    let (_, answer) = only(rig.send(next.address, &datagram));
    assert_eq!(order_of(&mut next, &answer), UplinkOrder::Probes);
}

#[test]
fn member_who_may_not_talk_is_not_promoted() {
    for reason in [DropReason::Muted, DropReason::WrongRole] {
        let mut rig = Rig::new();
        let refusing = Bridge { hears_voices: true, refuses: Some(reason), ..Bridge::default() };
        let key = rig.conference_of(refusing);
        let mut member = rig.join(key, 1);
        rig.hear(&mut member);
        rig.shard.set_uplink_order(UplinkOrder::Probes);
        rig.run(SECOND);
        assert_eq!(probe_alone(&mut rig, &mut member, LevelDbov(0)), None);
        assert_eq!(rig.shard.counters().promotions, 0);
    }
}
