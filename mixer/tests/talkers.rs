//! Who is heard, and what others notice of comings and goings.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Room, amplitude, db, peak, tone};
use sabha_media::drop_reason::DropReason;
use sabha_media::engine::EngineInput;
use sabha_media::extension::LevelDbov;
use sabha_media::leg::LegRole;
use sabha_media::shard::LegRequest;
use sabha_media::srtp::{MasterKey, SrtpSuite};
use sabha_mixer::MixerSettings;

#[test]
fn ten_talkers_at_full_scale_stay_below_the_ceiling() {
    let mut room = Room::new(MixerSettings { talkers_max: 10, ..MixerSettings::default() });
    for index in 0..11 {
        room.join(index);
    }
    for index in 0..10 {
        room.say(index, tone(200.0 + 110.0 * index as f32, 0.99));
    }
    room.run(Duration::from_secs(3));
    let limit = 10f32.powf(-1.0 / 20.0);
    for (index, member) in room.members.iter().enumerate() {
        let loudest = peak(&member.heard);
        assert!(loudest < limit, "member {index} heard {} dBFS", db(loudest.into()));
        assert!(loudest > 0.4, "and they are heard: {loudest}");
    }
}

#[test]
fn limited_tone_keeps_its_shape() {
    let mut room = Room::new(MixerSettings { talkers_max: 10, ..MixerSettings::default() });
    for index in 0..6 {
        room.join(index * 3);
    }
    for index in 0..5 {
        room.say(index, tone(1_000.0, 0.99));
    }
    room.run(Duration::from_secs(4));
    let heard = &room.members[5].heard;
    let steady = &heard[heard.len() - 48_000..];
    let fundamental = amplitude(steady, 1_000.0);
    let energy: f64 = steady.iter().map(|sample| f64::from(sample * sample)).sum();
    let total = (2.0 * energy / steady.len() as f64).sqrt();
    let rest = (total * total - fundamental * fundamental).max(0.0).sqrt();
    assert!(fundamental > 0.5);
    assert!(db(rest / fundamental) < -30.0, "distortion and noise at {}", db(rest / fundamental));
}

#[test]
fn starting_and_stopping_a_hundred_times_makes_no_click() {
    let mut room = Room::new(MixerSettings::default());
    for phase_ms in [2, 9, 15] {
        room.join(phase_ms);
    }
    room.say(0, tone(300.0, 0.1));
    // Speaks 480 ms of every 1.2 s with soft edges, softly: its own steps are far below the tone's.
    let mut voice = tone(170.0, 0.02);
    room.say(1, move |sample| {
        let place = sample % 57_600;
        let edge = (place.min(23_040_u64.saturating_sub(place)) as f32 / 2_400.0).min(1.0);
        if place < 23_040 { voice(sample) * edge } else { 0.0 }
    });
    room.run(Duration::from_secs(121));
    let starts = room.mixer().counters().ticks / 60;
    assert!(starts >= 100);
    for member in [1, 2] {
        let heard = &room.members[member].heard[48_000..];
        let step = |window: &[f32]| {
            window.windows(2).fold(0.0_f32, |most, pair| most.max((pair[1] - pair[0]).abs()))
        };
        let largest = step(heard);
        let mut steps: Vec<f32> = heard.chunks(960).map(step).collect();
        steps.sort_unstable_by(f32::total_cmp);
        let steady = steps[steps.len() / 2];
        assert!(largest <= 1.5 * steady, "member {member}: {largest} against {steady}");
    }
}

#[test]
fn nothing_of_an_onset_is_missing() {
    // 60 ms below the threshold lead up to a loud voice, as a soft consonant does.
    let onset = |sample: u64| match sample {
        0..48_000 => 0.0,
        48_000..50_880 => 0.002_8,
        50_880..96_000 => 0.2,
        _ => 0.0,
    };
    for phase_ms in [0, 7, 13] {
        let mut room = Room::new(MixerSettings::default());
        let (talker, listener) = (room.join(phase_ms), room.join(3));
        let mut voice = tone(400.0, 1.0);
        room.say(talker, move |sample| voice(sample) * onset(sample));
        room.run(Duration::from_secs(3));
        let heard = &room.members[listener].heard;
        let loud = heard.iter().position(|sample| sample.abs() > 0.05).unwrap();
        // The faint lead-in, as long as it was said, right before the loud part; a few
        // milliseconds less for the codec's smearing and the fade-in.
        let lead = heard[loud.saturating_sub(2_880)..loud.saturating_sub(240)].chunks(240);
        let faint = lead.filter(|chunk| peak(chunk) > 0.000_8).count();
        assert!(faint >= 9, "phase {phase_ms}: {faint} of 11 lead-in chunks were heard");
        // What was kept began two packets before the rest came; that delay goes, period by period.
        let loud_part = heard[loud..].chunks(240).filter(|chunk| peak(chunk) > 0.1).count();
        assert!(loud_part >= (45_120 - 2 * 960) / 240 - 1, "{loud_part} chunks of the voice");
    }
}

