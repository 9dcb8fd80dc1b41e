//! The shard: who is heard, who is sent what, and what is refused.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sabha_media::drop_reason::DropReason;
use sabha_media::engine::{AddLegError, EngineOutput};
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::rtcp::{CompactNtp, REPORT_INTERVAL, ReportBlock, RtcpPacket, SenderInfo};
use sabha_media::rtp::{PacketKind, classify};
use sabha_media::shard::{
    ConferenceKey, KeepAlive, LegRequest, MEDIA_TIMEOUT, MediaEpoch, ShardError, ShardEvent, ntp,
};
use sabha_media::srtp::{KeyUseLog, SrtpSender};

#[allow(dead_code)]
#[path = "shard/rig.rs"]
mod rig;

use rig::{Bridge, EPOCH, Member, Rig, STREAMS, address, master, only};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Two members who have been heard, in a conference of their own.
fn pair(rig: &mut Rig, first: u8) -> (ConferenceKey, Member, Member) {
    let key = rig.conference();
    let (mut one, mut other) = (rig.join(key, first), rig.join(key, first + 1));
    rig.hear(&mut one);
    rig.hear(&mut other);
    (key, one, other)
}

#[test]
fn packet_is_forwarded_to_the_others_of_its_conference_only() {
    let mut rig = Rig::new();
    let (first, mut one, mut other) = pair(&mut rig, 1);
    let (second, ..) = pair(&mut rig, 3);
    let (to, datagram) = only(rig.speak(&mut one));
    assert_eq!(to, other.address);
    let (header, payload) = other.open_rtp(&datagram);
    assert_eq!((header.ssrc, &payload[..]), (other.grant.receive_ssrcs[0], &b"voice"[..]));
    let (_, datagram) = only(rig.speak(&mut other));
    assert_eq!(one.open_rtp(&datagram).0.ssrc, one.grant.receive_ssrcs[1]);
    assert_eq!(rig.shard.engine(first).unwrap().heard.len(), 2);
    assert!(rig.shard.engine(second).unwrap().heard.is_empty());
    let counters = rig.shard.counters();
    assert_eq!((counters.packets_in, counters.packets_out), (6, 2));
    assert_eq!(counters.drops.total(), 0);
}

#[test]
fn removed_leg_is_not_heard_nor_is_the_last_tenant_of_a_slot() {
    let mut rig = Rig::new();
    let (key, mut one, other) = pair(&mut rig, 1);
    let stale = one.rtp(b"sealed before");
    assert!(rig.shard.remove_leg(rig.now, one.grant.id));
    assert!(rig.send(one.address, &stale).is_empty());
    assert_eq!(rig.drops(DropReason::UnknownSsrc), 1);
    let next = rig.try_join(key, 1, 2).unwrap();
    assert_eq!(next.grant.id.index, one.grant.id.index, "the slot is used again");
    assert!(rig.send(one.address, &stale).is_empty());
    assert!(rig.send(one.address, &one.report()).is_empty());
    assert_eq!(rig.drops(DropReason::UnknownSsrc), 3);
    assert!(!rig.shard.remove_leg(rig.now, one.grant.id), "a stale name removes nothing");
    assert_eq!((rig.shard.legs(), rig.shard.leg_report(one.grant.id)), (2, None));
    // Named as the new tenant, but sealed with the old key: not authentic.
    let mut forged = stale;
    forged[8..12].copy_from_slice(&next.ssrc().0.to_be_bytes());
    assert!(rig.send(one.address, &forged).is_empty());
    assert_eq!(rig.drops(DropReason::Unauthentic), 1);
    assert_eq!(rig.shard.leg_report(other.grant.id).unwrap().packets_out, 0);
}

