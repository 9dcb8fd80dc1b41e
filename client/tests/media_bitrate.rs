//! The bitrate that members send with: by their own setting, and by the node's order.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sabha_client::media::{Schedule, Utterance};
use sabha_client::sound::SAMPLES_PER_MS;
use sabha_media::shard::BitrateOrder;
use sabha_mixer::MixerSettings;

mod media_support;
use media_support::Room;

const SECOND: Duration = Duration::from_secs(1);
const TALKER: usize = 0;
const LISTENER: usize = 1;

/// What the members of these rooms choose, in bit/s.
const OWN: u32 = 32_000;

/// How soon an order is there: a report's interval and a frame.
const TOLD: Duration = Duration::from_millis(8_000);

/// A tone of -14 dBFS without end behind this network, and one who listens.
fn room(network: &str) -> Room {
    let mut room = Room::new(MixerSettings::default());
    let samples = (0..150_000 * SAMPLES_PER_MS).map(|i| 0.2 * (i as f32 * 0.03).sin());
    let tone = Utterance { start: 0, samples: samples.collect::<Vec<f32>>().into() };
    room.join_through(network, 3, Schedule::new(vec![tone], 0.0, 5));
    room.join(11, Schedule::new(Vec::new(), 0.000_316, 3));
    room
}

fn bitrate(room: &Room) -> u32 {
    room.members[TALKER].report().bitrate
}

fn octets_of(room: &mut Room, time: Duration) -> u64 {
    let before = room.shard.counters().octets_in;
    room.run(time);
    room.shard.counters().octets_in - before
}

fn step_max(samples: &[f32]) -> f32 {
    samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn talker_who_loses_much_for_long_is_ordered_down_and_up_again_after() {
    let mut room = room("0 0 0 0 0; 0 0 20 0 1 at 2; 0 0 0 0 0 at 62");
    room.run(SECOND * 10);
    assert_eq!(bitrate(&room), OWN, "the loss has not lasted yet");
    let before = octets_of(&mut room, SECOND * 5);
    room.run(SECOND * 40);
    assert_eq!((bitrate(&room), room.members[TALKER].report().copies_out), (24_000, 2));
    assert_eq!(bitrate_of_listener(&room), OWN, "their leg loses nothing");
    let lowered = octets_of(&mut room, SECOND * 5);
    assert!(lowered * 10 < before * 9, "{lowered} of {before} octets with as many copies");
    room.run(SECOND * 60);
    assert_eq!((bitrate(&room), room.members[TALKER].report().copies_out), (OWN, 0));
    let orders = room.shard.counters().bitrate_orders_out;
    assert!((2..=4).contains(&orders), "down and up, in steps perhaps: {orders}");
}

fn bitrate_of_listener(room: &Room) -> u32 {
    room.members[LISTENER].report().bitrate
}

#[test]
fn talker_who_loses_little_or_for_a_moment_sends_as_they_chose() {
    for network in ["0 0 1 0 1", "0 0 0 0 0; 0 0 20 0 1 at 12; 0 0 0 0 0 at 17"] {
        let mut room = room(network);
        for _ in 0..60 {
            room.run(SECOND);
            assert_eq!(bitrate(&room), OWN, "{network}");
        }
    }
}

#[test]
fn change_of_bitrate_is_no_click() {
    let mut room = room("0 0 0 0 0");
    room.run(SECOND * 10);
    let from = room.members[LISTENER].heard().len();
    room.run(SECOND * 2);
    let steady = step_max(&room.members[LISTENER].heard()[from..]);
    for number in [12, 24, 16, 0] {
        let order = BitrateOrder::from_number(number);
        room.shard.set_bitrate_order(order);
        let from = room.members[LISTENER].heard().len();
        room.run(TOLD);
        assert_eq!(bitrate(&room), order.of(OWN));
        let step = step_max(&room.members[LISTENER].heard()[from..]);
        assert!(step < steady * 1.5, "to {number} kbit/s: {step} after {steady}");
    }
}

#[test]
fn order_above_the_own_setting_or_below_speech_changes_nothing() {
    let mut room = room("0 0 0 0 0");
    for number in [64, 254, 11, 1] {
        room.shard.set_bitrate_order(BitrateOrder::from_number(number));
        room.run(TOLD);
        assert_eq!(bitrate(&room), OWN, "{number}");
    }
}
