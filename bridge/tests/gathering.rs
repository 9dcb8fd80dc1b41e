//! Under load the packets for one receiver are gathered.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{OPUS, Room, VOICE};
use sabha_bridge::{BridgeSettings, GATHER_MAX};
use sabha_media::engine::EngineInput;
use sabha_media::rtp::{PacketKind, classify};

/// A room in which three members talk and whose packets are gathered.
fn talking(gather: Duration) -> Room {
    let mut room = Room::with_members(BridgeSettings::default(), 6);
    for _ in 0..10 {
        room.tick(&[Some(VOICE); 3]);
    }
    room.shard.resources_mut().set_gather(gather);
    room.forget_received();
    room.sent.clear();
    room
}

/// Lets the three talkers send payloads of these sizes, 2 ms apart, and waits for the rest.
fn speak(room: &mut Room, sizes: [usize; 3]) {
    for (member, size) in sizes.into_iter().enumerate() {
        room.send(member, VOICE, &vec![member as u8; size]);
        room.pass(Duration::from_millis(2));
    }
    room.pass(Duration::from_millis(14));
}

#[test]
fn one_receivers_packets_stand_together_largest_first_and_of_one_size() {
    let mut room = talking(GATHER_MAX);
    let begin = room.now;
    speak(&mut room, [90, 100, 96]);
    let rtp = room.sent.iter().filter(|(_, datagram)| classify(datagram) == PacketKind::Rtp);
    let receivers: Vec<_> = rtp.map(|(to, _)| to.port() - 10_000).collect();
    assert_eq!(receivers, [0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]);
    let received = &room.members[3].received;
    let payloads: Vec<_> = received.iter().map(|packet| packet.payload.len()).collect();
    assert_eq!(payloads, [100, 96, 90], "padding is no part of them");
    assert_eq!(received[0].size, received[1].size);
    assert_eq!(received[1].size - received[2].size, 10, "the last may be shorter");
    assert!(received.iter().all(|packet| packet.at == begin + GATHER_MAX));
    assert!(received.iter().all(|packet| packet.payload_type == OPUS));
    // Four octets for each of three listeners; the two packets of a talker need none.
    let padding = room.bridge().counters().padding_octets;
    assert_eq!(padding, room.shard.counters().padding_octets);
    assert_eq!(padding, 3 * 4);
}

#[test]
fn padding_that_would_be_too_much_is_left_out() {
    let mut room = talking(GATHER_MAX);
    speak(&mut room, [30, 200, 100]);
    let sizes: Vec<_> = room.members[4].received.iter().map(|packet| packet.size).collect();
    assert_eq!((sizes[0] - sizes[1], sizes[1] - sizes[2]), (100, 70));
    assert_eq!(room.bridge().counters().padding_octets, 0);
}

#[test]
fn who_leaves_or_is_muted_takes_what_waits_of_them_along() {
    for leaves in [true, false] {
        let mut room = talking(GATHER_MAX);
        room.send(0, VOICE, &[0; 90]);
        let (now, id) = (room.now, room.members[0].grant.id);
        if leaves {
            room.leave(0);
        } else {
            let muted = |leg| EngineInput::SetMuted { leg, muted: true };
            assert!(room.shard.handle_input(now, id, muted));
        }
        // What was due once and can never be done would stay due for ever.
        let until = now + GATHER_MAX;
        room.shard.handle_timeout(until, &mut room.wire);
        assert_eq!(room.shard.counters().deadlines_stuck, 0);
        assert!(room.shard.poll_timeout().is_none_or(|due| due > until));
        assert!(room.wire.0.iter().all(|(_, sent)| classify(sent) != PacketKind::Rtp));
    }
}

#[test]
fn at_low_load_each_packet_leaves_at_once() {
    let mut room = talking(Duration::ZERO);
    let begin = room.now;
    speak(&mut room, [90, 100, 96]);
    let received = &room.members[3].received;
    let times: Vec<_> = received.iter().map(|packet| packet.at).collect();
    assert_eq!(times, [0, 2, 4].map(|ms| begin + Duration::from_millis(ms)));
    assert_eq!(room.bridge().counters().padding_octets, 0);
}

#[test]
fn what_is_gathered_is_bounded_by_ten_ms_and_four_packets() {
    let mut room = talking(Duration::from_secs(1));
    let begin = room.now;
    for (member, payload) in [b"a", b"b", b"c", b"d"].into_iter().enumerate() {
        let member = member % 3;
        room.send(member, VOICE, &[&payload[..]; 10].concat());
    }
    assert_eq!(room.members[5].received.len(), 4, "the fourth sends all");
    room.send(0, VOICE, b"waits alone");
    room.pass(Duration::from_millis(20));
    assert_eq!(room.members[5].received[4].at, begin + GATHER_MAX);
}

#[test]
fn nothing_is_lost_when_a_slot_changes_hands_meanwhile() {
    let settings = BridgeSettings { talkers_max: 1, gather: GATHER_MAX, ..Default::default() };
    let mut room = Room::with_members(settings, 3);
    for tick in 0..200 {
        let mut levels = [Some(70), Some(70), None];
        levels[tick / 50 % 2] = Some(VOICE);
        room.tick(&levels);
    }
    let received = &room.members[2].received;
    assert!(received.windows(2).all(|two| two[1].sequence == two[0].sequence + 1));
    assert_eq!(received.iter().filter(|packet| packet.marker).count(), 4);
    assert!(received.windows(2).all(|two| two[1].timestamp.wrapping_sub(two[0].timestamp) < 9_600));
}