#[test]
fn nothing_is_sent_before_the_address_is_known() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let (mut one, silent) = (rig.join(key, 1), rig.join(key, 2));
    let sent = rig.speak(&mut one);
    assert_eq!(only(sent).0, one.address, "only the answer to the first contact");
    assert_eq!(rig.drops(DropReason::NoAddress), 1);
    let sent = rig.run(SECOND * 20);
    assert!(!sent.is_empty() && sent.iter().all(|(_, to, _)| *to == one.address));
    assert_eq!(rig.shard.leg_report(silent.grant.id).unwrap().packets_out, 0);
}

#[test]
fn address_is_learned_only_from_an_authentic_packet() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let (mut one, mut silent) = (rig.join(key, 1), rig.join(key, 2));
    rig.hear(&mut one);
    for mut forged in [silent.rtp(b"voice"), silent.report()] {
        *forged.last_mut().unwrap() ^= 1;
        assert!(rig.send(silent.address, &forged).is_empty());
        let sealed_for_another = forged.len() - 1;
        forged.truncate(sealed_for_another);
        assert!(rig.send(silent.address, &forged).is_empty());
    }
    assert_eq!(rig.shard.counters().drops.total(), 4);
    assert!(rig.speak(&mut one).is_empty());
    assert_eq!(rig.drops(DropReason::NoAddress), 1);
    assert_eq!(rig.shard.counters().address_changes, 1);
    rig.hear(&mut silent);
    assert_eq!(only(rig.speak(&mut one)).0, silent.address);
}

#[test]
fn address_follows_only_the_newest_packet() {
    let mut rig = Rig::new();
    let (_, mut one, mut other) = pair(&mut rig, 1);
    for is_rtcp in [false, true] {
        let (old, home, away) = (address(50), other.address, address(60));
        let mut packet = || if is_rtcp { other.report() } else { other.rtp(b"voice") };
        let (reordered, at_home, moved) = (packet(), packet(), packet());
        rig.send(home, &at_home);
        rig.send(old, &reordered);
        assert_eq!(only(rig.speak(&mut one)).0, home, "an older packet does not count");
        rig.send(old, &at_home);
        assert_eq!(rig.drops(DropReason::Replayed), 1 + u64::from(is_rtcp));
        assert_eq!(only(rig.speak(&mut one)).0, home, "nor does a replay");
        let changes = rig.shard.counters().address_changes;
        rig.send(away, &moved);
        assert_eq!(only(rig.speak(&mut one)).0, away);
        assert_eq!(rig.shard.counters().address_changes, changes + 1);
        rig.send(home, &packet());
    }
}

#[test]
fn new_address_is_answered_at_once() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let mut one = rig.join(key, 1);
    for (host, is_rtcp) in [(1, false), (2, true), (3, false), (4, true)] {
        let packet = |one: &mut Member| if is_rtcp { one.report() } else { one.rtp(b"voice") };
        let datagram = packet(&mut one);
        let (to, answer) = only(rig.send(address(host), &datagram));
        assert_eq!(to, address(host));
        assert_eq!(epoch_of(&mut one, &answer), Some(EPOCH));
        let datagram = packet(&mut one);
        assert!(rig.send(address(host), &datagram).is_empty(), "once");
    }
    assert_eq!(rig.shard.counters().address_changes, 4);
    // Authentic, though nothing in it can be read: the path is as good.
    let garbage =
        one.seal_rtcp([vec![0x80, 201, 0, 9], one.ssrc().0.to_be_bytes().to_vec()].concat());
    assert_eq!(only(rig.send(address(5), &garbage)).0, address(5));
    let counters = rig.shard.counters();
    assert_eq!((counters.address_changes, counters.reports_in), (5, 4));
    assert_eq!(counters.drops.of(DropReason::MalformedRtcp), 1);
}

fn epoch_of(member: &mut Member, datagram: &[u8]) -> Option<MediaEpoch> {
    let mut epoch = None;
    member.open_rtcp(datagram, |packet| {
        if let RtcpPacket::Application(application) = packet {
            epoch = KeepAlive::from_application(&application).map(|said| said.epoch);
        }
    });
    epoch
}