#[test]
fn only_the_loudest_are_summed() {
    let mut room = Room::new(MixerSettings { talkers_max: 2, ..MixerSettings::default() });
    for index in 0..8 {
        room.join(index * 2);
    }
    let rates = [300.0, 500.0, 700.0, 900.0, 1_100.0, 1_300.0];
    for (index, rate_hz) in rates.into_iter().enumerate() {
        room.say(index, tone(rate_hz, 0.02 * (index + 1) as f32));
    }
    room.run(Duration::from_secs(3));
    let heard = &room.members[7].heard;
    let steady = &heard[heard.len() - 48_000..];
    for (index, rate_hz) in rates.into_iter().enumerate() {
        let level = amplitude(steady, rate_hz.into());
        assert_eq!(level > 0.01, index >= 4, "{rate_hz} Hz at {level}");
    }
    let counters = room.mixer().counters();
    assert_eq!((counters.ticks_over_encode_bound, counters.ticks_over_decode_bound), (0, 0));
    assert_eq!(counters.encodes_per_tick.median(), 3, "two talkers and the shared one");
}

#[test]
fn claims_that_decoding_contradicts_are_blocked() {
    let mut room = Room::new(MixerSettings::default());
    let (liar, _) = (room.join(0), room.join(5));
    room.say(liar, tone(400.0, 0.000_1));
    room.members[liar].claim = Some(LevelDbov(10));
    room.run(Duration::from_secs(20));
    let counters = room.mixer().counters();
    assert!(counters.false_claims >= 3, "{}", counters.false_claims);
    assert!(counters.decodes < 300, "the back-off grows: {} decodes", counters.decodes);
    assert!(room.shard.counters().drops.of(DropReason::NotCandidate) > 500);
}

#[test]
fn muted_member_is_not_heard_until_unmuted() {
    let mut room = Room::new(MixerSettings::default());
    let (talker, listener) = (room.join(0), room.join(5));
    room.say(talker, tone(400.0, 0.1));
    room.run(Duration::from_secs(1));
    let leg = room.members[talker].grant.id;
    room.shard.handle_input(room.now, leg, |leg| EngineInput::SetMuted { leg, muted: true });
    room.run(Duration::from_millis(200));
    let packets = room.members[listener].received.len();
    room.run(Duration::from_secs(1));
    assert_eq!(room.members[listener].received.len(), packets);
    assert!(room.shard.counters().drops.of(DropReason::Muted) >= 50);
    room.shard.handle_input(room.now, leg, |leg| EngineInput::SetMuted { leg, muted: false });
    room.run(Duration::from_secs(1));
    assert!(room.members[listener].received.len() > packets + 40);
}

#[test]
fn full_conference_refuses_with_its_limit() {
    let mut room = Room::new(MixerSettings { members_max: 2, ..MixerSettings::default() });
    room.join(0);
    room.join(1);
    let key = || MasterKey::new(SrtpSuite::AeadAes128Gcm, &[9; 28]).unwrap();
    let request =
        LegRequest { role: LegRole::Member, receive_key: key(), send_key: key(), red: false };
    let refusal = room.shard.add_leg(room.now, room.conference, &request).unwrap_err();
    assert!(refusal.to_string().contains("admits 2 members"), "{refusal}");
    let first = room.members[0].grant.id;
    assert!(room.shard.remove_leg(room.now, first));
    assert!(room.shard.add_leg(room.now, room.conference, &request).is_ok());
}

#[test]
fn member_who_leaves_in_mid_word_fades() {
    let mut room = Room::new(MixerSettings::default());
    for phase_ms in [2, 9, 15] {
        room.join(phase_ms);
    }
    room.say(0, tone(300.0, 0.1));
    room.say(1, tone(170.0, 0.1));
    room.run(Duration::from_secs(2));
    let leaving = room.members[1].grant.id;
    room.shard.remove_leg(room.now, leaving);
    room.members[1].voice = None;
    room.run(Duration::from_secs(1));
    let heard = &room.members[2].heard[48_000..];
    let largest = heard.windows(2).fold(0.0_f32, |most, pair| most.max((pair[1] - pair[0]).abs()));
    let alone = 0.1 * std::f32::consts::TAU * (300.0 + 170.0) / 48_000.0;
    assert!(largest <= 1.5 * alone, "{largest} against {alone}");
}

#[test]
fn tick_follows_the_talker_so_that_packets_hardly_wait() {
    for phase_ms in [1, 8, 19] {
        let mut room = Room::new(MixerSettings::default());
        let (talker, listener) = (room.join(phase_ms), room.join(5));
        room.say(talker, tone(300.0, 0.1));
        room.run(Duration::from_secs(1));
        let last = room.members[listener].received.last().unwrap();
        let since = (last.at.as_nanos() - common::START.as_nanos()) / 1_000_000;
        let wait_ms = (since + 20 - phase_ms) % 20;
        assert!(wait_ms <= 5, "packets wait {wait_ms} ms");
    }
}
