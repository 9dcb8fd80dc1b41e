//! A node that was not let run for a while: nothing stale is sent, and no delay remains.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Room, noise, tone};
use sabha_mixer::{ListenerPacket, ListenerPacketSetting, MixerSettings};

/// Whose delay is measured: by noise, which is like itself at one place only.
const TALKER: usize = 0;
const LISTENER: usize = 3;
const RMS: f32 = 0.1;
const SEED: u64 = 11;

fn room(listener_packet: ListenerPacket) -> Room {
    let listener_packet = ListenerPacketSetting::Fixed(listener_packet);
    let mut room = Room::new(MixerSettings { listener_packet, ..MixerSettings::default() });
    for phase_ms in [3, 9, 16, 5] {
        room.join(phase_ms);
    }
    room.say(TALKER, noise(RMS, SEED));
    for talker in 1..LISTENER {
        room.say(talker, tone(300.0 * talker as f32, 0.02));
    }
    room.run(Duration::from_secs(2));
    room
}

/// How long ago, in ms, the talker said what the listener was sent last; with the look-ahead of
/// two encoders.
fn delay_ms(room: &Room) -> f64 {
    let (heard, listener) = (&room.members[LISTENER].heard, &room.members[LISTENER]);
    let said_samples = (room.members[TALKER].timestamp - 5_000) as usize;
    let said: Vec<f32> = (0..said_samples as u64).map(noise(RMS, SEED)).collect();
    let window = &heard[heard.len() - WINDOW..];
    let likeness = |start: usize| -> f32 {
        window.iter().zip(&said[start..]).map(|(one, other)| one * other).sum()
    };
    let starts = said_samples - SEARCHED..said_samples - WINDOW;
    let best = starts.max_by(|one, other| likeness(*one).total_cmp(&likeness(*other))).unwrap();
    let last = listener.received.last().unwrap().at;
    let since = room.now.saturating_since(last).as_secs_f64() * 1_000.0;
    (said_samples - best - WINDOW) as f64 / 48.0 - since
}

/// Samples compared, and samples back from now among which they are looked for.
const WINDOW: usize = 960;
const SEARCHED: usize = 20_000;

#[test]
fn delay_after_a_stall_is_as_before() {
    for packet in [ListenerPacket::Ms20, ListenerPacket::Ms60] {
        for finds_time_first in [false, true] {
            let mut room = room(packet);
            let before = delay_ms(&room);
            for stall in 1..=4 {
                let received = room.members[LISTENER].received.len();
                room.stall(Duration::from_millis(500), finds_time_first);
                room.run(Duration::from_millis(60));
                let burst = room.members[LISTENER].received.len() - received;
                assert!(burst <= 4, "{burst} packets in 60 ms");
                let passed = room.mixer().counters().ticks_passed_over;
                assert!((stall * 24..=stall * 25).contains(&passed), "{passed} after {stall}");
                room.run(Duration::from_millis(940));
                let after = delay_ms(&room);
                assert!(
                    (after - before).abs() <= 20.0,
                    "{packet:?}, time first: {finds_time_first}, {stall}: {before} and {after} ms"
                );
            }
        }
    }
}

#[test]
fn stream_goes_on_behind_a_stall_as_after_a_pause() {
    let mut room = room(ListenerPacket::Ms20);
    let before = room.members[LISTENER].received.len();
    room.stall(Duration::from_millis(500), false);
    room.run(Duration::from_millis(500));
    let received = &room.members[LISTENER].received[before - 1..];
    assert!(received.windows(2).all(|pair| pair[0].sequence.wrapping_add(1) == pair[1].sequence));
    let jump = received[1].timestamp.wrapping_sub(received[0].timestamp);
    let passed = received[1].at.saturating_since(received[0].at).as_millis() as u32 * 48;
    assert!(received[1].marker && jump.abs_diff(passed) <= 960, "{jump} for {passed}");
    assert!(received[2..].iter().all(|packet| !packet.marker));
}

#[test]
fn short_stall_loses_nothing() {
    let mut room = room(ListenerPacket::Ms20);
    let before = room.members[LISTENER].received.len();
    room.stall(Duration::from_millis(50), false);
    room.run(Duration::from_secs(1));
    assert_eq!(room.mixer().counters().ticks_passed_over, 0);
    let received = &room.members[LISTENER].received[before - 1..];
    assert!(received.len() >= 52 && received.iter().all(|packet| !packet.marker));
}

#[test]
fn who_began_to_talk_in_a_stall_is_heard_without_its_delay() {
    let mut room = Room::new(MixerSettings::default());
    for phase_ms in [3, 9, 16, 5] {
        room.join(phase_ms);
    }
    room.say(TALKER, noise(RMS, SEED));
    room.stall(Duration::from_millis(500), false);
    room.run(Duration::from_secs(1));
    let delay = delay_ms(&room);
    assert!(delay < 60.0, "{delay} ms");
}
