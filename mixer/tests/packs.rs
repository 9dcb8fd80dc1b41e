//! What those are sent who only listen: packs of two or three frames.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{FRAME, Room, tone};
use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::codec::opus::frames;
use sabha_media::engine::EngineInput;
use sabha_media::red::PathReport;
use sabha_mixer::{Effort, ListenerPacket, ListenerPacketSetting, MixerSettings};

fn settings(packet: ListenerPacket) -> MixerSettings {
    let listener_packet = ListenerPacketSetting::Fixed(packet);
    MixerSettings { listener_packet, ..MixerSettings::default() }
}

/// Tells the mixer that a member loses half of its packets, so that it is sent single frames.
fn report_loss(room: &mut Room, member: usize, loss: f32) {
    let leg = room.members[member].grant.id;
    room.shard.handle_input(room.now, leg, |leg| EngineInput::Reception {
        leg,
        report: PathReport { loss, ..PathReport::default() },
    });
}

/// A room of one talker, a listener who loses too much for packs, and some who do not.
fn room_of_listeners(packet: ListenerPacket, listeners: u64) -> Room {
    let mut room = Room::new(settings(packet));
    for phase_ms in 0..2 + listeners {
        room.join(phase_ms);
    }
    report_loss(&mut room, SINGLE, 0.5);
    room
}

const TALKER: usize = 0;
const SINGLE: usize = 1;
const FIRST_PACKED: usize = 2;

/// Every frame that a member was sent, with its place since the member's first.
fn frames_of(room: &Room, member: usize) -> Vec<(u32, Vec<u8>)> {
    let received = &room.members[member].received;
    let first = received.first().map_or(0, |packet| packet.timestamp);
    let mut all = Vec::new();
    for packet in received {
        let start = packet.timestamp.wrapping_sub(first);
        for (index, (toc, frame)) in frames(&packet.payload).unwrap().enumerate() {
            let place = start + (index * FRAME_SAMPLES) as u32;
            all.push((place, [format!("{toc:?}").as_bytes(), frame].concat()));
        }
    }
    all
}

/// How many frames each packet of a member held.
fn lengths_of(room: &Room, member: usize) -> Vec<usize> {
    let received = &room.members[member].received;
    received.iter().map(|packet| frames(&packet.payload).unwrap().len()).collect()
}

fn assert_no_packet_is_missing(room: &Room, member: usize) {
    let received = &room.members[member].received;
    for pair in received.windows(2) {
        assert_eq!(pair[0].sequence.wrapping_add(1), pair[1].sequence, "member {member}");
    }
}

/// Checks that a member was sent the very frames of the one who is sent each singly.
fn assert_same_frames(room: &Room, member: usize) {
    assert_no_packet_is_missing(room, member);
    let (single, packed) = (frames_of(room, SINGLE), frames_of(room, member));
    assert!(single.len() > 50, "{}", single.len());
    assert!(packed.len() <= single.len() && packed.len() + 2 >= single.len());
    assert!(packed == single[..packed.len()], "member {member} was sent other frames");
    let heard = &room.members[member].heard;
    assert!(heard[..] == room.members[SINGLE].heard[..heard.len()], "and hears other sound");
}

#[test]
fn packs_hold_the_very_frames_that_others_are_sent_singly() {
    for packet in [ListenerPacket::Ms40, ListenerPacket::Ms60] {
        let mut room = room_of_listeners(packet, 4);
        room.say(TALKER, tone(300.0, 0.1));
        room.run(Duration::from_secs(4));
        for member in FIRST_PACKED..6 {
            assert_same_frames(&room, member);
            let lengths = lengths_of(&room, member);
            let full = lengths.iter().filter(|length| **length == packet.frames()).count();
            assert!(
                full + 1 >= lengths.len(),
                "one short pack sets the cohorts apart: {lengths:?}"
            );
        }
        assert!(lengths_of(&room, SINGLE).iter().all(|length| *length == 1));
        assert!(lengths_of(&room, TALKER).iter().all(|length| *length == 1));
        assert_eq!(room.mixer().gauges().legs_packed, 4);
        assert_eq!(room.shard.counters().outbox_refused, 0);
    }
}

#[test]
fn each_tick_sends_to_a_third_of_the_listeners() {
    let mut room = room_of_listeners(ListenerPacket::Ms60, 30);
    room.say(TALKER, tone(300.0, 0.1));
    room.run(Duration::from_secs(1));
    let before: Vec<_> = room.members.iter().map(|member| member.received.len()).collect();
    for _ in 0..30 {
        let ticks = room.mixer().counters().ticks;
        let sent = room.mixer().counters().packets_by_frames;
        room.run(FRAME);
        let ticks = room.mixer().counters().ticks - ticks;
        let now = room.mixer().counters().packets_by_frames;
        assert_eq!(now[2] - sent[2], 10 * ticks, "packs in {ticks} ticks");
        assert_eq!(now[0] - sent[0], 2 * ticks, "the talker and the one who loses packets");
    }
    let packets = |member: usize| room.members[member].received.len() - before[member];
    assert!((FIRST_PACKED..32).all(|member| packets(member) == 10), "a third of the packets");
    assert!(packets(SINGLE).abs_diff(30) <= 1);
}

