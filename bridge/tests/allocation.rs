//! The packet path allocates nothing after warm-up.
//!
//! Counted by interposing malloc, as in the mixer's test.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../media/tests/malloc/mod.rs"]
mod malloc;

use std::net::SocketAddr;
use std::time::Duration;

use common::{FRAME, OPUS, QUIET, RED, Room, VOICE, red};
use malloc::allocated;
use sabha_bridge::{Bridge, BridgeSettings, GATHER_MAX};
use sabha_media::engine::{Engine, LegConfig, ReceiveStream};
use sabha_media::leg::{LegId, LegRole, Ssrc};
use sabha_media::rtp::SequenceNumber;
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};

/// Throws packets away after they were written, as a socket's fixed slots would take them.
struct Slot([u8; DATAGRAM_SIZE_MAX], u64);

impl Transmit for Slot {
    fn transmit(&mut self, _to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        self.1 += u64::from(write(&mut self.0) > 0);
    }
}

#[test]
fn silent_member_takes_less_than_half_a_kib() {
    let stream = ReceiveStream {
        ssrc: Ssrc(2),
        first_sequence_number: SequenceNumber(3),
        timestamp_offset: 4,
    };
    let leg = |index| LegConfig {
        id: LegId { shard: 0, index, generation: 1 },
        role: LegRole::Member,
        send_ssrc: Ssrc(1),
        receive: vec![stream; 3],
        red: true,
    };
    let taken = |members: u16| {
        let legs: Vec<_> = (0..members).map(leg).collect();
        let join = || {
            let mut bridge = Box::new(Bridge::new(BridgeSettings::default()).unwrap());
            for leg in legs {
                bridge.add_leg(Instant::ZERO, leg).unwrap();
            }
            bridge
        };
        allocated(join).1.octets
    };
    let (one, thousand) = (taken(1), taken(1_024));
    println!("a conference of one takes {one} octets, one of 1,024 {thousand}");
    assert!(one < 3_072, "{one}");
    // What grows by doubling was taken twice in all.
    assert!((thousand - one) / 1_024 < 2 * 256, "{thousand}");
}

#[test]
fn packet_path_allocates_nothing_after_warm_up() {
    assert_eq!(allocations(Duration::ZERO), 0);
}

#[test]
fn gathered_packets_allocate_nothing_after_warm_up() {
    assert_eq!(allocations(GATHER_MAX), 0);
}

/// Lets twelve members talk in turns, two of them behind losses, for 20 s to warm up and counts the
/// allocations of 10 s more.
fn allocations(gather: Duration) -> u64 {
    let mut room = Room::new(BridgeSettings::default());
    room.red = true;
    room.shard.resources_mut().set_gather(gather);
    for _ in 0..12 {
        room.join();
    }
    for member in 0..12 {
        room.report_loss(member, if member % 6 == 0 { 0.1 } else { 0.0 });
    }
    let mut slot = Slot([0; DATAGRAM_SIZE_MAX], 0);
    let warm_up = uplinks(&mut room, 0..1_000);
    run(&mut room, warm_up, &mut slot);
    let uplinks = uplinks(&mut room, 1_000..1_500);
    let (sent, before) = (slot.1, *room.bridge().counters());
    let (uplinks, allocated) = allocated(|| run(&mut room, uplinks, &mut slot));
    let after = room.bridge().counters();
    assert!(slot.1 - sent > 10_000 && after.switches > before.switches + 10, "{after:?}");
    assert!(after.lookback_sent > before.lookback_sent && after.recovered > before.recovered);
    assert!(after.packets_by_copies[1] > before.packets_by_copies[1] + 500);
    assert_eq!(after.padding_octets > before.padding_octets, !gather.is_zero());
    drop(uplinks);
    allocated.calls
}

/// The packets of these ticks, some of them lost: half of the twelve members talk at a time, for 0.8
/// s each.
fn uplinks(room: &mut Room, ticks: std::ops::Range<u64>) -> Vec<(Instant, SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    for tick in ticks {
        let at = room.now + FRAME * tick as u32;
        for (member, state) in room.members.iter_mut().enumerate() {
            let talks = (tick / 40 + member as u64).is_multiple_of(2) && member < 6;
            let payload = [member as u8; 120];
            let payload = &payload[..60 + 5 * member];
            let datagram = match member % 2 {
                0 => state.seal(OPUS, payload, if talks { VOICE } else { QUIET }),
                _ => {
                    let packet = red(payload, &[(960, payload), (1_920, payload)]);
                    state.seal(RED, &packet, if talks { VOICE } else { QUIET })
                }
            };
            if !(tick + member as u64).is_multiple_of(13) {
                all.push((at, state.address, datagram));
            }
        }
    }
    all
}

fn run(
    room: &mut Room,
    mut uplinks: Vec<(Instant, SocketAddr, Vec<u8>)>,
    slot: &mut Slot,
) -> Vec<(Instant, SocketAddr, Vec<u8>)> {
    for (at, from, datagram) in &mut uplinks {
        while let Some(due) = room.shard.poll_timeout().filter(|due| *due < *at) {
            room.shard.handle_timeout(due, slot);
        }
        let datagram = Datagram { from: *from, received_at: *at, bytes: datagram };
        room.shard.handle_datagram(*at, datagram, slot);
        while room.shard.poll_event().is_some() {}
    }
    uplinks
}
