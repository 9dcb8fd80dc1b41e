//! What those are sent who lose packets: redundant audio, which costs the others nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{RED, Received, Room, tone};
use sabha_media::drop_reason::DropReason;
use sabha_media::engine::EngineInput;
use sabha_media::extension::LevelDbov;
use sabha_media::red::{COPIES_MAX, PathReport};
use sabha_mixer::{ListenerPacket, ListenerPacketSetting, MixerSettings};

const SECOND: Duration = Duration::from_secs(1);
const TALKER: usize = 0;
const LISTENER: usize = 1;
const LOSSY: usize = 2;

/// A room in which a tone is said for two seconds of every three, and `members` are, who have
/// reported that they lose nothing.
fn room(members: u64) -> Room {
    room_with(MixerSettings::default(), members)
}

fn room_with(settings: MixerSettings, members: u64) -> Room {
    let mut room = Room::new(settings);
    room.red = true;
    for phase_ms in 0..members {
        let member = room.join(phase_ms);
        report(&mut room, member, 0.0, None);
    }
    let mut voice = tone(300.0, 0.1);
    room.say(
        TALKER,
        move |sample| {
            if (sample / 48_000).is_multiple_of(3) { 0.0 } else { voice(sample) }
        },
    );
    room
}

fn report(room: &mut Room, member: usize, loss: f32, burst_loss: Option<f32>) {
    let leg = room.members[member].grant.id;
    let report = PathReport { loss, burst_loss, ..PathReport::default() };
    room.shard.handle_input(room.now, leg, |leg| EngineInput::Reception { leg, report });
}

/// Lets a member report so much loss every 5 s.
fn run_with_loss(room: &mut Room, member: usize, loss: f32, reports: u32) {
    for _ in 0..reports {
        report(room, member, loss, None);
        room.run(SECOND * 5);
    }
}

/// Checks that each copy is that of the packet it claims to be, and returns how many packets have
/// how many.
fn check_copies(received: &[Received]) -> [usize; 1 + COPIES_MAX] {
    let mut counts = [0; 1 + COPIES_MAX];
    for (index, packet) in received.iter().enumerate() {
        counts[packet.copies.len()] += 1;
        for (distance, copy) in &packet.copies {
            let before = &received[index - distance];
            let samples = packet.timestamp.wrapping_sub(before.timestamp);
            assert_eq!(samples as usize, 960 * distance);
            assert_eq!(packet.sequence.wrapping_sub(before.sequence) as usize, *distance);
            assert_eq!(*copy, before.payload, "packet {index}");
        }
        if packet.marker {
            assert_eq!(packet.copies.len(), 0, "nothing was before");
        }
    }
    counts
}

fn sent(room: &Room, member: usize) -> Vec<(u16, u32, bool, Vec<u8>, usize)> {
    let received = room.members[member].received.iter();
    let facts = received.map(|packet| {
        let Received { sequence, timestamp, marker, payload, copies, .. } = packet.clone();
        (sequence, timestamp, marker, payload, copies.len())
    });
    facts.collect()
}

#[test]
fn legs_without_loss_are_sent_the_very_packets_of_a_run_without_the_lossy_leg() {
    let mut alone = room(2);
    alone.run(SECOND * 20);
    let mut shared = room(3);
    run_with_loss(&mut shared, LOSSY, 0.1, 4);
    for member in [TALKER, LISTENER] {
        assert!(sent(&alone, member).len() > 500);
        assert!(sent(&alone, member) == sent(&shared, member), "member {member}");
    }
    let [_, one, two] = check_copies(&shared.members[LOSSY].received);
    assert!(one > 0 && two > 400, "{one} and {two}");
    assert_eq!(alone.mixer().counters().packets_by_copies, [0; 2]);
    assert_eq!(alone.mixer().counters().encodes, shared.mixer().counters().encodes);
    assert_eq!(shared.shard.counters().outbox_refused, 0);
}

#[test]
fn leg_that_has_not_reported_yet_is_sent_copies() {
    let mut room = room(1);
    room.join(9);
    room.run(SECOND * 3);
    let [_, _, two] = check_copies(&room.members[1].received);
    assert!(two > 90, "{two}");
    report(&mut room, 1, 0.0, None);
    let before = room.members[1].received.len();
    room.run(SECOND * 3);
    assert_eq!(check_copies(&room.members[1].received)[2], two);
    assert!(room.members[1].received.len() > before);
}

#[test]
fn leg_that_never_reports_is_sent_copies_for_half_a_minute_of_sound() {
    let mut room = room(1);
    room.join(9);
    room.run(SECOND * 60);
    let copies_of =
        |room: &Room| check_copies(&room.members[1].received)[1..].iter().sum::<usize>();
    let before = copies_of(&room);
    assert!((1_400..1_900).contains(&before), "{before}");
    room.run(SECOND * 10);
    assert_eq!(copies_of(&room), before);
}

