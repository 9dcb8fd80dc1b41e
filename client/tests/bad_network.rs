//! Members behind bad networks around a real shard, in virtual time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sabha_client::media::{MemberReport, Schedule, Utterance};
use sabha_mixer::MixerSettings;

mod media_support;
use media_support::Room;

/// A murmur that begins after a second and never pauses, loud enough for any squelch.
fn murmur(seconds: usize) -> Schedule {
    let wave = |at: usize| {
        let at = at as f32;
        0.1 * (at * 0.021).sin() * (1.0 + 0.5 * (at * 0.000_4).sin()) + 0.05 * (at * 0.047).sin()
    };
    let samples: Vec<f32> = (0..(seconds - 1) * 48_000).map(wave).collect();
    Schedule::new(vec![Utterance { start: 48_000, samples: samples.into() }], 0.0, 1)
}

fn silence() -> Schedule {
    Schedule::new(Vec::new(), 0.0, 1)
}

/// Runs a clean talker, a listener behind `plan`, and a clean listener for 20 s.
fn listen(plan: &str) -> Vec<MemberReport> {
    let mut room = Room::new(MixerSettings::default());
    room.join(0, murmur(20));
    room.join_through(plan, 3, silence());
    room.join(7, silence());
    room.run(Duration::from_secs(20));
    room.members.iter().map(media_support::Member::report).collect()
}

fn mos(report: &MemberReport) -> f32 {
    report.quality().unwrap().mos.value()
}

#[test]
fn loss_is_seen_and_rated_on_its_leg_and_on_no_other() {
    let lossy = listen("0 0 10");
    let (impaired, clean) = (&lossy[1], &lossy[2]);
    assert!((60..140).contains(&impaired.lost), "{} of 1,000", impaired.lost);
    assert_eq!((clean.lost, clean.concealed), (0, 0));
    assert!(mos(impaired) < mos(clean) && mos(clean) > 4.2, "{} {}", mos(impaired), mos(clean));
}

#[test]
fn delay_is_in_the_round_trip_and_nothing_is_lost_by_it() {
    let far = &listen("150")[1];
    let round_trip = far.round_trip.unwrap();
    assert!(round_trip >= Duration::from_millis(300), "{round_trip:?}");
    assert!(round_trip < Duration::from_millis(302), "{round_trip:?}");
    assert_eq!((far.lost, far.concealed), (0, 0));
    assert!(far.quality().unwrap().delay > Duration::from_millis(170));
}

#[test]
fn jitter_lengthens_the_buffer() {
    let (steady, jittery) = (listen("60"), listen("60 15"));
    let buffer = |reports: &[MemberReport]| reports[1].heard.delays.percentile(0.5).unwrap();
    assert!(buffer(&jittery) > buffer(&steady), "{:?} {:?}", buffer(&jittery), buffer(&steady));
    assert!(jittery[1].jitter > Duration::from_millis(8), "{:?}", jittery[1].jitter);
    assert_eq!(jittery[2].heard.concealed, 0);
}

#[test]
fn delays_are_known_before_the_first_word() {
    for seed in 3..8 {
        let mut room = Room::new(MixerSettings::default());
        room.join_through("60 30", seed, murmur(5));
        let listener = room.join_through("60 30", seed + 20, silence());
        room.run(Duration::from_secs(5));
        let concealments = room.shard.engine(room.conference).unwrap().counters().concealments;
        let heard = room.members[listener].report().heard;
        let concealed = heard.concealed / 960;
        // Of 200 frames; one in a hundred packets may be later than what is waited for.
        assert!(concealments <= 3 && concealed <= 3, "{seed}: {concealments} and {concealed}");
    }
}

#[test]
fn spike_is_seen_once_and_leaves_the_others_alone() {
    let reports = listen("0; spike 300 at 10");
    assert_eq!(reports[1].lost, 0, "all comes in the end");
    assert!(reports[1].heard.concealed > 0, "but some of it too late");
    assert_eq!(reports[2].heard.concealed, 0);
}

#[test]
fn same_seed_gives_the_same_to_the_sample() {
    let hear = || {
        let mut room = Room::new(MixerSettings::default());
        room.join_through("20 10 5 2 2", 5, murmur(5));
        let listener = room.join_through("20 10 5 2 2", 6, silence());
        room.run(Duration::from_secs(5));
        room.members[listener].heard()
    };
    assert_eq!(hear(), hear());
}