#[test]
fn silent_member_is_reported_once_sent_nothing_and_taken_back() {
    let mut rig = Rig::new();
    let (_, mut one, mut other) = pair(&mut rig, 1);
    let id = other.grant.id;
    for _ in 0..6 {
        rig.run(SECOND * 5);
        rig.hear(&mut one);
    }
    assert!(rig.leg_events().is_empty(), "not before {MEDIA_TIMEOUT:?}");
    assert_eq!(only(rig.speak(&mut one)).0, other.address);
    rig.run(SECOND * 5 + MS);
    assert_eq!(rig.leg_events(), [ShardEvent::MediaLost(id)]);
    assert!(rig.speak(&mut one).is_empty());
    let before = rig.shard.counters().reports_out;
    for _ in 0..20 {
        rig.run(SECOND * 5);
        rig.hear(&mut one);
    }
    assert!(rig.leg_events().is_empty(), "once");
    assert_eq!(rig.shard.counters().reports_out, before + 20, "only to the other");
    let answer = only(rig.send(other.address, &other.report()));
    assert_eq!(epoch_of(&mut other, &answer.1), Some(EPOCH));
    assert_eq!(only(rig.speak(&mut one)).0, other.address);
    for _ in 0..8 {
        rig.run(SECOND * 5);
        rig.hear(&mut one);
    }
    assert_eq!(rig.leg_events(), [ShardEvent::MediaLost(id)], "and once again");
}

#[test]
fn member_who_never_comes_is_reported_once() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let silent = rig.join(key, 1);
    assert!(rig.run(SECOND * 120).is_empty());
    assert_eq!(rig.leg_events(), [ShardEvent::MediaLost(silent.grant.id)]);
}

#[test]
fn goodbye_is_reported_once_and_only_for_oneself() {
    let mut rig = Rig::new();
    let (_, mut one, other) = pair(&mut rig, 1);
    let own = one.ssrc();
    let goodbye = |one: &mut Member, source: Ssrc| {
        one.rtcp(|writer| {
            writer.receiver_report(own, &[]).unwrap();
            writer.goodbye(&[source], b"").unwrap();
            writer.goodbye(&[source], b"again").unwrap();
        })
    };
    let datagram = goodbye(&mut one, other.ssrc());
    rig.send(one.address, &datagram);
    assert!(rig.leg_events().is_empty());
    for _ in 0..3 {
        let datagram = goodbye(&mut one, own);
        rig.send(one.address, &datagram);
    }
    assert_eq!(rig.leg_events(), [ShardEvent::Goodbye(one.grant.id)]);
}

#[test]
fn keep_alives_come_every_5_s_spread_over_the_legs_with_the_epoch() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let mut members: Vec<_> = (0..100).map(|person| rig.join(key, person)).collect();
    for member in &mut members {
        rig.hear(member);
    }
    rig.run(MS);
    let mut times: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut at_once: BTreeMap<_, u32> = BTreeMap::new();
    for (at, to, datagram) in rig.run(SECOND * 25) {
        *at_once.entry(at).or_default() += 1;
        let person = members.iter_mut().find(|member| member.address == to).unwrap();
        assert_eq!(epoch_of(person, &datagram), Some(EPOCH));
        times.entry(to).or_default().push(at);
    }
    assert_eq!(times.len(), 100);
    for at in times.values() {
        assert_eq!(at.len(), 5);
        assert!(at.windows(2).all(|pair| pair[1].saturating_since(pair[0]) == REPORT_INTERVAL));
    }
    assert_eq!(at_once.into_values().max(), Some(2), "100 legs in 50 turns");
}

