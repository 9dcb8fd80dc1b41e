//! What passes, to whom, and under which numbers.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{FRAME, QUIET, RED, Room, VOICE, red};
use sabha_bridge::BridgeSettings;
use sabha_media::drop_reason::DropReason;

const SILENT: Option<u8> = Some(QUIET);
const TALKS: Option<u8> = Some(VOICE);

fn one_slot() -> BridgeSettings {
    BridgeSettings { talkers_max: 1, ..BridgeSettings::default() }
}

#[test]
fn talkers_are_forwarded_to_all_others_and_never_to_themselves() {
    let mut room = Room::with_members(BridgeSettings::default(), 6);
    for _ in 0..100 {
        room.tick(&[TALKS, TALKS, TALKS, SILENT]);
    }
    for listener in 3..6 {
        for talker in 0..3 {
            let heard = room.heard(listener, talker);
            assert_eq!(heard.len(), 100);
            assert!(heard.iter().all(|packet| packet.slot == heard[0].slot), "one slot each");
        }
    }
    for talker in 0..3 {
        assert_eq!(room.heard(talker, talker).len(), 0);
        assert_eq!(room.members[talker].received.len(), 200);
    }
    assert_eq!(room.bridge().gauges().slots_in_use, 3);
    assert_eq!(room.shard.counters().outbox_refused, 0);
}

#[test]
fn payloads_pass_unchanged_with_their_levels() {
    let mut room = Room::with_members(BridgeSettings::default(), 2);
    let payloads: Vec<Vec<u8>> = (0..50).map(|n: usize| vec![n as u8; 3 + n * n % 1_200]).collect();
    for (n, payload) in payloads.iter().enumerate() {
        room.send(0, 20 + n as u8 % 9, payload);
        room.pass(FRAME);
    }
    let heard = room.heard(1, 0);
    assert!(heard.iter().map(|packet| &packet.payload).eq(&payloads));
    assert!(heard.iter().zip(0..).all(|(packet, n)| packet.sources[0].1.0 == 20 + n % 9));
    assert_eq!(room.bridge().counters().padding_octets, 0);
}

#[test]
fn nothing_is_sent_in_silence_and_nothing_is_due() {
    let mut room = Room::with_members(BridgeSettings::default(), 3);
    for _ in 0..50 {
        room.tick(&[TALKS, None, None]);
    }
    room.pass(Duration::from_millis(400));
    room.forget_received();
    for _ in 0..200 {
        room.tick(&[SILENT, SILENT, None]);
    }
    assert!(room.members.iter().all(|member| member.received.is_empty()));
    assert_eq!(room.bridge().gauges().slots_in_use, 0);
    use sabha_media::engine::Engine;
    assert_eq!(room.bridge().poll_timeout(), None);
}

#[test]
fn look_back_of_three_packets_comes_before_the_onset() {
    let mut room = Room::with_members(BridgeSettings::default(), 2);
    for _ in 0..10 {
        room.tick(&[SILENT]);
    }
    let onset = room.members[0].sequence;
    let first_timestamp = room.members[0].timestamp;
    room.tick(&[TALKS]);
    let heard = room.heard(1, 0);
    let sent: Vec<_> =
        (onset - 3..=onset).map(|number| format!("0:{number}:").into_bytes()).collect();
    assert!(heard.iter().zip(&sent).all(|(packet, sent)| packet.payload.starts_with(sent)));
    assert_eq!(heard.len(), 4);
    assert_eq!(
        heard.iter().map(|packet| packet.marker).collect::<Vec<_>>(),
        [true, false, false, false]
    );
    let offset = heard[3].timestamp.wrapping_sub(first_timestamp);
    let timestamps: Vec<_> = heard.iter().map(|one| one.timestamp.wrapping_sub(offset)).collect();
    assert_eq!(timestamps, [3, 2, 1, 0].map(|n| first_timestamp - n * 960));
    assert_eq!(room.bridge().counters().lookback_sent, 3);
}

#[test]
fn loss_and_order_on_the_way_here_stay_visible() {
    let mut room = Room::with_members(BridgeSettings::default(), 2);
    room.tick(&[TALKS]);
    let packets: Vec<_> =
        (0..6).map(|n| room.members[0].seal(common::OPUS, &[n; 40], VOICE)).collect();
    let from = room.members[0].address;
    for number in [0, 2, 1, 5, 4] {
        room.inject(from, packets[number].clone());
    }
    let heard = room.heard(1, 0);
    let first = heard[0].sequence;
    let numbers: Vec<_> = heard.iter().map(|packet| packet.sequence - first).collect();
    assert_eq!(numbers, [0, 1, 3, 2, 6, 5]);
    let start = heard[0].timestamp;
    let all_fit = heard.iter().all(|packet| {
        packet.timestamp.wrapping_sub(start) == u32::from(packet.sequence - first) * 960
    });
    assert!(all_fit);
    assert_eq!(room.shard.counters().drops.of(DropReason::Discontinuous), 0);
}

