//! What a member sends of its microphone under each order, and that no onset is lost by it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use sabha_client::media::{GATE_CLOSE, GATE_HANGOVER, GATE_OPEN, Schedule, Utterance};
use sabha_client::sound::built_in::built_in_clips;
use sabha_client::sound::follow::follow;
use sabha_client::sound::level::rms_dbfs;
use sabha_client::sound::{SAMPLES_PER_MS, align};
use sabha_media::extension::LevelDbov;
use sabha_media::shard::UplinkOrder;
use sabha_mixer::{MixerSettings, SquelchSettings};

mod media_support;
use media_support::{Alone, FRAME, Room, START, SentRtp};

const SECOND: Duration = Duration::from_secs(1);
/// A quiet room: -70 dBov.
const NOISE_RMS: f32 = 0.000_316;
/// Orders by their numbers on the wire.
const EVERYTHING: u8 = 0;
const VOICE: u8 = 1;
const PROBES: u8 = 2;

/// A quiet room in which a tone begins and ends within a frame; both in ms.
fn tone(from_ms: usize, for_ms: usize) -> Schedule {
    let samples: Vec<f32> =
        (0..for_ms * SAMPLES_PER_MS).map(|i| 0.2 * (i as f32 * 0.03).sin()).collect();
    let start = (from_ms * SAMPLES_PER_MS) as u64;
    Schedule::new(vec![Utterance { start, samples: samples.into() }], NOISE_RMS, 5)
}

fn quiet() -> Schedule {
    Schedule::new(Vec::new(), NOISE_RMS, 3)
}

/// What a member sends within `time`, under an order from the beginning.
fn sent(order: u8, voice: Schedule, time: Duration) -> Alone {
    let mut alone = Alone::new(voice);
    alone.order(order);
    alone.run(time);
    alone
}

fn voices(sent: &[SentRtp]) -> impl Iterator<Item = &SentRtp> {
    sent.iter().filter(|packet| !packet.payload.is_empty())
}

fn probes(sent: &[SentRtp]) -> impl Iterator<Item = &SentRtp> {
    sent.iter().filter(|packet| packet.payload.is_empty())
}