#[test]
fn silence_leaves_nothing_unsent() {
    for packet in [ListenerPacket::Ms40, ListenerPacket::Ms60] {
        // Spurts of all lengths against the packs.
        for extra in 0..4 {
            let mut room = room_of_listeners(packet, 3);
            let mut voice = tone(300.0, 0.1);
            room.say(TALKER, move |sample| {
                let place = sample % (48_000 * 2);
                if place < 28_800 + extra * 960 { voice(sample) } else { 0.0 }
            });
            room.run(Duration::from_secs(6));
            assert!(room.shard.poll_timeout().is_some());
            assert_eq!(room.mixer().gauges().complexity, None, "all encoders are given back");
            for member in FIRST_PACKED..5 {
                assert_same_frames(&room, member);
                let (single, packed) = (frames_of(&room, SINGLE), frames_of(&room, member));
                assert_eq!(single.len(), packed.len());
                let received = &room.members[member].received;
                assert_eq!(received.iter().filter(|packet| packet.marker).count(), 3);
                assert!(received[0].marker && received.last().unwrap().sources.is_empty());
            }
        }
    }
}

#[test]
fn pack_names_all_who_are_heard_in_it() {
    let mut room = room_of_listeners(ListenerPacket::Ms60, 3);
    room.say(TALKER, tone(300.0, 0.1));
    room.run(Duration::from_secs(1));
    let ssrc = room.members[TALKER].grant.send_ssrc;
    for member in FIRST_PACKED..5 {
        let last = room.members[member].received.last().unwrap();
        assert_eq!((last.sources.len(), last.sources[0].0), (1, ssrc));
        assert!(last.sources[0].1.0.abs_diff(23) <= 1, "{:?}", last.sources);
    }
}

#[test]
fn listener_who_begins_to_talk_is_back_at_single_frames_at_once() {
    for start_ms in [2_000, 2_020, 2_040, 2_047] {
        let mut room = room_of_listeners(ListenerPacket::Ms60, 3);
        room.say(TALKER, tone(300.0, 0.1));
        // Begins softly, so that its own steps are far below the other's tone.
        let mut voice = tone(170.0, 0.02);
        room.say(FIRST_PACKED, move |sample| {
            let since = sample.saturating_sub(start_ms * 48);
            voice(since) * (since as f32 / 2_400.0).min(1.0)
        });
        room.run(Duration::from_secs(4));
        assert_no_packet_is_missing(&room, FIRST_PACKED);
        let lengths = lengths_of(&room, FIRST_PACKED);
        let singles = lengths.iter().rev().take_while(|length| **length == 1).count();
        assert!(singles >= 95, "{singles} single frames since");
        let places: Vec<_> = frames_of(&room, FIRST_PACKED).iter().map(|frame| frame.0).collect();
        assert!(places.windows(2).all(|pair| pair[0] + 960 == pair[1]), "each frame once");

        // The same sound as everybody's up to the first personal frame, and no click there.
        let (own, shared) = (&room.members[FIRST_PACKED].heard, &room.members[SINGLE].heard);
        let same = own.iter().zip(shared).take_while(|(one, other)| one == other).count();
        let personal_from = (lengths.len() - singles) as u32;
        let first = &room.members[FIRST_PACKED].received[personal_from as usize];
        let zero = room.members[FIRST_PACKED].received[0].timestamp;
        let seam = first.timestamp.wrapping_sub(zero) as usize;
        assert!(same >= seam, "differs from sample {same}, the personal mix begins at {seam}");
        assert!(same < own.len(), "and then it is personal");
        let step = |window: &[f32]| {
            window.windows(2).fold(0.0_f32, |most, pair| most.max((pair[1] - pair[0]).abs()))
        };
        let steady = step(&own[48_000..seam - 960]);
        let largest = step(&own[seam - 960..seam + 4_800]);
        assert!(largest <= 1.5 * steady, "a click at {start_ms}: {largest} against {steady}");
    }
}

