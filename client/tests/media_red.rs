//! Members who lose packets, and what copies of them bring back.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sabha_client::media::{Schedule, Utterance};
use sabha_client::sound::SAMPLES_PER_MS;
use sabha_media::drop_reason::DropReason;
use sabha_mixer::{MixerCounters, MixerSettings};

mod media_support;
use media_support::Room;

const SECOND: Duration = Duration::from_secs(1);
const NOISE_RMS: f32 = 0.000_316;
const TALKER: usize = 0;
const LISTENER: usize = 1;

/// How soon copies are there: two reports.
const RISE: Duration = Duration::from_secs(11);

/// How soon they are gone: until the loss reads as half of what they begin at, and three reports.
const FALL: Duration = Duration::from_secs(45);

/// A network without faults.
const CLEAN: &str = "0 0 0 0 0";

/// One that loses a tenth, from 2 s on for half a minute.
const LOSSY: &str = "0 0 0 0 0; 0 0 10 0 1 at 2; 0 0 0 0 0 at 32";

/// A tone without end, and one who listens. Packets wait for two copies everywhere: how a buffer
/// learns to is not tested here.
fn room(talkers_network: &str, listeners_network: &str) -> Room {
    let mut settings = MixerSettings::default();
    settings.jitter.target_min = Duration::from_millis(50);
    let mut room = Room::new(settings);
    room.playout_delay = Duration::from_millis(50);
    populate(&mut room, talkers_network, listeners_network);
    room
}

fn populate(room: &mut Room, talkers_network: &str, listeners_network: &str) {
    let samples = (0..150_000 * SAMPLES_PER_MS).map(|i| 0.2 * (i as f32 * 0.03).sin());
    let tone = Utterance { start: 48_000, samples: samples.collect::<Vec<f32>>().into() };
    room.join_through(talkers_network, 3, Schedule::new(vec![tone], NOISE_RMS, 5));
    room.join_through(listeners_network, 11, Schedule::new(Vec::new(), NOISE_RMS, 3));
}

fn counters(room: &Room) -> MixerCounters {
    room.shard.engine(room.conference).unwrap().counters().clone()
}

/// Of the sound of 19 s, the share that a member concealed, in percent.
fn concealed_by_listener(room: &mut Room) -> f64 {
    let before = room.members[LISTENER].report().heard.concealed;
    room.run(SECOND * 19);
    let concealed = room.members[LISTENER].report().heard.concealed - before;
    concealed as f64 / (19.0 * SAMPLES_PER_MS as f64 * 1_000.0) * 100.0
}

#[test]
fn listener_who_loses_a_tenth_is_sent_two_copies_and_conceals_next_to_nothing() {
    let mut room = room(CLEAN, LOSSY);
    room.run(SECOND * 2);
    room.run(RISE);
    let concealed = concealed_by_listener(&mut room);
    let report = room.members[LISTENER].report();
    println!("{concealed} % concealed, {} recovered of {} lost", report.recovered, report.lost);
    assert!(concealed < 2.0, "{concealed} %");
    assert_eq!(report.red_copies, 2);
    assert!(report.lost > 100, "what is recovered still counts as lost: {}", report.lost);
    assert!(report.recovered as f64 > 0.8 * 95.0, "{}", report.recovered);
    assert_eq!(report.drops.total(), 0, "a copy of what is there is no drop");

    room.run(FALL);
    let before = counters(&room).packets_by_copies;
    room.run(SECOND * 5);
    assert_eq!(counters(&room).packets_by_copies, before, "loss is over");
}

#[test]
fn talker_who_loses_a_tenth_sends_two_copies_and_the_node_conceals_next_to_nothing() {
    let mut room = room(LOSSY, CLEAN);
    room.run(SECOND * 2);
    room.run(RISE);
    assert_eq!(room.members[TALKER].report().copies_out, 2);
    let before = counters(&room);
    room.run(SECOND * 19);
    let after = counters(&room);
    let concealed = (after.concealments - before.concealments) as f64 / (19.0 * 50.0) * 100.0;
    let recovered = after.recovered - before.recovered;
    println!("{concealed} % concealed, {recovered} recovered");
    assert!(concealed < 2.0, "{concealed} %");
    assert!(recovered > 50, "{recovered}");
    let drops = room.shard.counters().drops;
    let refused = [DropReason::Duplicate, DropReason::Late].map(|reason| drops.of(reason));
    assert_eq!(refused, [0, 0], "a copy of what is there is no drop");

    room.run(FALL);
    assert_eq!(room.members[TALKER].report().copies_out, 0);
    let before = counters(&room).recovered;
    room.run(SECOND * 5);
    assert_eq!(counters(&room).recovered, before);
}

#[test]
fn where_packets_overtake_each_other_copies_come_first_and_less_is_waited() {
    for (network, copies, waited_ms) in [("60 30", 2, 60..80), ("60 10", 0, 20..50)] {
        let mut room = Room::new(MixerSettings::default());
        populate(&mut room, network, network);
        room.run(SECOND * 60);
        let before = (room.members[LISTENER].report(), counters(&room));
        room.run(SECOND * 40);
        let (report, after) = (room.members[LISTENER].report(), counters(&room));
        let heard = report.heard.since(&before.0.heard);
        let waited = heard.delays.percentile(0.5).unwrap().as_millis();
        let recovered = report.recovered - before.0.recovered;
        let at_node = after.recovered - before.1.recovered;
        let concealed = heard.concealed as f64 / (heard.played + heard.concealed) as f64;
        println!("{network}: {waited} ms, {recovered}, {at_node}, {concealed}");
        assert!(waited_ms.contains(&waited), "{network}: {waited} ms");
        assert!(concealed < 0.004, "{network}: {concealed}");
        let talker = room.members[TALKER].report();
        assert_eq!(talker.copies_out, copies, "{network}");
        assert_eq!((recovered > 0, at_node > 0), (copies > 0, copies > 0), "{network}");
    }
}

#[test]
fn bursts_of_three_are_brought_back_on_either_leg() {
    const BURSTS: &str = "0 0 10 0 3";
    for (talkers, listeners) in [(BURSTS, CLEAN), (CLEAN, BURSTS)] {
        let mut room = room(talkers, listeners);
        room.run(SECOND * 2 + RISE);
        let before = counters(&room);
        // Long enough for a few bursts close together to count as what they are.
        let windows = [(); 5].map(|()| concealed_by_listener(&mut room));
        let at_node = counters(&room).concealments - before.concealments;
        let concealed = (windows.iter().sum::<f64>() + at_node as f64 / 9.5) / 5.0;
        println!("{talkers}, {listeners}: {concealed} % concealed");
        // Copies leave 2.2 % lost.
        assert!(concealed < 4.0, "of 10 % lost: {concealed} %");
    }
}

#[test]
fn bursts_of_three_raise_to_two_copies_where_as_many_single_losses_do_not() {
    let copies = |burst| {
        // Long enough without loss for the first copies to be given up.
        let mut room = room(&format!("0 0 0 0 0; 0 0 4 0 {burst} at 12"), CLEAN);
        room.run(SECOND * 52);
        let report = room.members[TALKER].report();
        (report.copies_out, counters(&room).recovered)
    };
    let (single, in_bursts) = (copies(1), copies(3));
    assert_eq!((single.0, in_bursts.0), (1, 2));
    assert!(single.1 > 20 && in_bursts.1 > 20, "{single:?}, {in_bursts:?}");
}
