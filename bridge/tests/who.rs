//! Who is forwarded: the loudest few, for as long as they talk, and nobody for ever.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{FRAME, QUIET, Room, VOICE, random};
use sabha_bridge::BridgeSettings;
use sabha_media::engine::{EngineInput, EngineOutput};
use sabha_media::shard::ShardEvent;

fn one_slot() -> BridgeSettings {
    BridgeSettings { talkers_max: 1, ..BridgeSettings::default() }
}

/// Speech by its levels: syllables of 160 ms around -25 dBov, with short dips between them.
fn speech(tick: u64, random: u32) -> u8 {
    let dip = if tick % 10 >= 8 { 20 } else { 0 };
    22 + dip + (random % 7) as u8
}

#[test]
fn two_who_alternate_cause_no_more_switches_than_turns_and_lose_no_onset() {
    for settings in [one_slot(), BridgeSettings::default()] {
        let mut room = Room::with_members(settings, 3);
        let mut numbers = random(5);
        let (mut missing, turns) = (Vec::new(), 60);
        for turn in 0..turns {
            let talker = turn % 2;
            let first = room.members[talker].sequence;
            for tick in 0..50 {
                let mut levels = [Some(QUIET), Some(QUIET), None];
                levels[talker] = Some(speech(tick, numbers()));
                room.tick(&levels);
            }
            let heard = room.heard(2, talker);
            let numbers: BTreeSet<_> = heard.iter().map(|packet| number(&packet.payload)).collect();
            let lost = (first..first + 50).filter(|number| !numbers.contains(number)).count();
            missing.push(lost);
        }
        missing.sort_unstable();
        assert!(missing[missing.len() * 99 / 100] <= 1, "20 ms at most: {missing:?}");
        let counters = room.bridge().counters();
        assert!(counters.switches < turns as u64, "{counters:?}");
        assert_eq!(counters.turns, turns as u64);
    }
}

#[test]
fn onsets_lose_nothing_while_slots_are_free() {
    let mut room = Room::with_members(BridgeSettings::default(), 4);
    let mut numbers = random(11);
    for onset in 0..200 {
        let talker = onset % 3;
        for _ in 0..40 + numbers() % 20 {
            room.tick(&[Some(QUIET); 3]);
        }
        let first = room.members[talker].sequence;
        // Rises over two packets from whatever is above the threshold.
        let rise = [50 - (numbers() % 8) as u8, 40 - (numbers() % 8) as u8, VOICE, VOICE];
        for level in rise {
            let mut levels = [Some(QUIET); 3];
            levels[talker] = Some(level);
            room.tick(&levels);
        }
        let heard: BTreeSet<_> =
            room.heard(3, talker).iter().map(|packet| number(&packet.payload)).collect();
        assert!((first..first + 4).all(|number| heard.contains(&number)), "onset {onset}");
    }
}

#[test]
fn two_hundred_noisy_silent_members_are_never_forwarded() {
    let mut room = Room::with_members(BridgeSettings::default(), 201);
    let mut numbers = random(3);
    for _ in 0..1_500 {
        let levels: Vec<_> = (0..200).map(|_| Some(noise(numbers()))).collect();
        room.tick(&levels);
    }
    assert_eq!(room.bridge().counters().forwarded, 0);
    assert_eq!(room.bridge().counters().turns, 0);
    room.send(200, VOICE, b"and a voice is heard at once");
    assert_eq!(room.bridge().counters().forwarded, 1);
}

/// A room's noise of -55 to -60 dBov; one packet in fifty flickers up to -46.
fn noise(random: u32) -> u8 {
    if random.is_multiple_of(50) {
        46 + (random / 50 % 4) as u8
    } else {
        55 + (random / 50 % 6) as u8
    }
}