#[test]
fn receiver_report_tells_loss_jitter_and_the_round_trip() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let mut one = rig.join(key, 1);
    rig.hear(&mut one);
    // 100 packets, each fourth lost, one in two 5 ms late.
    for index in 0..100_u32 {
        let datagram = one.rtp(b"voice");
        rig.now = rig::START + MS * (20 * index + if index % 2 == 0 { 0 } else { 5 });
        if index % 4 != 2 {
            rig.send(one.address, &datagram);
        }
    }
    // The member's clock is its own; its sender report comes, and 1.5 s later ours goes.
    let own_ntp = ntp(rig.now + SECOND * 777);
    let info = SenderInfo { ssrc: one.ssrc(), ntp: own_ntp, ..SenderInfo::default() };
    let datagram = one.rtcp(|writer| writer.sender_report(&info, &[]).unwrap());
    rig.send(one.address, &datagram);
    rig.now += MS * 1_500;
    let datagram = one.report();
    let (_, answer) = only(rig.send(address(9), &datagram));
    let (own, mut block) = (one.grant.receive_ssrcs[0], None);
    one.open_rtcp(&answer, |packet| match packet {
        RtcpPacket::ReceiverReport(report) => {
            assert_eq!(report.ssrc, own);
            block = report.blocks.clone().next();
        }
        RtcpPacket::SenderReport(_) => panic!("nothing was sent to this member"),
        RtcpPacket::SourceDescription(description) => {
            assert_eq!(description.chunks().next().unwrap().cname, Some(&b"node"[..]));
        }
        _ => {}
    });
    let block: ReportBlock = block.unwrap();
    assert_eq!((block.ssrc, block.cumulative_lost), (one.ssrc(), 25));
    assert_eq!(block.fraction_lost, (25 * 256 / 100) as u8);
    assert_eq!(block.highest_sequence.0, 100 + 99);
    assert!((100..=240).contains(&block.jitter), "5 ms, less what does not alternate: {block:?}");
    assert_eq!(block.last_sr, own_ntp.compact());
    assert_eq!(block.delay_since_last_sr, CompactNtp::from_duration(MS * 1_500));
    let arrival = ntp(rig.now + SECOND * 777 + MS * 40).compact();
    let trip = block.round_trip(arrival).unwrap();
    assert!(trip >= MS * 39 && trip <= MS * 41, "{trip:?}");
    let report = rig.shard.leg_report(one.grant.id).unwrap();
    assert_eq!((report.packets_in, report.lost, report.jitter), (75, 25, block.jitter));
}

#[test]
fn sender_report_tells_what_was_sent_and_measures_the_round_trip() {
    let mut rig = Rig::new();
    let (_, mut one, mut other) = pair(&mut rig, 1);
    let mut last = None;
    for _ in 0..10 {
        let (_, datagram) = only(rig.speak(&mut one));
        last = Some(other.open_rtp(&datagram).0);
        rig.now += MS * 20;
    }
    rig.now += MS * 480;
    let sent_at = rig.now;
    let datagram = other.report();
    let (_, answer) = only(rig.send(address(9), &datagram));
    let mut info = None;
    other.open_rtcp(&answer, |packet| {
        if let RtcpPacket::SenderReport(report) = packet {
            assert_eq!(report.blocks.clone().count(), 0, "this member has sent nothing");
            info = Some(report.info);
        }
    });
    let info: SenderInfo = info.unwrap();
    assert_eq!((info.packet_count, info.octet_count), (10, 50));
    assert_eq!(info.ssrc, other.grant.receive_ssrcs[0]);
    assert_eq!(info.ntp, ntp(sent_at));
    let since = info.rtp.distance_from(last.unwrap().timestamp);
    assert_eq!(since, 48 * 500, "the stream's clock went on for 500 ms");

    // The member holds it for 2 s; each way takes 30 ms. Of its third slot, of
    // which nothing was sent, it says what hardly counts.
    rig.now += MS * 2_060;
    let block = |slot: usize, fraction_lost, jitter| ReportBlock {
        ssrc: other.grant.receive_ssrcs[slot],
        fraction_lost,
        jitter,
        ..ReportBlock::default()
    };
    let last_sr = info.ntp.compact();
    let delay_since_last_sr = CompactNtp::from_duration(SECOND * 2);
    let first = ReportBlock { last_sr, delay_since_last_sr, ..block(0, 10, 5) };
    let foreign = ReportBlock { ssrc: Ssrc(1), fraction_lost: 255, ..block(0, 0, 0) };
    let blocks = [first, block(2, 20, 3), foreign];
    let ssrc = other.ssrc();
    let datagram = other.rtcp(|writer| writer.receiver_report(ssrc, &blocks).unwrap());
    rig.send(address(9), &datagram);
    let remote = rig.shard.leg_report(other.grant.id).unwrap().remote;
    assert_eq!((remote.fraction_lost, remote.jitter), (10, 5));
    let trip = remote.round_trip.unwrap();
    assert!(trip >= MS * 59 && trip <= MS * 61, "{trip:?}");
}

