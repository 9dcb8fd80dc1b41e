//! What a shard counts, and what many conferences cost it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sabha_media::engine::LegKey;
use sabha_media::rtcp::{ExtendedSequence, ReportBlock};
use sabha_media::shard::{ShardCounters, UplinkOrder};

#[allow(dead_code)]
#[path = "shard/rig.rs"]
mod rig;

use rig::{Bridge, Member, Rig, START};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A receiver report about the member's first stream, up to the packet `highest`.
fn report(member: &mut Member, highest: u32, fraction_lost: u8, jitter: u32) -> Vec<u8> {
    let ssrc = member.grant.receive_ssrcs[0];
    let highest_sequence = ExtendedSequence(highest);
    let block = ReportBlock { ssrc, fraction_lost, highest_sequence, jitter, ..Default::default() };
    let own = member.ssrc();
    member.rtcp(|writer| writer.receiver_report(own, &[block]).unwrap())
}

#[test]
fn engine_and_counters_learn_what_members_receive() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let (mut one, mut other) = (rig.join(key, 1), rig.join(key, 2));
    rig.hear(&mut one);
    assert!(rig.shard.engine(key).unwrap().receptions.is_empty(), "an empty report says nothing");
    // What is told of nothing sent, or of a few packets, is no measure of the way.
    for (highest, fraction_lost, jitter) in [(1_000, 0, 0), (1_250, 64, 100), (1_500, 0, 20)] {
        let datagram = report(&mut one, highest, fraction_lost, jitter);
        rig.send(one.address, &datagram);
    }
    for (highest, fraction_lost, jitter) in [(40, 0, 0), (80, 128, 3), (119, 255, 0)] {
        let datagram = report(&mut other, highest, fraction_lost, jitter);
        rig.send(other.address, &datagram);
    }
    let receptions = &rig.shard.engine(key).unwrap().receptions;
    assert_eq!(receptions[..], [(LegKey(0), 0.25), (LegKey(0), 0.0), (LegKey(1), 0.5)]);
    let sums = rig.shard.counters().receptions;
    assert_eq!((sums.reports, sums.fraction_lost, sums.jitter), (6, 447, 123));
}

#[test]
fn loss_of_several_streams_counts_by_their_packets() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let mut member = rig.join(key, 1);
    rig.hear(&mut member);
    let (own, ssrcs) = (member.ssrc(), member.grant.receive_ssrcs.clone());
    // Of 300 packets of one stream a quarter is lost, of 100 of the other nothing; then the first
    // one rests.
    for highest in [[1_000, 1_000], [1_300, 1_100], [1_300, 1_200]] {
        let lost = if highest[1] == 1_100 { [64, 0] } else { [0, 0] };
        let block = |place: usize| ReportBlock {
            ssrc: ssrcs[place],
            fraction_lost: lost[place],
            highest_sequence: ExtendedSequence(highest[place]),
            jitter: 10 * place as u32,
            ..Default::default()
        };
        let blocks = [block(0), block(1)];
        let datagram = member.rtcp(|writer| writer.receiver_report(own, &blocks).unwrap());
        rig.send(member.address, &datagram);
        let remote = rig.shard.leg_report(member.grant.id).unwrap().remote;
        assert_eq!(remote.jitter, 10, "that of the stream that has most");
        if highest[1] == 1_100 {
            assert_eq!((remote.expected, remote.fraction_lost), (400, 48));
        }
    }
    let receptions = &rig.shard.engine(key).unwrap().receptions;
    assert_eq!(receptions[..], [(LegKey(0), 0.1875), (LegKey(0), 0.0)]);
}

#[test]
fn leg_is_rated_by_reports_of_intervals_with_speech() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let mut member = rig.join(key, 1);
    rig.hear(&mut member);
    for (highest, fraction_lost) in [(1_000, 255), (1_250, 0), (1_260, 255), (1_510, 26)] {
        let (own, ssrc) = (member.ssrc(), member.grant.receive_ssrcs[0]);
        let highest_sequence = ExtendedSequence(highest);
        let block = ReportBlock { ssrc, fraction_lost, highest_sequence, ..Default::default() };
        let datagram = member.rtcp(|writer| writer.receiver_report(own, &[block]).unwrap());
        rig.send(member.address, &datagram);
    }
    let ratings = rig.shard.counters().ratings;
    assert_eq!(ratings.outbound.total(), 2, "not the first, nor that of ten packets");
    assert_eq!((ratings.outbound.counts[2], ratings.outbound.counts[8]), (1, 1), "{ratings:?}");
    assert_eq!(ratings.inbound.total(), 0, "the member sent next to nothing");
}

