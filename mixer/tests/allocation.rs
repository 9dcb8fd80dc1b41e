//! The packet path allocates nothing after warm-up.
//!
//! Counted by interposing malloc, since a Rust allocator does not see libopus.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../media/tests/malloc/mod.rs"]
mod malloc;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Room, tone};
use malloc::allocated;
use sabha_media::engine::{Engine, EngineInput, LegConfig, ReceiveStream};
use sabha_media::leg::{LegId, LegRole, Ssrc};
use sabha_media::red::PathReport;
use sabha_media::rtp::SequenceNumber;
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};
use sabha_mixer::{Effort, ListenerPacket, Mixer, MixerSettings};

/// Throws packets away after they were written, as a socket's fixed slots would take them.
struct Slot([u8; DATAGRAM_SIZE_MAX], u64);

impl Transmit for Slot {
    fn transmit(&mut self, _to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        self.1 += u64::from(write(&mut self.0) > 0);
    }
}

#[test]
fn idle_conference_with_a_silent_member_takes_less_than_two_kib() {
    let leg = |index| LegConfig {
        id: LegId { shard: 0, index, generation: 1 },
        role: LegRole::Member,
        send_ssrc: Ssrc(1),
        receive: vec![ReceiveStream {
            ssrc: Ssrc(2),
            first_sequence_number: SequenceNumber(3),
            timestamp_offset: 4,
        }],
        red: true,
    };
    let taken = |members: u16| {
        let legs: Vec<_> = (0..members).map(leg).collect();
        let join = || {
            let mut mixer: Box<Mixer> = Box::new(Mixer::new(MixerSettings::default()).unwrap());
            for leg in legs {
                mixer.add_leg(Instant::ZERO, leg).unwrap();
            }
            mixer
        };
        allocated(join).1.octets
    };
    let (one, thousand) = (taken(1), taken(1_024));
    println!("a conference of one takes {one} octets, one of 1,024 {thousand}");
    assert!(one < 2_048, "{one}");
    // What grows by doubling was taken twice in all.
    assert!((thousand - one) / 1_024 < 2 * 200, "{thousand}");
}

#[test]
fn packet_path_allocates_nothing_after_warm_up() {
    let room = Room::new(MixerSettings::default());
    assert_eq!(allocations(room, &[]), 0);
}

#[test]
fn packed_listeners_and_changes_of_effort_allocate_nothing_after_warm_up() {
    let room = Room::new(MixerSettings::default());
    let packets = [ListenerPacket::Ms60, ListenerPacket::Ms40, ListenerPacket::Ms20];
    let efforts = [9, 3, 7].into_iter().zip(packets);
    let efforts: Vec<_> =
        efforts.map(|(complexity, packet)| Effort { complexity, packet }).collect();
    assert_eq!(allocations(room, &efforts), 0);
}

#[test]
fn redundant_packets_allocate_nothing_after_warm_up() {
    let mut room = Room::new(MixerSettings::default());
    room.red = true;
    let lossy = [0, 5, 11];
    assert_eq!(allocations_with_loss(room, &lossy), 0);
}

/// As `allocations`, with some who report loss all the time: a talker and listeners.
fn allocations_with_loss(mut room: Room, lossy: &[usize]) -> u64 {
    populate(&mut room);
    let report = |room: &mut Room| {
        for member in lossy {
            let leg = room.members[*member].grant.id;
            room.shard.handle_input(room.now, leg, |leg| EngineInput::Reception {
                leg,
                report: PathReport { loss: 0.1, ..PathReport::default() },
            });
        }
    };
    for _ in 0..8 {
        report(&mut room);
        room.run(Duration::from_secs(3));
    }
    let before = room.mixer().counters().packets_by_copies[1];
    let mut uplinks = room.prepare(Duration::from_secs(10));
    let calls = counted(&mut room, &mut uplinks, |_, _| ());
    assert!(room.mixer().counters().packets_by_copies[1] > before + 1_000);
    calls
}

/// Lets twelve members talk and listen for 12 s to warm up, under each of the efforts in turn, and
/// counts the allocations of 10 s more.
fn allocations(mut room: Room, efforts: &[Effort]) -> u64 {
    populate(&mut room);
    // The first of them is in force to begin with, so that all come in their turn.
    for effort in efforts.iter().chain(efforts.first()) {
        room.shard.resources_mut().set_effort(*effort);
        room.run(Duration::from_secs(6));
    }
    room.run(Duration::from_secs(12));

    let mut uplinks = room.prepare(Duration::from_secs(10));
    let packed = room.mixer().counters().packets_by_frames;
    let mut cycle = efforts.iter().cycle();
    let calls = counted(&mut room, &mut uplinks, |room, index| {
        if index % 400 == 0
            && let Some(effort) = cycle.next()
        {
            room.shard.resources_mut().set_effort(*effort);
        }
    });
    let packs = room.mixer().counters().packets_by_frames;
    let packed: Vec<_> = packs.iter().zip(packed).map(|(after, before)| after - before).collect();
    assert!(efforts.is_empty() || packed.iter().all(|packs| *packs > 100), "{packed:?}");
    calls
}

/// Lets twelve members join, three of whom talk and pause, so that squelches open and close all
/// the time.
fn populate(room: &mut Room) {
    for phase_ms in 0..12 {
        room.join(phase_ms);
    }
    for talker in 0..3 {
        let mut voice = tone(300.0 + 90.0 * talker as f32, 0.1);
        room.say(talker, move |sample| {
            let talks = !(sample / 48_000 + talker as u64).is_multiple_of(3);
            if talks { voice(sample) } else { 0.0 }
        });
    }
}

/// Hands over these packets in their time and returns the allocations meanwhile; `before` each.
fn counted(
    room: &mut Room,
    uplinks: &mut [(Instant, SocketAddr, Vec<u8>)],
    mut before: impl FnMut(&mut Room, usize),
) -> u64 {
    let mut slot = Slot([0; DATAGRAM_SIZE_MAX], 0);
    let events = std::iter::from_fn(|| room.shard.poll_event()).count();
    let ((), allocated) = allocated(|| {
        for (index, (at, from, datagram)) in uplinks.iter_mut().enumerate() {
            before(room, index);
            while let Some(due) = room.shard.poll_timeout().filter(|due| due < at) {
                room.shard.handle_timeout(due, &mut slot);
            }
            let datagram = Datagram { from: *from, received_at: *at, bytes: datagram };
            room.shard.handle_datagram(*at, datagram, &mut slot);
            while room.shard.poll_event().is_some() {}
        }
    });
    assert!(events > 0 && slot.1 > 12 * 150, "it did work: {} packets", slot.1);
    allocated.calls
}
