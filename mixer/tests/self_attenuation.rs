//! What talkers hear of themselves and of others.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Room, amplitude, db, tone};
use sabha_media::engine::EngineInput;
use sabha_media::shard::OwnVoice;
use sabha_mixer::MixerSettings;

/// The last second of what a member heard.
fn last_second(room: &Room, member: usize) -> &[f32] {
    let heard = &room.members[member].heard;
    &heard[heard.len() - 48_000..]
}

fn room_of_three(self_share: f32) -> Room {
    let mut room = Room::new(MixerSettings { self_share, ..MixerSettings::default() });
    for phase_ms in [3, 11, 17] {
        room.join(phase_ms);
    }
    room.say(0, tone(440.0, 0.2));
    room.say(1, tone(1_000.0, 0.2));
    room.run(Duration::from_secs(4));
    room
}

#[test]
fn own_voice_returns_at_a_tenth() {
    let room = room_of_three(0.1);
    let own = amplitude(last_second(&room, 0), 440.0);
    let others = amplitude(last_second(&room, 2), 440.0);
    let share = own / others;
    assert!((0.09..=0.11).contains(&share), "own voice returned at {share}");
}

#[test]
fn own_voice_is_gone_at_no_share() {
    let room = room_of_three(0.0);
    let own = amplitude(last_second(&room, 0), 440.0);
    let others = amplitude(last_second(&room, 2), 440.0);
    assert!(db(own / others) < -50.0, "own voice at {} dB", db(own / others));
}

#[test]
fn nobody_elses_level_changes_with_the_share() {
    for self_share in [0.0, 0.1, 1.0] {
        let room = room_of_three(self_share);
        let talker = amplitude(last_second(&room, 0), 1_000.0);
        let listener = amplitude(last_second(&room, 2), 1_000.0);
        assert!(db(talker / listener).abs() < 0.5, "{} dB", db(talker / listener));
        assert!(db(listener / 0.2).abs() < 0.5, "{} dB against what was said", db(listener / 0.2));
    }
}

#[test]
fn own_voice_is_left_out_for_one_who_asks_and_for_nobody_else() {
    let mut room = Room::new(MixerSettings::default());
    for phase_ms in [3, 11, 17] {
        room.join(phase_ms);
    }
    room.say(0, tone(440.0, 0.2));
    room.say(1, tone(1_000.0, 0.2));
    let (now, leg) = (room.now, room.members[0].grant.id);
    let own_voice = OwnVoice::LeftOut;
    room.shard.handle_input(now, leg, |leg| EngineInput::SetOwnVoice { leg, own_voice });
    room.run(Duration::from_secs(4));
    let listener = last_second(&room, 2);
    let own = amplitude(last_second(&room, 0), 440.0) / amplitude(listener, 440.0);
    assert!(db(own) < -50.0, "own voice at {} dB", db(own));
    let other = amplitude(last_second(&room, 1), 1_000.0) / amplitude(listener, 1_000.0);
    assert!((0.09..=0.11).contains(&other), "the other's returned at {other}");
}