#[test]
fn lateness_of_deadlines_is_counted_by_power_of_two() {
    let mut rig = Rig::new();
    let at = |ms: u32| START + MS * ms;
    rig.conference_of(Bridge { timeouts: vec![at(10), at(30)], ..Bridge::default() });
    rig.now = at(13);
    rig.shard.handle_timeout(rig.now, &mut rig.wire);
    rig.now = at(30);
    rig.shard.handle_timeout(rig.now, &mut rig.wire);
    let lateness = rig.shard.counters().tick_lateness;
    assert_eq!((lateness.total(), lateness.counts[0], lateness.counts[12]), (2, 1, 1));
    assert_eq!((lateness.max, lateness.sum), (MS * 3, MS * 3));
}

#[test]
fn joins_leaves_and_talkers_are_counted() {
    let mut rig = Rig::new();
    let key = rig.conference_of(Bridge { hears_voices: true, ..Bridge::default() });
    let mut members: Vec<_> = (1..=4).map(|person| rig.join(key, person)).collect();
    for member in &mut members {
        rig.hear(member);
    }
    let figures = |rig: &Rig| {
        let counters = rig.shard.counters();
        (counters.joins, counters.leaves, counters.talkers)
    };
    assert_eq!(figures(&rig), (4, 0, 0));
    for member in &mut members[..3] {
        rig.speak(member);
        rig.speak(member);
    }
    assert_eq!(figures(&rig), (4, 0, 3));
    rig.shard.remove_leg(rig.now, members[0].grant.id);
    assert_eq!(figures(&rig), (4, 1, 2), "who left is heard no more");
    rig.shard.remove_conference(rig.now, key);
    assert_eq!(figures(&rig), (4, 4, 0));
    let mut both = rig.shard.counters();
    both.add(&ShardCounters { joins: 1, talkers: 2, ..ShardCounters::default() });
    assert_eq!((both.joins, both.leaves, both.talkers), (5, 4, 2));
}

#[test]
fn conferences_leave_each_others_legs_alone() {
    let mut rig = Rig::with(300, 100, None);
    let keys: Vec<_> = (0..100).map(|_| rig.conference()).collect();
    // Interleaved, so that no conference's legs lie side by side.
    let join = |rig: &mut Rig, index: usize| rig.join(keys[index % 100], (index % 250) as u8);
    let mut members: Vec<_> = (0..300).map(|index| Some(join(&mut rig, index))).collect();
    // One leg of each, from the front, the middle or the end of its list.
    for index in 0..100 {
        let leaves = members[index + 100 * (index % 3)].take().unwrap();
        assert!(rig.shard.remove_leg(rig.now, leaves.grant.id));
    }
    for (index, key) in keys.iter().enumerate() {
        let bridge = rig.shard.remove_conference(rig.now, *key).unwrap();
        assert_eq!((bridge.removed, bridge.legs()), (3, 0), "conference {index}");
        for (place, member) in members.iter().enumerate() {
            let Some(member) = member else { continue };
            let is_there = rig.shard.leg_report(member.grant.id).is_some();
            assert_eq!(is_there, place % 100 > index);
        }
    }
    assert_eq!((rig.shard.legs(), rig.shard.engines().count()), (0, 0));
}

#[test]
fn idle_conferences_are_sent_their_reports_and_nothing_else() {
    let mut rig = Rig::with(10_000, 10_000, None);
    rig.shard.set_uplink_order(UplinkOrder::Voice);
    let mut members = Vec::new();
    for index in 0..10_000_u32 {
        let key = rig.conference_of(Bridge { hears_voices: true, ..Bridge::default() });
        let mut member = rig.try_join(key, (index % 250) as u8, (index / 250) as u8).unwrap();
        rig.hear(&mut member);
        members.push(member);
    }
    let mut run = |seconds: u32| {
        let (before, mut wakes) = (rig.shard.counters().reports_out, 0);
        let end = rig.now + SECOND * seconds;
        while let Some(at) = rig.shard.poll_timeout().filter(|at| *at <= end) {
            rig.now = rig.now.max(at);
            rig.shard.handle_timeout(rig.now, &mut rig.wire);
            wakes += 1;
        }
        (rig.shard.counters().reports_out - before, wakes)
    };
    assert_eq!(run(5), (10_000, 50), "one for each, in fifty turns");
    // After 10 or 15 s the next one, so 1.75 on average; every 5 s there would be 50,000.
    let (reports, wakes) = run(25);
    assert!((17_000..18_000).contains(&reports) && wakes == 250, "{reports}, {wakes}");
    let after = rig.shard.counters();
    assert_eq!((after.packets_out, after.tick_lateness.total()), (0, 0));
}
