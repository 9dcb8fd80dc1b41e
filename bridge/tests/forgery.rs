//! Packets that do not authenticate change nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;

use common::{FRAME, OPUS, QUIET, Room, VOICE, random};
use sabha_bridge::BridgeSettings;

/// Runs two seconds of two who talk by turns, a third and a listener, with `attacks` bad packets
/// between the good.
fn run(attacks: u32) -> (Vec<(SocketAddr, Vec<u8>)>, u64) {
    let mut room = Room::with_members(BridgeSettings::default(), 4);
    let mut numbers = random(1);
    let mut replays: Vec<Vec<u8>> = Vec::new();
    for tick in 0..100_u32 {
        for member in 0..3 {
            let talks = member == 2 || (tick / 25) % 2 == member as u32;
            let payload = room.members[member].name_payload(member);
            let level = if talks { VOICE } else { QUIET };
            let datagram = room.members[member].seal(OPUS, &payload, level);
            replays.push(datagram.clone());
            room.inject(room.members[member].address, datagram);
        }
        for attack in 0..attacks / 100 {
            let mut packet = replays[numbers() as usize % replays.len()].clone();
            match attack % 4 {
                // Replayed.
                0 => {}
                // Changed, under a number to come.
                1 => {
                    let next = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(200);
                    packet[2..4].copy_from_slice(&next.to_be_bytes());
                    let place = 12 + numbers() as usize % (packet.len() - 12);
                    packet[place] ^= 1 << (numbers() % 8);
                }
                // Truncated, down to nothing.
                2 => packet.truncate(numbers() as usize % packet.len()),
                // Noise.
                _ => packet.iter_mut().for_each(|octet| *octet = numbers() as u8),
            }
            room.inject(SocketAddr::from(([10, 0, 0, 9], 9)), packet);
        }
        room.pass(FRAME);
    }
    let dropped = room.shard.counters().drops.total();
    (room.sent, dropped)
}

#[test]
fn output_is_bit_identical_with_and_without_20_000_bad_packets() {
    let (clean, dropped_clean) = run(0);
    let (attacked, dropped) = run(20_000);
    assert!(clean.len() > 400);
    assert_eq!(dropped - dropped_clean, 20_000, "each is counted");
    assert!(clean == attacked, "the output differs");
}