#[test]
fn ssrcs_are_never_the_same_twice() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let stays = rig.join(key, 9);
    let mut all: HashSet<_> = stays.grant.receive_ssrcs.iter().copied().collect();
    assert!(all.insert(stays.ssrc()));
    for round in 0..200 {
        let one = rig.try_join(key, 1, round).unwrap();
        assert_eq!(one.grant.receive_ssrcs.len(), STREAMS);
        for ssrc in one.grant.receive_ssrcs.iter().chain([&one.grant.send_ssrc]) {
            assert!(all.insert(*ssrc), "{ssrc} in round {round}");
        }
        rig.shard.remove_leg(rig.now, one.grant.id);
    }
}

#[test]
fn limits_are_typed_and_a_refusal_takes_no_slot() {
    let mut rig = Rig::with(2, 2, None);
    let small = rig.conference_of(Bridge { members_max: Some(1), ..Bridge::default() });
    let large = rig.conference();
    let third = rig.shard.add_conference(Bridge::default(), EPOCH);
    assert_eq!(third, Err(ShardError::ConferencesFull { conferences_max: 2 }));
    let refused = |outcome: Result<Member, ShardError>| outcome.map(|_| ()).unwrap_err();
    let unknown = ConferenceKey(2);
    assert_eq!(refused(rig.try_join(unknown, 1, 1)), ShardError::UnknownConference(unknown));

    let one = rig.try_join(small, 1, 1).unwrap();
    for round in 0..5 {
        let full = ShardError::Engine(AddLegError::Full { members_max: 1 });
        assert_eq!(refused(rig.try_join(small, 2, round)), full);
        assert_eq!(rig.shard.legs(), 1);
    }
    let other = rig.try_join(large, 2, 1).unwrap();
    for round in 0..5 {
        let full = ShardError::LegsFull { legs_max: 2 };
        assert_eq!(refused(rig.try_join(large, 3, round)), full);
    }
    assert_eq!((rig.shard.legs(), rig.shard.engine(large).unwrap().legs()), (2, 1));
    assert!(rig.shard.remove_leg(rig.now, one.grant.id));
    assert!(rig.shard.remove_leg(rig.now, other.grant.id));
    assert!(!rig.shard.remove_leg(rig.now, other.grant.id));
    assert!(rig.try_join(large, 3, 1).is_ok() && rig.try_join(large, 4, 1).is_ok());
    assert_eq!(rig.shard.legs(), 2);
}

