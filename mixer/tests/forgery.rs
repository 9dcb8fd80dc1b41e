//! Packets that do not authenticate change nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Room, tone};
use sabha_mixer::MixerSettings;

const STEP: Duration = Duration::from_millis(20);

/// Runs two seconds of two talkers and a listener, with `attacks` bad packets between the good.
fn run(attacks: usize) -> (Vec<(SocketAddr, Vec<u8>)>, u64) {
    let mut room = Room::new(MixerSettings::default());
    room.keep_sent = true;
    for phase_ms in [2, 9, 15] {
        room.join(phase_ms);
    }
    room.say(0, tone(300.0, 0.1));
    room.say(1, tone(700.0, 0.1));
    let mut random = 12_345_u64;
    for step in 0..100 {
        room.run(STEP);
        for attack in 0..attacks / 100 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (victim, from) = (attack % 2, SocketAddr::from(([127, 6, 6, 6], 666)));
            let genuine = &room.members[victim].uplink;
            let mut packet = genuine[(random >> 33) as usize % genuine.len()].clone();
            match attack % 4 {
                // Replayed from elsewhere, as it was.
                0 => {}
                // Forged: one bit of a packet that would be the next.
                1 => {
                    let next = room.members[victim].sequence.wrapping_add(1 + step as u16 % 7);
                    packet[2..4].copy_from_slice(&next.to_be_bytes());
                    let place = 12 + (random >> 20) as usize % (packet.len() - 12);
                    packet[place] ^= 1 << (random % 8);
                }
                // Truncated, down to nothing.
                2 => packet.truncate((random >> 30) as usize % packet.len()),
                // Noise.
                _ => packet.iter_mut().for_each(|octet| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *octet = (random >> 40) as u8;
                }),
            }
            room.inject(from, packet);
        }
    }
    let dropped = room.shard.counters().drops.total();
    (room.sent, dropped)
}

#[test]
fn output_is_bit_identical_with_and_without_100_000_bad_packets() {
    let (clean, dropped_clean) = run(0);
    let (attacked, dropped) = run(100_000);
    assert!(clean.len() > 250);
    assert_eq!(dropped - dropped_clean, 100_000, "each is counted");
    assert!(clean == attacked, "the output differs");
}
