//! What a member hears who is sent talkers as they are, in slots that change hands.
#![allow(clippy::unwrap_used)]

use sabha_client::media::{MemberCommand, TalkerVolume, VOLUME_MAX};
use sabha_client::sound::align;
use sabha_client::sound::built_in::built_in_clips;
use sabha_media::leg::Ssrc;
use sabha_media::limiter::CEILING;

mod media_support;
use media_support::bridge::{Bridged, Turn, Voice};

const FRAME: usize = 960;

/// Where each of four clips is said, in frames: one after the other, a second between them, and
/// then again in another order.
const BEGINS: [[usize; 2]; 4] = [[50, 1_550], [300, 1_800], [550, 1_050], [800, 1_300]];
const FRAMES: usize = 2_050;

/// Voices that say one clip each, over faint noise.
fn voices() -> (Vec<Voice>, Vec<Vec<f32>>) {
    let clips: Vec<_> = built_in_clips().into_iter().map(|clip| clip.samples).collect();
    let voice = |(index, clip): (usize, &Vec<f32>)| {
        let mut sound: Vec<f32> = (0..FRAMES * FRAME)
            .map(|i| 0.000_3 * (i as f32 * 0.37 * (index + 1) as f32).sin())
            .collect();
        for begin in BEGINS[index] {
            for (sample, said) in sound[begin * FRAME..].iter_mut().zip(clip) {
                *sample += said;
            }
        }
        Voice::new(100 + index as u32, &sound)
    };
    (clips.iter().enumerate().map(voice).collect(), clips)
}

/// Each says their clip alone, twice, in a slot that another had before: the second time in
/// another one.
fn turns() -> Vec<Turn> {
    let length = 215;
    let turn = |(voice, begins): (usize, [usize; 2])| {
        let turn = |slot, begin| Turn { voice, slot, from: begin + 4, to: begin + length };
        [turn(voice % 2, begins[0]), turn(2, begins[1])]
    };
    BEGINS.into_iter().enumerate().flat_map(turn).collect()
}

/// Returns how like a clip is to what was heard about when it was said, half a second at a time, as
/// the delay may change in pauses.
fn likeness(clip: &[f32], heard: &[f32], begin: usize) -> f32 {
    let (pieces, _) = clip.as_chunks::<24_000>();
    let like = |(index, piece): (usize, &[f32; 24_000])| {
        let from = (begin * FRAME + index * 24_000) as i64;
        align(piece, heard, from - 4_800..=from + 14_400).unwrap().correlation
    };
    pieces.iter().enumerate().map(like).sum::<f32>() / pieces.len() as f32
}

#[test]
fn each_talker_is_heard_whole_in_whatever_slot_they_come() {
    for (plan, least) in [("0", 0.9), ("0 0 3", 0.8), ("60 8 1 1 1", 0.7)] {
        let (voices, clips) = voices();
        let mut bridged = Bridged::new(3, voices, plan);
        bridged.play(FRAMES, &turns(), |_, _| false);
        let (heard, report) = (bridged.member.heard(), bridged.member.report());
        for (index, clip) in clips.iter().enumerate() {
            for begin in BEGINS[index] {
                let likeness = likeness(clip, &heard, begin);
                println!("{plan}: {index} at {begin}: {likeness:.3}");
                assert!(likeness > least, "{plan}: {index} at {begin}: {likeness}");
            }
        }
        println!("{plan}: {:?} {:?} {:?}", report.playout, report.heard.loss(), report.drops);
        if plan == "0" {
            assert_eq!((report.lost, report.concealed, report.heard.concealed), (0, 0, 0));
            assert_eq!((report.playout.lost, report.playout.late), (0, 0));
            assert_eq!((report.drops.total(), report.talkers_evicted), (0, 0));
        }
    }
}

/// All four speak a steady tone at once, at this amplitude; one is set to a volume.
fn chord(slots: usize, amplitude: f32, volume: Option<TalkerVolume>) -> (Vec<f32>, Bridged) {
    let tone = |hz: f32| (0..200 * FRAME).map(move |i| amplitude * (i as f32 * hz / 7_639.0).sin());
    let voice = |index: usize| {
        Voice::new(100 + index as u32, &tone(300.0 + 110.0 * index as f32).collect::<Vec<f32>>())
    };
    let mut bridged = Bridged::new(slots as u32, (0..slots).map(voice).collect(), "0");
    if let Some(volume) = volume {
        bridged.command(MemberCommand::SetVolume(Ssrc(100), volume));
    }
    let turns: Vec<_> =
        (0..slots).map(|slot| Turn { voice: slot, slot, from: 20, to: 180 }).collect();
    bridged.play(200, &turns, |_, _| false);
    (bridged.member.heard(), bridged)
}