#[test]
fn deferred_packets_leave_at_their_deadline_in_their_slots() {
    let mut rig = Rig::new();
    let key = rig.conference_of(Bridge { defer: MS * 15, ..Bridge::default() });
    let mut members: Vec<_> = (1..=3).map(|person| rig.join(key, person)).collect();
    for member in &mut members {
        rig.hear(member);
    }
    let start = rig.now;
    for member in &mut members {
        assert!(rig.speak(member).is_empty());
        rig.now += MS;
    }
    assert_eq!(rig.shard.poll_timeout(), Some(start + MS * 15));
    let sent = rig.run(MS * 20);
    let media = sent.iter().filter(|(_, _, datagram)| classify(datagram) == PacketKind::Rtp);
    let mut count = 0;
    for (place, (at, to, datagram)) in media.enumerate() {
        let talker = place / 2;
        assert_eq!(*at, start + MS * (15 + talker as u32));
        let listener = members.iter_mut().find(|member| member.address == *to).unwrap();
        let (header, payload) = listener.open_rtp(datagram);
        assert_eq!(header.ssrc, listener.grant.receive_ssrcs[talker]);
        assert_eq!(payload, b"voice");
        count += 1;
    }
    assert_eq!(count, 6);
    assert_eq!(rig.shard.counters().outbox_refused, 0);
}

#[test]
fn deferred_packet_outlives_its_leg_and_is_counted() {
    let mut rig = Rig::new();
    let key = rig.conference_of(Bridge { defer: MS * 15, ..Bridge::default() });
    let mut members: Vec<_> = (1..=3).map(|person| rig.join(key, person)).collect();
    for member in &mut members {
        rig.hear(member);
    }
    rig.speak(&mut members[0]);
    rig.shard.remove_leg(rig.now, members[1].grant.id);
    // The slot's next tenant must not be sent what was meant for the last.
    let mut next = rig.try_join(key, 4, 1).unwrap();
    assert_eq!(next.grant.id.index, members[1].grant.id.index);
    rig.hear(&mut next);
    let sent = rig.run(MS * 16);
    assert_eq!(only(sent).1, members[2].address);
    assert_eq!(rig.drops(DropReason::NoAddress), 1);
    assert_eq!(rig.shard.leg_report(next.grant.id).unwrap().packets_out, 0);
}

#[test]
fn every_reason_is_counted_once() {
    let mut rig = Rig::new();
    let key = rig.conference_of(Bridge { stuck: true, ..Bridge::default() });
    let (mut one, mut other) = (rig.join(key, 1), rig.join(key, 2));
    rig.hear(&mut one);
    let here = one.address;
    let old = one.rtp(b"too old by then");
    let mut expected = BTreeMap::new();
    let mut check = |rig: &mut Rig, reason: DropReason, datagram: &[u8]| {
        rig.send(here, datagram);
        *expected.entry(reason.as_str()).or_insert(0) += 1;
        let drops = rig.shard.counters().drops;
        for reason in DropReason::ALL {
            let count = expected.get(reason.as_str()).copied().unwrap_or(0);
            assert_eq!(drops.of(*reason), count, "{}", reason.as_str());
        }
    };
    for short in [&[][..], &[0x80], b"GET / HTTP/1.1\r\n\r\n"] {
        check(&mut rig, DropReason::NotRtp, short);
    }
    check(&mut rig, DropReason::TooShort, &[0x80, 111, 0, 1]);
    check(&mut rig, DropReason::TooShort, &one.rtp(b"cut")[..20]);
    check(&mut rig, DropReason::TooShort, &one.report()[..20]);
    let mut packet = one.rtp(b"of nobody");
    packet[11] ^= 0x40;
    check(&mut rig, DropReason::UnknownSsrc, &packet);
    let mut packet = one.report();
    packet[4] ^= 0x80;
    check(&mut rig, DropReason::UnknownSsrc, &packet);
    let mut packet = one.rtp(b"altered");
    packet[15] ^= 1;
    check(&mut rig, DropReason::Unauthentic, &packet);
    let mut packet = one.rtp(b"a header past its end");
    packet[14..16].copy_from_slice(&[0xff, 0xff]);
    check(&mut rig, DropReason::MalformedRtp, &packet);
    let mut padded = vec![0xa0, 111, 1, 0, 0, 0, 0, 0];
    padded.extend_from_slice(&one.ssrc().0.to_be_bytes());
    padded.extend_from_slice(&[1, 2, 200]);
    check(&mut rig, DropReason::MalformedRtp, &one.seal_rtp(padded));
    one.sequence = 0x101;
    check(&mut rig, DropReason::NoLevel, &one.rtp_with(false, b"no extension"));
    let block = [0xbe, 0xde, 0, 1, 0x2f, 1, 2, 3];
    check(&mut rig, DropReason::MalformedExtension, &one.rtp_with(true, &block));
    let compound = [vec![0x80, 202, 0, 1], one.ssrc().0.to_be_bytes().to_vec()].concat();
    check(&mut rig, DropReason::MalformedRtcp, &one.seal_rtcp(compound));
    let replayed = one.report();
    rig.send(here, &replayed);
    check(&mut rig, DropReason::Replayed, &replayed);
    check(&mut rig, DropReason::NoAddress, &one.rtp(b"to whom?"));
    rig.hear(&mut other);
    one.sequence += 200;
    rig.send(here, &one.rtp(b"the first under this number"));
    check(&mut rig, DropReason::Discontinuous, &one.rtp(b"the second under this number"));
    check(&mut rig, DropReason::TooOld, &old);
}