#[test]
fn loudest_three_of_five_are_forwarded() {
    let mut room = Room::with_members(BridgeSettings::default(), 6);
    for _ in 0..100 {
        room.tick(&[Some(30), Some(28), Some(40), Some(20), Some(38)]);
    }
    room.forget_received();
    for _ in 0..50 {
        room.tick(&[Some(30), Some(28), Some(40), Some(20), Some(38)]);
    }
    let heard = [0, 1, 2, 3, 4].map(|talker| room.heard(5, talker).len());
    assert_eq!(heard, [50, 50, 0, 50, 0]);
    assert!(room.bridge().counters().suppressed_by_limit > 0);
}

#[test]
fn false_claim_does_not_hold_a_slot_for_ever() {
    let mut room = Room::with_members(one_slot(), 3);
    let mut numbers = random(9);
    for tick in 0..50 {
        room.tick(&[Some(0), Some(speech(tick, numbers()))]);
    }
    assert_eq!(room.heard(2, 1).len(), 0, "at first the claim counts");
    for tick in 0..450 {
        room.tick(&[Some(0), Some(speech(tick, numbers()))]);
    }
    room.forget_received();
    for tick in 0..1_000 {
        room.tick(&[Some(0), Some(speech(tick, numbers()))]);
    }
    let heard = room.heard(2, 1).len();
    assert!(heard >= 480, "the honest one has half of the time: {heard}");
    assert!(room.bridge().counters().holds_capped > 0);
}

#[test]
fn loud_claim_without_sound_is_not_believed() {
    let mut room = Room::with_members(BridgeSettings::default(), 2);
    for _ in 0..100 {
        room.send(0, 0, &[0x08, 0xff]);
        room.pass(FRAME);
    }
    assert_eq!(room.bridge().counters().forwarded, 0);
}

#[test]
fn muted_or_gone_talker_frees_the_slot_at_once() {
    let mut room = Room::with_members(one_slot(), 4);
    for _ in 0..20 {
        room.tick(&[Some(20), Some(25)]);
    }
    let muted = room.members[0].grant.id;
    room.shard.handle_input(room.now, muted, |leg| EngineInput::SetMuted { leg, muted: true });
    room.forget_received();
    room.tick(&[Some(20), Some(25)]);
    assert_eq!((room.heard(3, 0).len(), room.heard(3, 1).len()), (0, 4), "with its look-back");
    room.leave(1);
    assert_eq!(room.bridge().gauges().slots_in_use, 0);
    room.forget_received();
    room.tick(&[None, None, Some(25)]);
    assert_eq!(room.heard(3, 2).len(), 1);
}

#[test]
fn events_tell_who_is_heard_and_who_leads() {
    let mut room = Room::with_members(BridgeSettings::default(), 3);
    let ids: Vec<_> = room.members.iter().map(|member| member.grant.id).collect();
    room.events();
    let mut all = Vec::new();
    for tick in 0..400 {
        let levels = match tick {
            0..100 => [Some(25), None, None],
            100..200 => [None, Some(25), None],
            _ => [None; 3],
        };
        room.tick(&levels);
        for event in room.events() {
            if let ShardEvent::Engine(_, output) = event {
                all.push((tick, output));
            }
        }
    }
    let of = |wanted: EngineOutput| all.iter().find(|(_, output)| *output == wanted).unwrap().0;
    assert_eq!(of(EngineOutput::TalkerStarted(ids[0])), 0);
    assert_eq!(of(EngineOutput::DominantTalker(Some(ids[0]))), 0);
    assert_eq!(of(EngineOutput::TalkerStarted(ids[1])), 100);
    assert_eq!(of(EngineOutput::TalkerStopped(ids[0])), 119);
    let leads = of(EngineOutput::DominantTalker(Some(ids[1])));
    assert!((101..150).contains(&leads), "within a second: {leads}");
    assert_eq!(of(EngineOutput::TalkerStopped(ids[1])), 219);
    assert_eq!(all.len(), 6, "{all:?}");
    room.leave(1);
    room.pass(Duration::from_millis(1));
    let last = room.events().pop();
    assert!(matches!(last, Some(ShardEvent::Engine(_, EngineOutput::DominantTalker(None)))));
}

fn number(payload: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(payload).into_owned();
    text.split(':').nth(1).unwrap().parse().unwrap()
}