#[test]
fn copies_follow_the_loss_and_are_those_of_the_packets_before() {
    let mut room = room(3);
    run_with_loss(&mut room, LOSSY, 0.03, 4);
    let [_, one, two] = check_copies(&room.members[LOSSY].received);
    assert!(one > 400 && two == 0, "{one} and {two}");
    assert_eq!(room.mixer().counters().packets_by_copies, [one as u64, 0]);
    report(&mut room, LOSSY, 0.03, Some(0.02));
    room.run(SECOND * 5);
    let [_, _, two] = check_copies(&room.members[LOSSY].received);
    assert!(two > 100, "bursts: {two}");
    run_with_loss(&mut room, LOSSY, 0.0, 8);
    let last = room.members[LOSSY].received.iter().rev().take(200);
    assert!(last.into_iter().all(|packet| packet.copies.is_empty()), "loss is over");
    let same =
        |member: usize| sent(&room, member).into_iter().map(|packet| packet.3).collect::<Vec<_>>();
    assert!(same(LOSSY) == same(LISTENER), "the packets' own payloads are everybody's");
}

#[test]
fn talker_who_loses_packets_is_sent_copies_of_the_own_mix() {
    let mut room = room(3);
    let mut voice = tone(500.0, 0.1);
    // Comes to the personal mix and leaves it again and again.
    room.say(
        LOSSY,
        move |sample| {
            if (sample / 24_000).is_multiple_of(3) { voice(sample) } else { 0.0 }
        },
    );
    run_with_loss(&mut room, LOSSY, 0.1, 6);
    let received = &room.members[LOSSY].received;
    // Behind the end of a personal mix a copy is everybody's, not the own one.
    let differs =
        |pair: &[Received]| !pair[1].copies.is_empty() && pair[1].copies[0].1 != pair[0].payload;
    let differing = received.windows(2).filter(|pair| differs(pair)).count();
    assert!(differing <= 40, "{differing} of {}", received.len());
    let personal =
        sent(&room, LOSSY).iter().zip(sent(&room, LISTENER)).filter(|(a, b)| a.3 != b.3).count();
    assert!(personal > 400, "{personal}");
    assert!(room.mixer().counters().packets_by_copies[1] > 800);
}

#[test]
fn who_leaves_packs_for_loss_is_sent_copies_of_single_frames_only() {
    let listener_packet = ListenerPacketSetting::Fixed(ListenerPacket::Ms60);
    let mut room = room_with(MixerSettings { listener_packet, ..MixerSettings::default() }, 3);
    room.run(SECOND * 13);
    assert!(room.members[LOSSY].received.iter().any(|packet| packet.payload[0] & 3 == 3));
    run_with_loss(&mut room, LOSSY, 0.1, 4);
    let [_, _, two] = check_copies(&room.members[LOSSY].received);
    assert!(two > 400, "{two}");
    let last = room.members[LISTENER].received.last().unwrap();
    assert!(last.copies.is_empty());
}

#[test]
fn who_did_not_offer_it_is_sent_none_and_may_send_none() {
    let mut room = Room::new(MixerSettings::default());
    for phase_ms in 0..2 {
        room.join(phase_ms);
    }
    room.say(TALKER, tone(300.0, 0.1));
    run_with_loss(&mut room, LISTENER, 0.5, 3);
    assert_eq!(check_copies(&room.members[LISTENER].received)[1..], [0, 0]);
    assert_eq!(dropped(&mut room, b"\x6f\xf8\x01"), DropReason::UnknownPayloadType);
}

#[test]
fn broken_redundant_packets_have_a_reason() {
    let mut room = room(2);
    assert_eq!(dropped(&mut room, b"\xef\x00"), DropReason::MalformedRed);
    assert_eq!(dropped(&mut room, b"\x00\xf8\x01"), DropReason::UnknownPayloadType);
    assert_eq!(dropped(&mut room, b"\x6f\xff\xff\xff"), DropReason::Undecodable);
}

/// Sends one redundant packet and returns why it was dropped.
fn dropped(room: &mut Room, payload: &[u8]) -> DropReason {
    let before = room.shard.counters().drops;
    room.members[LISTENER].payload_type = RED;
    let datagram = room.members[LISTENER].seal(payload, LevelDbov(20));
    let from = room.members[LISTENER].address;
    room.inject(from, datagram);
    let after = room.shard.counters().drops;
    let mut reasons = DropReason::ALL.iter();
    *reasons.find(|reason| after.of(**reason) > before.of(**reason)).unwrap()
}