#[test]
fn talker_is_packed_again_ten_seconds_after_the_last_word() {
    let mut room = room_of_listeners(ListenerPacket::Ms60, 2);
    room.say(TALKER, tone(300.0, 0.1));
    let mut voice = tone(170.0, 0.1);
    room.say(FIRST_PACKED, move |sample| if sample < 96_000 { voice(sample) } else { 0.0 });
    room.run(Duration::from_secs(11));
    assert!(lengths_of(&room, FIRST_PACKED).iter().skip(10).all(|length| *length == 1));
    // Within five seconds more even without a pause.
    room.run(Duration::from_secs(8));
    let lengths = lengths_of(&room, FIRST_PACKED);
    assert!(lengths.iter().rev().take(20).all(|length| *length == 3));
    assert_no_packet_is_missing(&room, FIRST_PACKED);
    let places: Vec<_> = frames_of(&room, FIRST_PACKED).iter().map(|frame| frame.0).collect();
    assert!(places.windows(2).all(|pair| pair[0] + 960 == pair[1]), "each frame once");
}

#[test]
fn change_to_packs_waits_for_a_quiet_moment() {
    let mut room = room_of_listeners(ListenerPacket::Ms60, 1);
    // A pause of a second at 11 s, kept open by another's faint but open microphone.
    let mut voice = tone(300.0, 0.1);
    room.say(TALKER, move |sample| {
        if (11 * 48_000..12 * 48_000).contains(&sample) { 0.0 } else { voice(sample) }
    });
    room.members[SINGLE].claim = Some(sabha_media::extension::LevelDbov(54));
    room.run(Duration::from_millis(10_900));
    assert!(lengths_of(&room, SINGLE).iter().all(|length| *length == 1));
    room.run(Duration::from_millis(1_000));
    assert_eq!(room.mixer().gauges().legs_packed, 2, "both changed in the pause");
    assert_no_packet_is_missing(&room, SINGLE);
}

#[test]
fn who_loses_packets_is_sent_single_frames_until_it_is_better() {
    let mut room = room_of_listeners(ListenerPacket::Ms60, 2);
    room.say(TALKER, tone(300.0, 0.1));
    room.run(Duration::from_secs(2));
    // One pack lost of the 83 between two reports is no reason.
    report_loss(&mut room, FIRST_PACKED, 3.0 / 256.0);
    room.run(Duration::from_secs(2));
    assert!(lengths_of(&room, FIRST_PACKED).iter().rev().take(20).all(|length| *length == 3));
    report_loss(&mut room, FIRST_PACKED, 8.0 / 256.0);
    room.run(Duration::from_secs(2));
    assert!(lengths_of(&room, FIRST_PACKED).iter().rev().take(90).all(|length| *length == 1));
    for _ in 0..4 {
        report_loss(&mut room, FIRST_PACKED, 0.0);
        room.run(Duration::from_secs(5));
    }
    assert!(lengths_of(&room, FIRST_PACKED).iter().rev().take(20).all(|length| *length == 3));
    let single = frames_of(&room, FIRST_PACKED);
    assert!(single.windows(2).all(|pair| pair[0].0 + 960 == pair[1].0), "each frame once");
    assert_no_packet_is_missing(&room, FIRST_PACKED);
}

#[test]
fn newcomer_amid_a_running_stream_begins_with_a_whole_pack() {
    for wait_ms in [1_000, 1_020, 1_040] {
        let mut room = room_of_listeners(ListenerPacket::Ms60, 2);
        room.say(TALKER, tone(300.0, 0.1));
        room.run(Duration::from_millis(wait_ms));
        let late: Vec<_> = (0..3).map(|phase_ms| room.join(phase_ms)).collect();
        room.run(Duration::from_secs(1));
        for member in late {
            let lengths = lengths_of(&room, member);
            assert!(lengths.len() >= 15 && lengths.iter().all(|length| *length == 3));
            assert!(room.members[member].received[0].marker);
        }
    }
}

#[test]
fn node_may_change_the_length_at_any_time() {
    let mut room = Room::new(MixerSettings::default());
    for phase_ms in 0..6 {
        room.join(phase_ms);
    }
    room.say(TALKER, tone(300.0, 0.1));
    report_loss(&mut room, SINGLE, 0.5);
    let packets = [
        (ListenerPacket::Ms60, 7_000),
        (ListenerPacket::Ms40, 700),
        (ListenerPacket::Ms20, 510),
        (ListenerPacket::Ms40, 6_000),
        (ListenerPacket::Ms60, 5_990),
        (ListenerPacket::Ms20, 30),
        (ListenerPacket::Ms60, 6_000),
        (ListenerPacket::Ms20, 1_000),
    ];
    for (packet, ms) in packets {
        report_loss(&mut room, SINGLE, 0.5);
        room.shard.resources_mut().set_effort(Effort { packet, ..Effort::default() });
        room.run(Duration::from_millis(ms));
        let lengths = lengths_of(&room, FIRST_PACKED);
        let settled = lengths.iter().rev().take(2).all(|length| *length == packet.frames());
        assert!(settled || ms < 1_000, "{packet:?}: {lengths:?}");
    }
    for member in FIRST_PACKED..6 {
        assert_same_frames(&room, member);
    }
    assert_eq!(room.shard.counters().outbox_refused, 0);
}