#[test]
fn takeover_goes_on_by_one_with_a_marker_and_the_time_that_passed() {
    let mut room = Room::with_members(one_slot(), 4);
    for _ in 0..50 {
        room.tick(&[TALKS, None, None, None]);
    }
    for _ in 0..50 {
        room.tick(&[None, None, None, None]);
    }
    for _ in 0..50 {
        room.tick(&[None, TALKS, None, None]);
    }
    let received = &room.members[2].received;
    assert_eq!(received.len(), 100);
    assert!(received.windows(2).all(|two| two[1].sequence == two[0].sequence + 1));
    let markers: Vec<_> = received.iter().map(|packet| packet.marker).collect();
    assert_eq!(markers.iter().filter(|marker| **marker).count(), 2);
    assert!(markers[0] && markers[50]);
    let silence = received[50].timestamp.wrapping_sub(received[49].timestamp);
    assert_eq!(silence, 51 * 960);
}

#[test]
fn talkers_own_stream_has_no_jump_once_another_has_the_slot() {
    let mut room = Room::with_members(one_slot(), 3);
    for turn in 0..6 {
        for _ in 0..50 {
            let mut levels = [None; 3];
            levels[turn % 2] = TALKS;
            room.tick(&levels);
        }
        room.pass(Duration::from_millis(500));
    }
    for member in 0..2 {
        let received = &room.members[member].received;
        assert_eq!(received.len(), 150);
        assert!(received.windows(2).all(|two| two[1].sequence == two[0].sequence.wrapping_add(1)));
        assert_eq!(received.iter().filter(|packet| packet.marker).count(), 3);
    }
}

#[test]
fn newcomer_in_mid_spurt_begins_with_a_marker() {
    let mut room = Room::with_members(BridgeSettings::default(), 2);
    for _ in 0..20 {
        room.tick(&[TALKS]);
    }
    let newcomer = room.join();
    for _ in 0..20 {
        room.tick(&[TALKS]);
    }
    let received = &room.members[newcomer].received;
    assert_eq!(received.len(), 20);
    assert!(received[0].marker && received[1..].iter().all(|packet| !packet.marker));
    assert!(received[0].sequence < 1 << 15, "the first roll-over is not ambiguous");
}

#[test]
fn clean_leg_is_sent_the_primary_only_and_a_lossy_one_copies() {
    let mut room = Room::new(BridgeSettings::default());
    room.red = true;
    for _ in 0..3 {
        room.join();
    }
    for _ in 0..4 {
        room.report_loss(1, 0.0);
        room.report_loss(2, 0.1);
    }
    let payloads: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![n; 40 + usize::from(n)]).collect();
    let copy = |n: usize, back: usize| (960 * back as u32, &payloads[n - back][..]);
    for (n, payload) in payloads.iter().enumerate() {
        let copies: Vec<_> = (1..=n.min(2)).map(|back| copy(n, back)).collect();
        room.send_red(0, payload, &copies);
        room.pass(FRAME);
    }
    let clean = room.heard(1, 0);
    assert!(clean.iter().map(|packet| &packet.payload).eq(&payloads));
    let lossy = room.heard(2, 0);
    assert!(lossy.iter().map(|packet| packet.primary().to_vec()).eq(payloads.iter().cloned()));
    for (n, packet) in lossy.iter().enumerate().skip(2) {
        assert_eq!(packet.payload_type, RED);
        assert_eq!(packet.payload, red(&payloads[n], &[copy(n, 1), copy(n, 2)]), "as it came");
    }
    assert_eq!(lossy[0].payload_type, common::OPUS, "before the first there is nothing");
}

#[test]
fn packet_that_came_only_as_a_copy_is_forwarded_as_itself_once() {
    let mut room = Room::new(BridgeSettings::default());
    room.red = true;
    room.join();
    room.join();
    room.report_loss(1, 0.0);
    let payloads: Vec<Vec<u8>> = (0..12_u8).map(|n| vec![n; 50]).collect();
    let mut late = None;
    for n in 0..12 {
        let copies: Vec<_> =
            (1..=n.min(2)).map(|back| (960 * back as u32, &payloads[n - back][..])).collect();
        let datagram = room.members[0].seal(RED, &red(&payloads[n], &copies), VOICE);
        match n {
            4 | 7 | 8 => late = Some(datagram),
            _ => room.inject(room.members[0].address, datagram),
        }
        room.pass(FRAME);
    }
    room.inject(room.members[0].address, late.unwrap());
    let heard = room.heard(1, 0);
    assert!(heard.iter().map(|packet| &packet.payload).eq(&payloads));
    assert!(heard.windows(2).all(|two| two[1].sequence == two[0].sequence + 1));
    assert_eq!(room.bridge().counters().recovered, 3);
    assert_eq!(room.shard.counters().drops.of(DropReason::Duplicate), 1, "it had come as a copy");
}

#[test]
fn browsers_pauses_pass_with_their_gaps() {
    let mut room = Room::with_members(BridgeSettings::default(), 2);
    for _ in 0..25 {
        room.tick(&[TALKS]);
    }
    // Discontinuous transmission: one or two octets every 400 ms, under consecutive numbers.
    room.send(0, 127, &[0x08, 0xff]);
    room.pass(Duration::from_millis(380));
    room.members[0].timestamp += 18 * 960;
    let before = room.heard(1, 0).len();
    room.tick(&[TALKS]);
    let heard = room.heard(1, 0);
    assert_eq!(before, 26, "the pause's packet within the hangover");
    assert_eq!(heard[25].payload, [0x08, 0xff]);
    assert_eq!(heard[26].sequence, heard[25].sequence + 1);
    assert_eq!(heard[26].timestamp.wrapping_sub(heard[25].timestamp), 19 * 960);
    assert!(!heard[26].marker);
}
