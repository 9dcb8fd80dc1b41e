//! How much a node spends on its mixes, and that nobody hears it change.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::{FRAME, Room, tone};
use sabha_media::extension::LevelDbov;
use sabha_mixer::{Effort, ListenerPacket, MixerSettings};

const LISTENER: usize = 1;
const SILENT_CLAIMANT: usize = 2;

fn set_complexity(room: &mut Room, complexity: u8) {
    let effort = Effort { complexity, packet: ListenerPacket::Ms20 };
    room.shard.resources_mut().set_effort(effort);
}

/// A talker, a listener, and one who claims to talk but says nothing, whose personal mix is thus
/// the shared one, encoded by an encoder of its own.
fn room() -> Room {
    let mut room = Room::new(MixerSettings::default());
    for phase_ms in [3, 9, 16] {
        room.join(phase_ms);
    }
    room.say(0, tone(300.0, 0.1));
    room
}

/// Payloads of a member by their timestamps since this instant's first.
fn payloads(room: &Room, member: usize, ticks: usize) -> HashMap<u32, Vec<u8>> {
    let received = &room.members[member].received;
    let first = received[0].timestamp;
    let last = received.iter().rev().take(ticks);
    last.map(|packet| (packet.timestamp.wrapping_sub(first), packet.payload.clone())).collect()
}

#[test]
fn personal_encoder_stays_equal_to_the_shared_one_over_changes_of_complexity() {
    // The change before, in, and some ticks after the tick in which the personal encode begins,
    // and around its end.
    for change_at in [4, 5, 6, 7, 12, 40, 41, 42, 43, 50] {
        let mut room = room();
        room.run(Duration::from_secs(1));
        room.say(SILENT_CLAIMANT, |_| 0.0);
        // A frame of nothing: the decoder gives zeros, where it would add noise to silence.
        room.members[SILENT_CLAIMANT].payload = Some(vec![0x78]);
        room.members[SILENT_CLAIMANT].claim = Some(LevelDbov(10));
        for tick in 0..60 {
            if tick == change_at {
                set_complexity(&mut room, 2);
            }
            if tick == 20 {
                room.members[SILENT_CLAIMANT].claim = None;
            }
            room.run(FRAME);
        }
        assert_eq!(room.mixer().gauges().complexity, Some(2));
        assert!(room.mixer().counters().encodes > room.mixer().counters().ticks * 2 + 30);
        let (own, shared) = (payloads(&room, SILENT_CLAIMANT, 60), payloads(&room, LISTENER, 62));
        for (place, payload) in own {
            assert!(shared[&place] == payload, "change at {change_at}: they differ at {place}");
        }
    }
}

#[test]
fn conference_never_spends_more_than_its_own_setting() {
    let mut room = room();
    set_complexity(&mut room, 10);
    room.run(Duration::from_secs(1));
    assert_eq!(room.mixer().gauges().complexity, Some(9));
    set_complexity(&mut room, 0);
    room.run(FRAME);
    assert_eq!(room.mixer().gauges().complexity, Some(0));
    set_complexity(&mut room, 10);
    room.run(FRAME);
    assert_eq!(room.mixer().gauges().complexity, Some(9));
}
