//! What happens when nobody talks, and how a mix ends and begins again.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Room, noise, tone};
use sabha_media::drop_reason::DropReason;
use sabha_mixer::MixerSettings;

/// RMS of noise at -65 dBov.
const FAINT: f32 = 0.000_562;

#[test]
fn fifty_noisy_legs_cause_no_decode_and_no_packet_but_probes() {
    let mut room = Room::new(MixerSettings::default());
    for index in 0..50 {
        let member = room.join(index % 20);
        room.say(member, noise(FAINT, index));
    }
    room.run(Duration::from_secs(20));
    assert_eq!(room.mixer().counters().decodes, 0);
    assert_eq!(room.mixer().counters().ticks, 0);
    let counters = room.shard.counters();
    assert_eq!(counters.packets_out, 50 * 32, "each newcomer's probes, and then nothing");
    assert!(room.members.iter().all(|member| member.probes == 32));
    assert!(counters.reports_out >= 50 * 4, "keep-alives go on: {}", counters.reports_out);
    let squelched = counters.drops.of(DropReason::Squelched);
    assert_eq!(
        squelched,
        counters.packets_in - counters.reports_in - 50 * 3,
        "all but keep-alives and the kept"
    );
}

#[test]
fn three_closing_frames_end_a_mix_and_a_marker_begins_the_next() {
    let mut room = Room::new(MixerSettings::default());
    let (talker, listener) = (room.join(5), room.join(9));
    let mut voice = tone(300.0, 0.1);
    room.say(talker, move |sample| {
        let talks = !(48_000..144_000).contains(&sample);
        if talks { voice(sample) } else { 0.0 }
    });
    room.run(Duration::from_secs(4));
    let received = &room.members[listener].received;
    assert!(
        received.iter().zip(&received[1..]).all(|(a, b)| a.sequence.wrapping_add(1) == b.sequence)
    );
    let resumed = received.iter().skip(1).position(|packet| packet.marker).unwrap() + 1;
    assert_eq!(received.iter().filter(|packet| packet.marker).count(), 2);
    let closing = &received[resumed - 3..resumed];
    assert!(closing.iter().all(|packet| packet.sources.is_empty()), "nobody is named");
    assert_eq!(closing[1].payload, closing[2].payload, "the last is a repetition");
    assert!(!received[resumed - 4].sources.is_empty());
    let (before, after) = (&received[resumed - 1], &received[resumed]);
    let passed = (after.at.saturating_since(before.at).as_secs_f64() * 48_000.0) as i64;
    let jump = i64::from(after.timestamp.wrapping_sub(before.timestamp));
    assert!((jump - passed).abs() <= 48, "timestamp jumps by {jump}, {passed} samples passed");
    assert!(jump > 40_000);
}

#[test]
fn every_packet_names_its_talkers_with_their_levels() {
    let mut room = Room::new(MixerSettings::default());
    let members: Vec<_> = (0..4).map(|index| room.join(index * 4)).collect();
    room.say(members[0], tone(300.0, 0.1));
    room.say(members[1], tone(500.0, 0.01));
    room.run(Duration::from_secs(2));
    let last = room.members[members[3]].received.last().unwrap();
    let mut sources = last.sources.clone();
    sources.sort_unstable_by_key(|(ssrc, _)| *ssrc);
    let ssrc = |member: usize| room.members[members[member]].grant.send_ssrc;
    assert_eq!(sources.iter().map(|source| source.0).collect::<Vec<_>>(), [ssrc(0), ssrc(1)]);
    // A sine's level is 3 dB below its amplitude: 20 + 3, and 40 + 3.
    assert!(sources[0].1.0.abs_diff(23) <= 1 && sources[1].1.0.abs_diff(43) <= 1, "{sources:?}");
    let own = &room.members[members[0]].received.last().unwrap().sources;
    let own = own.iter().find(|source| source.0 == ssrc(0)).unwrap();
    assert!(own.1.0.abs_diff(43) <= 1, "a talker's own level is that of their share: {}", own.1.0);
}