/// The energy of the steady part.
fn energy(heard: &[f32]) -> f32 {
    heard[60 * FRAME..160 * FRAME].iter().map(|sample| sample * sample).sum()
}

#[test]
fn sum_of_full_scale_talkers_stays_below_the_ceiling() {
    for slots in [1, 3, 4] {
        let (heard, mut bridged) = chord(slots, 1.0, None);
        let peak = heard.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        println!("{slots}: {peak}");
        assert!((CEILING * 0.9..=CEILING * 1.000_01).contains(&peak), "{slots}: {peak}");
        assert_eq!(bridged.last_report().len(), slots, "a block for each stream");
    }
}

#[test]
fn talker_is_heard_at_the_volume_that_was_set_or_not_at_all() {
    let whole = energy(&chord(1, 0.1, None).0);
    for (volume, is_muted, gain) in [(0.5, false, 0.5), (9.0, false, VOLUME_MAX), (1.0, true, 0.0)]
    {
        let volume = Some(TalkerVolume { volume, is_muted });
        let heard = (energy(&chord(1, 0.1, volume).0) / whole).sqrt();
        // Where nobody is heard there is comfort noise.
        assert!((heard - gain).abs() < 0.03, "{volume:?}: {heard}");
    }
    // Muting one leaves the other.
    let muted = Some(TalkerVolume { is_muted: true, ..TalkerVolume::default() });
    let (both, other) = (energy(&chord(2, 0.1, None).0), energy(&chord(2, 0.1, muted).0));
    assert!((other / both - 0.5).abs() < 0.02, "{}", other / both);
}

#[test]
fn spurts_of_a_talker_who_keeps_a_slot_are_heard_without_delay_whatever_was_lost_on_the_way_up() {
    let tone: Vec<f32> = (0..1_000 * FRAME)
        .map(|i| if i / FRAME % 100 < 50 { 0.000_3 } else { 0.2 } * (i as f32 * 0.05).sin())
        .collect();
    let mut bridged = Bridged::new(1, vec![Voice::new(100, &tone)], "0");
    let turn =
        |spurt: usize| Turn { voice: 0, slot: 0, from: spurt * 100 + 50, to: spurt * 100 + 100 };
    let turns: Vec<_> = (0..10).map(turn).collect();
    // A packet of every second spurt never reached the bridge.
    bridged.play(1_000, &turns, |_, frame| frame % 200 == 175);
    let report = bridged.member.report();
    assert_eq!((report.lost, report.playout.lost), (5, 5), "{:?}", report.playout);
    assert_eq!(report.heard.concealed, 5 * 960, "neither more nor less than what was lost");
    let waited = report.heard.delays.percentile(0.99).unwrap();
    assert!(waited.as_millis() <= 15, "look-back is no delay: {waited:?}");
    assert!(report.jitter.as_millis() < 1, "nor jitter: {:?}", report.jitter);
}

#[test]
fn one_talker_too_many_takes_the_place_of_who_was_silent_longest() {
    let tone: Vec<f32> = (0..520 * FRAME).map(|i| 0.2 * (i as f32 * 0.05).sin()).collect();
    let voices = (0..10).map(|index| Voice::new(100 + index, &tone)).collect();
    let mut bridged = Bridged::new(2, voices, "0");
    let turn =
        |voice: usize| Turn { voice, slot: voice % 2, from: voice * 50 + 5, to: voice * 50 + 45 };
    let turns: Vec<_> = (0..10).map(turn).collect();
    bridged.play(520, &turns, |_, _| false);
    let report = bridged.member.report();
    assert_eq!((report.talkers_evicted, report.drops.total()), (2, 0));
    assert_eq!((report.playout.lost, report.heard.concealed), (0, 0));
    let packets = 10 * 43;
    assert_eq!(report.playout.played + report.playout.skipped, packets);
    assert_eq!(report.packets_in, packets);
}
