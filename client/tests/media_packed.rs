//! Members around a mixer that packs: what they hear is what they would hear without.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sabha_client::media::{MemberReport, Schedule, Utterance};
use sabha_client::sound::built_in::built_in_clips;
use sabha_client::sound::gap::missing_speech;
use sabha_client::sound::level::rms_dbfs;
use sabha_client::sound::{SAMPLES_PER_MS, align};
use sabha_media::shard::UplinkOrder;
use sabha_mixer::{ListenerPacket, ListenerPacketSetting, MixerSettings};

mod media_support;
use media_support::Room;

const SECOND: Duration = Duration::from_secs(1);
const NOISE_RMS: f32 = 0.000_316;

/// All clips one after the other, beginning at a second.
fn speaker(clips: impl IntoIterator<Item = usize>, from_s: usize) -> Schedule {
    let all = built_in_clips();
    let mut start = from_s * 1_000 * SAMPLES_PER_MS;
    let said = clips.into_iter().map(|clip| {
        let samples = all[clip].samples.clone();
        let begin = start as u64;
        start += samples.len();
        Utterance { start: begin, samples: samples.into() }
    });
    Schedule::new(said.collect(), NOISE_RMS, 7)
}

fn quiet() -> Schedule {
    Schedule::new(Vec::new(), NOISE_RMS, 3)
}

fn room(packet: ListenerPacket) -> Room {
    let listener_packet = ListenerPacketSetting::Fixed(packet);
    let mut room = Room::new(MixerSettings { listener_packet, ..MixerSettings::default() });
    room.shard.set_uplink_order(UplinkOrder::Voice);
    room
}

/// Lets a listener hear sixteen seconds of speech in packets of this length.
fn heard(packet: ListenerPacket) -> (Vec<f32>, MemberReport) {
    let mut room = room(packet);
    room.join(3, speaker([0, 1, 2, 3], 2));
    let listener = room.join(11, quiet());
    room.run(SECOND * 21);
    let listener = &room.members[listener];
    (listener.heard(), listener.report())
}

/// Returns a recording from where something is heard in it.
fn from_begin(heard: &[f32]) -> &[f32] {
    let begin = heard.chunks(960).position(|frame| rms_dbfs(frame) > -50.0).unwrap();
    &heard[begin * 960..]
}

#[test]
fn packed_listener_hears_the_same_sound_later_by_no_more_than_a_pack() {
    let (single, report) = heard(ListenerPacket::Ms20);
    assert_eq!((report.lengths_in.ms_40, report.lengths_in.ms_60), (0, 0));
    assert_eq!((report.concealed, report.lost, report.playout.late), (0, 0, 0));
    for (packet, more) in [(ListenerPacket::Ms40, 1), (ListenerPacket::Ms60, 2)] {
        let (packed, report) = heard(packet);
        let lengths = report.lengths_in;
        let (full, others) = match packet {
            ListenerPacket::Ms40 => (lengths.ms_40, lengths.ms_60),
            _ => (lengths.ms_60, 0),
        };
        assert!(full > 200 && others == 0 && lengths.other == 0, "{lengths:?}");
        assert!(lengths.ms_20 < full / 4, "{lengths:?}");
        assert_eq!((report.concealed, report.lost, report.playout.late), (0, 0, 0), "{packet:?}");
        let later = (packed.len() - from_begin(&packed).len())
            .abs_diff(single.len() - from_begin(&single).len());
        assert!(later <= more * 960, "{packet:?}: {later} samples later");
        // Where pauses were shortened the two drift apart; the first sentence has none yet.
        let (single, packed) = (&from_begin(&single)[..96_000], &from_begin(&packed)[..96_000]);
        let difference: Vec<f32> = single.iter().zip(packed).map(|(a, b)| a - b).collect();
        assert!(rms_dbfs(&difference) < -70.0, "{packet:?}: {} dBFS", rms_dbfs(&difference));
    }
}

#[test]
fn listener_who_begins_to_talk_and_stops_misses_nothing() {
    let mut room = room(ListenerPacket::Ms60);
    room.join(3, speaker([0, 1, 2, 3, 0, 1, 2, 3], 2));
    // Interrupts for one sentence, in the midst of the others'.
    let listener = room.join(11, speaker([2], 8));
    room.run(SECOND * 35);
    let report = room.members[listener].report();
    assert!(report.lengths_in.ms_60 > 250 && report.lengths_in.ms_20 > 150, "{report:?}");
    assert_eq!((report.lost, report.playout.late), (0, 0));
    assert!(report.concealed <= 8, "40 ms, in parts of 5, when it is packed again: {report:?}");
    let heard = room.members[listener].heard();
    // The first sentence, before it talks, and the last, after it was packed again.
    for (clip, before) in [(0, 0), (3, 7)] {
        let clips = built_in_clips();
        let start: usize = (0..before).map(|index| clips[index % 4].samples.len()).sum();
        let from = 2_000 * SAMPLES_PER_MS + start;
        let spoken = &clips[clip].samples;
        let found = align(spoken, &heard[from..], 0..=24_000).unwrap();
        let missing = missing_speech(spoken, &heard[from..], found.lag);
        assert_eq!(missing.total, Duration::ZERO, "{clip}: {found:?} {missing:?}");
    }
}