#[test]
fn body_for_nobody_does_not_fill_the_outbox() {
    let mut rig = Rig::new();
    let key = rig.conference();
    let mut alone = rig.join(key, 1);
    for _ in 0..50 {
        rig.speak(&mut alone);
    }
    assert_eq!(rig.shard.counters().outbox_refused, 0);
}

#[test]
fn engine_is_called_once_for_each_deadline() {
    let mut rig = Rig::new();
    let at = |ms: u32| rig::START + MS * ms;
    let early = rig.conference_of(Bridge { timeouts: vec![at(30), at(10)], ..Bridge::default() });
    let late = rig.conference_of(Bridge { timeouts: vec![at(20)], ..Bridge::default() });
    let idle = rig.conference();
    assert_eq!(rig.shard.poll_timeout(), Some(at(10)), "known before any leg");
    rig.run(MS * 100);
    assert_eq!(rig.shard.engine(early).unwrap().fired, [at(10), at(30)]);
    assert_eq!(rig.shard.engine(late).unwrap().fired, [at(20)]);
    assert!(rig.shard.engine(idle).unwrap().fired.is_empty());
    assert_eq!(rig.shard.poll_timeout(), None);
}

#[test]
fn engine_that_stays_due_holds_up_nobody() {
    let mut rig = Rig::new();
    let at = |ms: u32| rig::START + MS * ms;
    let bad = rig.conference_of(Bridge { stays_due: Some(at(10)), ..Bridge::default() });
    let good = rig.conference_of(Bridge { timeouts: vec![at(12)], ..Bridge::default() });
    rig.run(MS * 20);
    assert_eq!(rig.shard.engine(good).unwrap().fired, [at(12)]);
    let fired: Vec<_> = (10..=20).map(at).collect();
    assert_eq!(rig.shard.engine(bad).unwrap().fired, fired, "once a millisecond");
    assert_eq!(rig.shard.counters().deadlines_stuck, 11);
}