fn assert_consecutive(sent: &[SentRtp]) {
    assert!(sent.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
}

#[test]
fn gate_is_that_of_the_nodes_squelch() {
    let squelch = SquelchSettings::default();
    let gate = (GATE_OPEN, GATE_CLOSE, GATE_HANGOVER);
    assert_eq!(gate, (squelch.open, squelch.close, squelch.hangover));
}

#[test]
fn every_frame_is_sent_until_less_is_ordered() {
    let mut alone = Alone::new(quiet());
    alone.run(SECOND * 2);
    assert_eq!(alone.sent.len(), 100);
    assert_consecutive(&alone.sent);
    for (index, packet) in alone.sent.iter().enumerate() {
        assert_eq!(packet.timestamp, index as u32 * 960);
        assert_eq!((packet.marker, packet.payload.is_empty()), (index == 0, false));
    }
    alone.order(VOICE);
    alone.run(SECOND * 12);
    assert_eq!(voices(&alone.sent).count(), 100, "a quiet room is not sent any more");
    alone.order(EVERYTHING);
    alone.run(SECOND);
    assert_eq!(voices(&alone.sent).count(), 153, "with the three before");
    assert_consecutive(&alone.sent);
    let report = alone.member.report();
    assert_eq!(report.uplink_order, UplinkOrder::Everything);
    assert_eq!((report.voice_out, report.probes_out), (153, 2));
    assert_eq!(report.packets_out, 155);
}

#[test]
fn quiet_microphone_sends_a_probe_every_five_seconds() {
    for order in [VOICE, PROBES] {
        let alone = sent(order, quiet(), SECOND * 20);
        assert_eq!((alone.sent.len(), probes(&alone.sent).count()), (4, 4));
        for (turn, packet) in alone.sent.iter().enumerate() {
            assert_eq!(packet.at, START + SECOND * 5 * turn as u32);
            assert_eq!(packet.timestamp, turn as u32 * 5 * 48_000);
            assert!((68..=72).contains(&packet.level), "{packet:?}");
        }
        assert_consecutive(&alone.sent);
        assert!(alone.compounds > 0, "reports go on");
    }
}

#[test]
fn onset_goes_with_the_three_frames_before_it_unaltered() {
    // Loud from the 75th frame to the 124th.
    let voice = || tone(1_500, 1_000);
    let all = sent(EVERYTHING, voice(), SECOND * 4).sent;
    let wanted = sent(VOICE, voice(), SECOND * 4);
    let all: BTreeMap<_, _> = all.iter().map(|packet| (packet.timestamp, packet)).collect();
    let heard: Vec<_> = voices(&wanted.sent).collect();
    // 72 to 74, 75 to 124, and the hangover.
    assert_eq!(heard.len(), 3 + 50 + 19);
    for (index, packet) in heard.iter().enumerate() {
        let frame = 72 + index as u32;
        assert_eq!(packet.timestamp, frame * 960);
        assert_eq!(packet.at, START + FRAME * frame.max(75));
        assert_eq!(packet.marker, index == 0);
        assert_eq!(packet.payload, all[&packet.timestamp].payload, "the encoder never stops");
        assert_eq!(packet.level, all[&packet.timestamp].level);
    }
    assert_consecutive(&wanted.sent);
    assert_eq!(wanted.member.report().gate_openings, 1);
}

#[test]
fn only_probes_are_sent_where_no_voice_is_wanted() {
    let alone = sent(PROBES, tone(1_500, 3_000), SECOND * 6);
    assert_eq!(voices(&alone.sent).count(), 0);
    let in_tone = |packet: &&SentRtp| packet.level < 30;
    let loud: Vec<_> = probes(&alone.sent).filter(in_tone).collect();
    assert_eq!(loud.len(), 15, "five a second");
    assert_eq!(loud[0].at, START + FRAME * 75, "the first at once");
    assert!(loud.windows(2).all(|pair| pair[1].at.saturating_since(pair[0].at) == FRAME * 10));
    assert!(alone.sent.len() <= 15 + 4);
    assert_consecutive(&alone.sent);
}

#[test]
fn order_of_a_later_version_is_taken_for_voice() {
    for number in [3, 200] {
        let alone = sent(number, tone(1_000, 500), SECOND * 3);
        assert_eq!(alone.member.report().uplink_order, UplinkOrder::Voice);
        assert_eq!(voices(&alone.sent).count(), 3 + 25 + 19);
    }
}

#[test]
fn forged_order_changes_nothing() {
    let mut alone = Alone::new(quiet());
    let mut packet = [0x80, 204, 0, 5].to_vec();
    packet.resize(60, 0);
    alone.hand_over(&mut packet);
    alone.run(SECOND);
    assert_eq!(alone.member.report().uplink_order, UplinkOrder::Everything);
    assert_eq!(voices(&alone.sent).count(), 50);
}

/// When two sentences begin, in samples; a tenth of a second of silence leads each clip.
const SENTENCES: [usize; 2] = [3 * 48_000 + 480, 9 * 48_000 + 480];

/// Lets a listener hear two sentences under an order of the shard.
fn room(order: UplinkOrder) -> (Vec<f32>, Room) {
    let said = SENTENCES
        .iter()
        .zip(built_in_clips())
        .map(|(start, clip)| Utterance { start: *start as u64, samples: clip.samples.into() });
    let mut room = Room::new(MixerSettings::default());
    room.shard.set_uplink_order(order);
    room.join(3, Schedule::new(said.collect(), NOISE_RMS, 7));
    let listener = room.join(11, quiet());
    room.run(SECOND * 15);
    (room.members[listener].heard(), room)
}

#[test]
fn gated_talker_sounds_like_one_who_sends_everything() {
    let (all, _) = room(UplinkOrder::Everything);
    let (gated, room) = room(UplinkOrder::Voice);
    let difference: Vec<f32> = all.iter().zip(&gated).map(|(all, gated)| all - gated).collect();
    let largest = difference.chunks(960).map(rms_dbfs).fold(f32::MIN, f32::max);
    assert!(largest < -70.0, "{largest} dBFS; only the room's noise may differ");
    let talker = room.members[0].report();
    assert!((2..=8).contains(&talker.gate_openings), "{talker:?}");
    assert!(talker.voice_out < 500 && talker.probes_out >= 1, "{talker:?}");
    assert_eq!(room.members[1].report().voice_out, 0);
}

#[test]
fn sentence_is_whole_where_its_speaker_had_to_be_promoted() {
    let (recording, room) = room(UplinkOrder::Probes);
    for (start, clip) in SENTENCES.into_iter().zip(built_in_clips()) {
        let heard = &recording[start..];
        let found = align(&clip.samples, heard, 0..=24_000).unwrap();
        // It loses the delay of the promotion while it is said, by stretch.
        let found = follow(&clip.samples, heard, found.lag, 100 * SAMPLES_PER_MS as u32);
        assert!(found.correlation > 0.7, "{found:?}");
        assert_eq!(found.missing.total, Duration::ZERO, "{found:?}");
    }
    let counters = room.shard.counters();
    assert_eq!((counters.promotions, counters.promotions_refused), (1, 0));
    assert_eq!(room.members[0].report().uplink_order, UplinkOrder::Voice);
    assert_eq!(room.members[1].report().uplink_order, UplinkOrder::Probes);
}

#[test]
fn talker_is_promoted_heard_and_demoted_where_only_probes_are_wanted() {
    let mut room = Room::new(MixerSettings::default());
    room.shard.set_uplink_order(UplinkOrder::Probes);
    room.join(3, tone(3_000, 1_000));
    let listener = room.join(11, quiet());
    room.run(SECOND * 3);
    assert_eq!(room.members[0].report().uplink_order, UplinkOrder::Probes);
    assert_eq!(room.shard.counters().promotions, 0);
    room.run(SECOND);
    assert_eq!(room.members[0].report().uplink_order, UplinkOrder::Voice);
    room.run(SECOND * 11);
    let counters = room.shard.counters();
    assert_eq!((counters.promotions, counters.demotions), (1, 1));
    assert_eq!(room.members[0].report().uplink_order, UplinkOrder::Probes);
    let report = room.members[listener].report();
    assert_eq!((report.uplink_order, report.voice_out), (UplinkOrder::Probes, 0));
    let heard = room.members[listener].heard();
    let loud = heard.chunks(960).filter(|frame| LevelDbov::from_samples(frame).0 < 30).count();
    assert!((49..=53).contains(&loud), "the whole second: {loud} frames");
}