#[test]
fn ten_thousand_legs_have_room_and_names_of_their_own() {
    let mut rig = Rig::with(10_000, 4, None);
    let keys = [rig.conference(), rig.conference()];
    let mut grants = Vec::new();
    for index in 0..10_000_u32 {
        let key = keys[index as usize % 2];
        let (person, generation) = ((index % 250) as u8, (index / 250) as u8);
        grants.push((person, generation, rig.try_join(key, person, generation).unwrap().grant));
    }
    let request = LegRequest {
        role: LegRole::Member,
        receive_key: master(1, 1, 0),
        send_key: master(1, 1, 1),
        red: false,
    };
    let full = rig.shard.add_leg(rig.now, keys[0], &request).unwrap_err();
    assert_eq!(full, ShardError::LegsFull { legs_max: 10_000 });
    let ssrcs: HashSet<_> = grants.iter().map(|(_, _, grant)| grant.send_ssrc).collect();
    assert_eq!((ssrcs.len(), rig.shard.legs()), (10_000, 10_000));
    for index in [0, 1, 255, 256, 9_999] {
        let (person, generation, grant) = grants[index].clone();
        let mut member = Member::new(person, generation, grant);
        rig.hear(&mut member);
    }
    assert_eq!(rig.shard.counters().reports_in, 5);
    let mut talker = Member::new(grants[9_998].0, grants[9_998].1, grants[9_998].2.clone());
    let sent = rig.speak(&mut talker);
    let media = sent.iter().filter(|(_, datagram)| classify(datagram) == PacketKind::Rtp);
    assert_eq!(media.count(), 2, "the two of its conference that were heard");
    assert_eq!(rig.drops(DropReason::NoAddress), 4_999 - 2);
}

#[test]
fn removed_conference_takes_its_legs_and_events_along() {
    let mut rig = Rig::new();
    let (first, one, _) = pair(&mut rig, 1);
    let (second, mut three, four) = pair(&mut rig, 3);
    let bridge = rig.shard.remove_conference(rig.now, first).unwrap();
    assert_eq!((bridge.removed, bridge.legs(), rig.shard.legs()), (2, 0, 2));
    assert!(rig.shard.leg_report(one.grant.id).is_none());
    assert!(rig.shard.remove_conference(rig.now, first).is_none());
    let again = rig.conference();
    assert_eq!(again, first, "the key names another conference now");
    let events = rig.events();
    assert_eq!(events.len(), 2, "only those of the conference that stays: {events:?}");
    for event in events {
        let ShardEvent::Engine(key, EngineOutput::TalkerStarted(_)) = event else { panic!() };
        assert_eq!(key, second);
    }
    assert_eq!(only(rig.speak(&mut three)).0, four.address);
    assert_eq!(rig.shard.engines().count(), 2);
}

#[test]
fn no_key_ssrc_and_index_repeat_over_rejoins() {
    let log = Arc::new(KeyUseLog::new(10_000));
    let mut rig = Rig::with(100, 4, Some(log.clone()));
    let (key, mut one, _) = pair(&mut rig, 1);
    for generation in 1..=3 {
        // The same connection, a new leg: control derives new keys for each generation.
        let mut again = rig.try_join(key, 9, generation).unwrap();
        again.sender.set_tap(Some(log.clone()));
        rig.hear(&mut again);
        for _ in 0..50 {
            rig.speak(&mut one);
            rig.speak(&mut again);
            rig.now += MS * 20;
        }
        rig.run(SECOND * 11);
        rig.shard.remove_leg(rig.now, again.grant.id);
    }
    assert!(log.len() > 3 * 150, "{} uses", log.len());
    assert_eq!((log.repeats(), log.overflow()), (0, 0));
}

#[test]
fn log_would_show_a_derivation_that_forgets_the_generation() {
    let log = Arc::new(KeyUseLog::new(100));
    let ssrc = Ssrc(0x8001_0000);
    for _generation in 1..=2 {
        let mut sender = SrtpSender::new(&master(9, 1, 1), &[ssrc]).unwrap();
        sender.set_tap(Some(log.clone()));
        for sequence in 0..5_u8 {
            let mut packet = vec![0x80, 111, 0, sequence, 0, 0, 0, 0];
            packet.extend_from_slice(&ssrc.0.to_be_bytes());
            packet.resize(12 + 16, 0);
            sender.protect_rtp(&mut packet, 12).unwrap();
        }
    }
    assert_eq!((log.len(), log.repeats()), (10, 5));
}
