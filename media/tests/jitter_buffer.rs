//! The jitter buffer: what is played when, what is concealed, and how the delay moves.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;
use sabha_media::codec::PAYLOAD_SIZE_MAX;
use sabha_media::drop_reason::DropReason;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::{BufferedPacket, JitterBuffer, JitterSettings};
use sabha_media::rtp::RtpTimestamp;
use sabha_media::time::Instant;

#[allow(dead_code)]
#[path = "jitter_buffer/player.rs"]
mod player;

use player::{CAPACITY, FRAME, Out, Packet, Player};

const START: Instant = Instant::from_millis(1_000_000);
const MS: Duration = Duration::from_millis(1);
/// Ticks come so long after a packet on time.
const PHASE: Duration = Duration::from_millis(10);
const LOUD: u8 = 20;
const QUIET: u8 = 80;

fn settings() -> JitterSettings {
    JitterSettings {
        target_min: MS * 4,
        target_max: MS * 200,
        quiet: LevelDbov(65),
        margin_percent: 0,
        stretch: true,
    }
}

/// A packet of 20 ms, sent and received on time.
fn packet(index: u64) -> Packet {
    packet_of(index, 960)
}

fn packet_of(index: u64, samples: u32) -> Packet {
    let at = START + duration(samples) * index as u32;
    Packet { index, timestamp: index as u32 * samples, samples, level: LOUD, at }
}

fn late(packet: Packet, by: Duration) -> Packet {
    Packet { at: packet.at + by, ..packet }
}

fn duration(samples: u32) -> Duration {
    Duration::from_nanos(u64::from(samples) * 1_000_000_000 / 48_000)
}

fn frames(duration: Duration) -> u32 {
    (duration.as_nanos() / FRAME.as_nanos()) as u32
}

/// Plays `packets` for `ticks`; each comes when it is due to arrive. Returns what was refused.
fn play(player: &mut Player, packets: &[Packet], ticks: u32) -> Vec<(u64, DropReason)> {
    play_from(player, packets, START + PHASE, ticks)
}

fn play_from(
    player: &mut Player,
    packets: &[Packet],
    first: Instant,
    ticks: u32,
) -> Vec<(u64, DropReason)> {
    let mut arrivals = packets.to_vec();
    arrivals.sort_by_key(|packet| packet.at);
    let (mut refused, mut next) = (Vec::new(), 0);
    for tick in 0..ticks {
        let now = first + FRAME * tick;
        while let Some(packet) = arrivals.get(next).filter(|packet| packet.at <= now) {
            refused.extend(player.insert(*packet).err().map(|reason| (packet.index, reason)));
            next += 1;
        }
        player.tick(now, 4);
    }
    refused
}

fn player() -> Player {
    Player::new(settings())
}

#[test]
fn packets_in_order_are_played_one_a_tick() {
    let mut player = player();
    let packets: Vec<_> = (0..100).map(packet).collect();
    assert!(play(&mut player, &packets, 100).is_empty());
    assert_eq!(player.played(), (0..100).collect::<Vec<_>>());
    assert_eq!(player.log.len(), 100, "nothing else was pulled");
    assert_eq!(player.last_wait(), PHASE);
    assert_eq!(player.buffer.counters().played, 100);
}

#[test]
fn first_packet_waits_for_the_target() {
    let mut player = player();
    let at = START + PHASE - MS;
    player.insert(Packet { at, ..packet(0) }).unwrap();
    player.tick(START + PHASE, 0);
    assert_eq!(player.log, [(START + PHASE, Out::Idle)]);
    player.tick(START + PHASE + FRAME, 0);
    assert_eq!(player.last_wait(), FRAME + MS);
}

#[test]
fn reordered_packets_are_played_in_order() {
    let mut player = player();
    let swapped = |index| match index % 4 {
        1 => late(packet(index), FRAME + MS),
        _ => packet(index),
    };
    let packets: Vec<_> = (0..100).map(swapped).collect();
    // A delay of 50 ms holds a packet that comes after its successor.
    assert!(play_from(&mut player, &packets, START + MS * 50, 100).is_empty());
    assert_eq!(player.played(), (0..100).collect::<Vec<_>>());
    assert_eq!(player.concealed_samples(), 0);
}

#[test]
fn packet_before_the_first_is_played_if_it_comes_before_the_start() {
    let mut player = player();
    player.insert(late(packet(7), PHASE)).unwrap();
    player.insert(late(packet(6), PHASE + FRAME)).unwrap();
    player.tick(START + FRAME * 7 + PHASE + MS * 5, 0);
    assert_eq!(player.played(), [6]);
}

#[test]
fn duplicate_is_refused_while_it_waits_and_after_it_was_played() {
    let mut player = player();
    player.insert(packet(0)).unwrap();
    assert_eq!(player.insert(packet(0)), Err(DropReason::Duplicate));
    player.tick(START + PHASE, 0);
    for _ in 0..10 {
        assert_eq!(player.insert(late(packet(0), MS * 300)), Err(DropReason::Duplicate));
    }
    assert_eq!(player.buffer.counters().late, 0, "a copy says nothing of the way's delay");
    assert_eq!(player.buffer.target(), MS * 4);
}

#[test]
fn lost_packets_are_concealed_frame_by_frame_and_the_delay_stays() {
    for burst in 1..=6 {
        let mut player = player();
        let is_lost = |index: &u64| (20..20 + burst).contains(index) || *index == 50;
        let packets: Vec<_> = (0..100).filter(|index| !is_lost(index)).map(packet).collect();
        play(&mut player, &packets, 100);
        let counters = player.buffer.counters();
        assert_eq!(player.count(|out| matches!(out, Out::Conceal(960))), burst as usize + 1);
        assert_eq!((counters.lost, counters.concealed), (burst + 1, burst + 1));
        assert_eq!((counters.late, player.count(|out| *out == Out::Idle)), (0, 0));
        assert_eq!((player.last_wait(), player.buffer.target()), (PHASE, MS * 4));
    }
}

#[test]
fn lost_packets_are_concealed_alike_under_a_long_delay() {
    let mut player = player();
    let packets: Vec<_> = (0..100).filter(|index| !(20..25).contains(index)).map(packet).collect();
    play_from(&mut player, &packets, START + MS * 150, 100);
    assert_eq!(player.concealed_samples(), 5 * 960);
    assert_eq!(player.buffer.counters().lost, 5);
    assert_eq!(player.last_wait(), MS * 150);
}

#[test]
fn long_loss_fades_out_begins_anew_and_counts_once() {
    let mut player = player();
    let packets: Vec<_> = (0..100).filter(|index| !(20..40).contains(index)).map(packet).collect();
    // 12 ms before the tick the spurt's first packet has not waited: the tick comes 2 ms after.
    let packets: Vec<_> = packets.into_iter().map(|packet| late(packet, MS * 7)).collect();
    play(&mut player, &packets, 101);
    let counters = player.buffer.counters();
    assert_eq!((counters.lost, counters.concealed), (20, 6));
    assert_eq!(player.played().len(), 80);
    assert_eq!(player.last_wait(), MS * 23, "waited for the target again");
}

#[test]
fn rare_late_packet_is_given_up_and_the_delay_stays() {
    let mut player = player();
    let mut packets: Vec<_> = (0..100).map(packet).collect();
    packets[30] = late(packets[30], MS * 13);
    assert!(play(&mut player, &packets, 100).is_empty());
    let counters = player.buffer.counters();
    assert_eq!((counters.late, counters.lost, counters.concealed), (1, 0, 1));
    assert_eq!(player.played(), (0..100).filter(|index| *index != 30).collect::<Vec<_>>());
    assert_eq!(player.last_wait(), PHASE);
}

#[test]
fn frequent_late_packets_lengthen_the_delay() {
    let mut player = player();
    let mut packets: Vec<_> = (0..100).map(packet).collect();
    for index in (30..100).step_by(5) {
        packets[index] = late(packets[index], MS * 13);
    }
    assert!(play(&mut player, &packets, 101).is_empty());
    let counters = player.buffer.counters();
    assert_eq!((counters.late, counters.lost, counters.concealed), (4, 0, 4));
    let given_up = [30, 35, 40];
    assert_eq!(player.played(), (0..100).filter(|n| !given_up.contains(n)).collect::<Vec<_>>());
    assert_eq!(player.last_wait(), PHASE + FRAME, "from the fourth on there is time for all");
}

#[test]
fn packet_after_its_successor_is_refused_and_the_next_spurt_waits_longer() {
    let mut player = player();
    let packets: Vec<_> = (0..60)
        .map(|index| match index {
            30..33 => late(packet(index), MS * 75),
            _ => packet(index),
        })
        .collect();
    let refused = play(&mut player, &packets, 55);
    assert_eq!(refused, [30, 31, 32].map(|index| (index, DropReason::Late)));
    let counters = player.buffer.counters();
    assert_eq!((counters.late, counters.lost, counters.concealed), (3, 3, 3));
    assert_eq!(player.last_wait(), PHASE, "the delay changes at the next spurt only");
    let target = player.buffer.target();
    assert!((MS * (4 + 75)..MS * 95).contains(&target), "{target:?}: a few packets tell little");
    let spurt = Packet { timestamp: 960 * 200, at: START + MS * 4_000, ..packet(60) };
    play_from(&mut player, &[spurt], START + MS * 3_995, 9);
    assert_eq!(player.last_wait(), MS * 95, "rounded up to a tick");
}

#[test]
fn target_is_bounded_and_forgets() {
    let mut player = player();
    let far = |index: u64| MS * (index as u32 * 7 % 400);
    // Delays of up to 400 ms, then of none.
    let late = |index| if index < 800 { late(packet(index), far(index)) } else { packet(index) };
    let packets: Vec<_> = (0..2_200).map(late).collect();
    play(&mut player, &packets, 800);
    assert_eq!(player.buffer.target(), MS * 200);
    play_from(&mut player, &packets[800..], START + FRAME * 800 + PHASE, 1_000);
    assert_eq!(player.buffer.target(), MS * 200, "one packet in a hundred of the recent ones");
    play_from(&mut player, &packets[1_800..], START + FRAME * 1_800 + PHASE, 400);
    assert_eq!(player.buffer.target(), MS * 4);
}

#[test]
fn underrun_fades_out_and_recovers_with_every_packet() {
    let mut player = player();
    let stall = |index: u64| match index {
        50..65 => Packet { at: START + FRAME * 65, ..packet(index) },
        _ => packet(index),
    };
    let packets: Vec<_> = (0..200).map(stall).collect();
    assert!(play(&mut player, &packets, 200).is_empty());
    let counters = player.buffer.counters();
    assert_eq!((counters.lost, counters.late), (0, 1));
    assert_eq!(counters.concealed, 6, "120 ms, then silence");
    assert!(player.buffer.target() <= MS * 26, "one stall is no rule");
    // Played late by the stall, and in the second half shortened to what the target allows.
    let waits = player.log.iter().filter_map(|(_, out)| match out {
        Out::Play { wait, .. } => Some(*wait),
        _ => None,
    });
    assert!(waits.clone().max().unwrap() <= MS * 330);
    assert!(player.last_wait() <= MS * 230, "{:?}", player.last_wait());
}

#[test]
fn packet_that_ends_a_long_underrun_waits_for_the_target() {
    let mut player = player();
    let mut packets: Vec<_> = (0..60).map(packet).collect();
    for packet in &mut packets[30..] {
        packet.at += MS * 409;
    }
    play(&mut player, &packets, 90);
    let counters = player.buffer.counters();
    assert_eq!((counters.lost, counters.late), (0, 1));
    assert_eq!(player.last_wait(), MS * 21, "1 ms was not enough");
}

#[test]
fn pause_of_the_sender_is_no_loss() {
    let mut player = player();
    let pause = FRAME * 100;
    let resumed = |index: u64| {
        let packet = packet(index);
        Packet { timestamp: packet.timestamp + 96_000, at: packet.at + pause, ..packet }
    };
    let packets: Vec<_> = (0..50).map(packet).chain((50..100).map(resumed)).collect();
    assert!(play(&mut player, &packets, 200).is_empty());
    let counters = player.buffer.counters();
    assert_eq!((counters.played, counters.lost, counters.late), (100, 0, 0));
    assert_eq!(counters.concealed, 6, "the end of a spurt looks like a loss until it fades");
    assert_eq!((player.last_wait(), player.buffer.target()), (PHASE, MS * 4));
}

#[test]
fn spurt_that_waits_already_follows_at_once() {
    let mut player = player();
    for index in 0..4 {
        let pause = if index < 2 { 0 } else { 4_800 };
        let timestamp = index as u32 * 960 + pause;
        player.insert(Packet { timestamp, at: START, ..packet(index) }).unwrap();
    }
    for tick in 1..5 {
        player.tick(START + FRAME * tick, 0);
    }
    assert_eq!(player.played(), [0, 1, 2, 3]);
    assert_eq!(player.concealed_samples(), 0);
}

#[test]
fn loss_at_a_pause_is_counted_and_not_concealed_as_sound() {
    let mut player = player();
    let resumed = |index: u64| {
        let packet = packet(index);
        Packet { timestamp: packet.timestamp + 96_000, at: packet.at + FRAME * 100, ..packet }
    };
    // The last packet before the pause and the first two after it are lost.
    let packets: Vec<_> = (0..49).map(packet).chain((52..100).map(resumed)).collect();
    play(&mut player, &packets, 200);
    let counters = player.buffer.counters();
    assert_eq!((counters.played, counters.lost, counters.late), (97, 3, 0));
    assert_eq!(counters.concealed, 6);
}

#[test]
fn timestamps_that_run_back_begin_a_new_spurt() {
    let mut player = player();
    let packets: Vec<_> = (0..60)
        .map(|index| {
            let packet = packet(index);
            let timestamp = packet.timestamp.wrapping_sub(if index < 30 { 0 } else { 1 << 30 });
            Packet { timestamp, ..packet }
        })
        .collect();
    play(&mut player, &packets, 60);
    assert_eq!(player.played().len(), 60);
    assert_eq!(player.concealed_samples(), 0);
}

#[test]
fn sequence_jump_beyond_the_ring_starts_over_and_counts_all_it_passed() {
    let mut player = player();
    let packets: Vec<_> = (0..30).chain(1_000..1_030).map(packet).collect();
    let moved = |packet: Packet| match packet.index {
        0..30 => packet,
        _ => Packet { at: START + FRAME * (packet.index as u32 - 970), ..packet },
    };
    let packets: Vec<_> = packets.into_iter().map(moved).collect();
    // Under a delay of 90 ms the jump finds packets that were not yet played.
    play_from(&mut player, &packets, START + MS * 90, 70);
    let counters = player.buffer.counters();
    assert_eq!(counters.played + counters.lost, 1_030, "each index was played or lost");
    assert!((26..=30).contains(&(counters.played - 30)), "{counters:?}");
    assert_eq!(player.insert(packet(990)), Err(DropReason::Late));
    assert_eq!(player.insert(packet(900)), Err(DropReason::TooOld));
}

#[test]
fn indices_and_timestamps_wrap_unnoticed() {
    let mut player = player();
    let packets: Vec<_> = (0..100)
        .filter(|index| index % 10 != 3)
        .map(|index| {
            let packet = packet(index);
            let timestamp = packet.timestamp.wrapping_sub(960 * 43);
            Packet { index: index + 65_500, timestamp, ..packet }
        })
        .collect();
    play(&mut player, &packets, 100);
    let counters = player.buffer.counters();
    assert_eq!((counters.played, counters.lost, counters.concealed), (90, 10, 10));
}

#[test]
fn ring_holds_its_capacity_and_refuses_more() {
    let mut player = player();
    for index in 0..CAPACITY {
        player.insert(packet(index)).unwrap();
    }
    assert_eq!(player.buffer.buffered_samples(), 960 * CAPACITY as u32);
    assert_eq!(player.insert(packet(CAPACITY)), Err(DropReason::Full));
    assert_eq!(player.insert(packet(3)), Err(DropReason::Duplicate));
    player.tick(START + FRAME * 31, 0);
    player.insert(packet(CAPACITY)).unwrap();
}

#[test]
fn impossible_packets_are_refused() {
    let mut buffer = JitterBuffer::new(settings());
    let good = BufferedPacket {
        index: 1,
        timestamp: RtpTimestamp(0),
        samples: 5_760,
        level: LevelDbov(LOUD),
        received_at: START,
        payload: &[0; PAYLOAD_SIZE_MAX],
    };
    let long = [0; PAYLOAD_SIZE_MAX + 1];
    for bad in [
        BufferedPacket { samples: 0, ..good },
        BufferedPacket { samples: 5_761, ..good },
        BufferedPacket { payload: &long, ..good },
    ] {
        assert_eq!(buffer.insert(&bad), Err(DropReason::Undecodable));
    }
    assert_eq!(buffer.insert(&good), Ok(()));
}

/// A stream of 20 ms packets whose delay is `delay`, at `level` behind a loud first one, played
/// with `skips` a tick.
fn skipped(level: u8, delay: Duration, skips: u32) -> u64 {
    let mut player = player();
    let count = 40;
    for index in 0..count {
        let level = if index == 0 { LOUD } else { level };
        let early = Packet { level, at: START, ..packet(index) };
        // The first packets come early at once, so that the delay is what the test wants.
        if FRAME * index as u32 <= delay {
            player.insert(early).unwrap();
        }
    }
    let queued = u64::from(frames(delay)) + 1;
    for tick in 0..count - queued {
        let index = queued + tick;
        let at = START + FRAME * (tick as u32 + 1);
        player.tick(START + delay + FRAME * tick as u32, skips);
        player.insert(Packet { level, at, ..packet(index) }).unwrap();
    }
    player.buffer.counters().skipped
}

#[test]
fn pauses_are_shortened_while_the_delay_is_a_whole_packet_too_long() {
    assert_eq!(skipped(QUIET, MS * 23, 4), 0, "19 ms more than the target");
    assert_eq!(skipped(QUIET, MS * 24, 4), 1);
    assert_eq!(skipped(QUIET, MS * 90, 4), 4);
    assert_eq!(skipped(QUIET, MS * 90, 1), 4, "one each tick");
    assert_eq!(skipped(QUIET, MS * 90, 0), 0, "only if the caller allows it");
    assert_eq!(skipped(LOUD, MS * 90, 4), 0);
}

#[test]
fn quiet_packets_before_the_first_sound_are_skipped_while_the_next_has_waited() {
    for (wait_ms, played) in [(63, 2), (64, 3)] {
        let mut player = player();
        for index in 0..4 {
            let level = if index < 3 { QUIET } else { LOUD };
            let at = START + FRAME * index as u32;
            player.insert(Packet { level, at, ..packet(index) }).unwrap();
        }
        player.tick(START + MS * wait_ms, 4);
        assert_eq!(player.played(), [played], "after {wait_ms} ms");
        assert_eq!(player.buffer.counters().skipped, played);
    }
}

#[test]
fn single_quiet_packet_in_sound_is_played() {
    let mut player = player();
    for index in 0..8 {
        let level = if index % 4 == 3 { QUIET } else { LOUD };
        player.insert(Packet { level, at: START, ..packet(index) }).unwrap();
    }
    for tick in 0..8 {
        player.tick(START + MS * 90 + FRAME * tick, 4);
    }
    assert_eq!(player.buffer.counters().skipped, 0);
}

#[test]
fn loud_packets_are_skipped_beyond_the_largest_target() {
    assert_eq!(skipped(LOUD, MS * 219, 4), 0);
    assert_eq!(skipped(LOUD, MS * 220, 4), 1);
    assert_eq!(skipped(LOUD, MS * 300, 0), 0, "only if the caller allows it");
}

#[test]
fn last_packet_is_never_skipped() {
    let mut player = player();
    player.insert(Packet { level: QUIET, ..packet(0) }).unwrap();
    player.tick(START + MS * 500, 4);
    assert_eq!(player.played(), [0]);
}

#[test]
fn excess_is_what_every_recent_packet_was_early() {
    let mut player = player();
    assert_eq!(player.buffer.excess(), Duration::from_secs(1), "nothing to go by yet");
    let packets: Vec<_> = (0..60)
        .map(|index| late(packet(index), if index % 9 == 4 { MS * 5 } else { MS }))
        .collect();
    play_from(&mut player, &packets, START + MS * 18, 60);
    assert_eq!(player.buffer.excess(), MS * (18 - 5 - 4));
    player.buffer.tick_moved_earlier(MS * 3);
    assert_eq!(player.buffer.excess(), MS * 6);
    player.buffer.tick_moved_earlier(MS * 30);
    assert_eq!(player.buffer.excess(), Duration::ZERO);
}

#[test]
fn tick_that_moves_earlier_by_the_excess_makes_no_packet_late() {
    let mut player = player();
    let packets: Vec<_> =
        (0..1_000).map(|index| late(packet(index), MS * (index % 7) as u32)).collect();
    let (mut now, mut next) = (START + MS * 19, 0);
    while next < packets.len() {
        while let Some(packet) = packets.get(next).filter(|packet| packet.at <= now) {
            player.insert(*packet).unwrap();
            next += 1;
        }
        player.tick(now, 0);
        let step = player.buffer.excess().min(Duration::from_micros(200));
        player.buffer.tick_moved_earlier(step);
        now += FRAME - step;
    }
    let counters = player.buffer.counters();
    assert_eq!((counters.late, counters.concealed), (0, 0));
    let phase = now.saturating_since(START).as_micros() % 20_000;
    assert!((10_000..10_400).contains(&phase), "6 ms of jitter and 4 of target: {phase} us");
}

#[test]
fn packets_of_every_duration_are_concealed_by_time() {
    for (samples, lost) in [(480, 7), (960, 3), (1_920, 2), (2_880, 2)] {
        let mut player = player();
        let is_lost = |index: &u64| (20..20 + lost).contains(index);
        let packets: Vec<_> = (0..100)
            .filter(|index| !is_lost(index))
            .map(|index| packet_of(index, samples))
            .collect();
        // Of two 10 ms packets the second must be there when the first is played.
        let ticks = frames(duration(samples) * 100) - 1;
        play_from(&mut player, &packets, START + MS * 15, ticks);
        let counters = player.buffer.counters();
        assert_eq!(player.concealed_samples(), samples * lost as u32, "{samples}");
        assert_eq!((counters.lost, counters.late), (lost, 0), "{samples}");
        assert_eq!(player.count(|out| *out == Out::Idle), 0, "{samples}");
        assert_eq!(player.buffer.target(), MS * 4, "{samples}");
    }
}

#[test]
fn late_packet_of_60_ms_costs_one_frame_of_delay() {
    let mut player = player();
    let mut packets: Vec<_> = (0..30).map(|index| packet_of(index, 2_880)).collect();
    packets[10] = late(packets[10], MS * 14);
    play(&mut player, &packets, 90);
    assert_eq!(player.concealed_samples(), 960);
    assert_eq!(player.last_wait(), PHASE + FRAME);
}

#[test]
fn lost_packet_of_another_duration_is_concealed_by_its_own() {
    let mut player = player();
    // Packs of 60 ms, one flushed early as 20 ms, and the pack behind that one lost.
    let lengths = [2_880, 2_880, 960, 2_880, 2_880, 2_880];
    let mut timestamp = 0;
    let mut packets = Vec::new();
    for (index, samples) in lengths.into_iter().enumerate() {
        let at = START + duration(timestamp);
        packets.push(Packet { index: index as u64, timestamp, samples, level: LOUD, at });
        timestamp += samples;
    }
    packets.remove(3);
    play(&mut player, &packets, frames(duration(timestamp)));
    assert_eq!(player.concealed_samples(), 2_880);
    assert_eq!(player.buffer.counters().lost, 1);
    assert_eq!(player.last_wait(), PHASE, "the delay stays");
}

/// A stream of packets of these lengths, each sent as soon as its last frame is there.
fn packed(lengths: impl IntoIterator<Item = u32>) -> Vec<Packet> {
    let mut timestamp = 0;
    let pack = |(index, samples): (usize, u32)| {
        let at = START + duration(timestamp + samples - 960);
        let packet = Packet { index: index as u64, timestamp, samples, level: LOUD, at };
        timestamp += samples;
        packet
    };
    lengths.into_iter().enumerate().map(pack).collect()
}

fn all_frames(packets: &[Packet]) -> u32 {
    packets.iter().map(|packet| packet.samples).sum::<u32>() / 960
}

#[test]
fn steady_packed_stream_is_neither_concealed_nor_late() {
    for samples in [1_920, 2_880] {
        let mut player = player();
        let packets = packed([samples; 200]);
        let first = packets[0].at + PHASE;
        let refused = play_from(&mut player, &packets, first, all_frames(&packets));
        assert!(refused.is_empty());
        assert_eq!(player.played(), (0..200).collect::<Vec<_>>(), "{samples}");
        assert_eq!((player.concealed_samples(), player.last_wait()), (0, PHASE), "{samples}");
        assert_eq!((player.buffer.counters().late, player.buffer.target()), (0, MS * 4));
    }
}

#[test]
fn longer_packets_cost_their_length_once_and_teach_nothing() {
    for samples in [1_920, 2_880] {
        let mut player = player();
        let packets = packed([[960; 50], [samples; 50]].concat());
        let more = samples - 960;
        play(&mut player, &packets, all_frames(&packets) + more / 960);
        assert_eq!(player.played(), (0..100).collect::<Vec<_>>(), "{samples}");
        assert_eq!(player.concealed_samples(), more, "{samples}");
        assert_eq!(player.last_wait(), PHASE, "{samples}");
        let counters = player.buffer.counters();
        assert_eq!((counters.late, counters.lost, counters.skipped), (0, 0, 0), "{samples}");
        assert_eq!(player.buffer.target(), MS * 4, "{samples}");
    }
}

#[test]
fn longer_packet_that_is_late_besides_costs_a_frame_more() {
    let mut player = player();
    let mut packets = packed([[960; 50], [2_880; 50]].concat());
    packets[50].at += MS * 15;
    play(&mut player, &packets, 90);
    assert_eq!(player.concealed_samples(), 2_880, "40 ms, and a frame for the 15 ms");
    assert_eq!(player.buffer.counters().late, 1);
}

#[test]
fn shorter_packets_are_all_played_and_their_surplus_goes_in_a_pause() {
    let mut player = player();
    let mut packets = packed([[2_880; 50].to_vec(), [960; 300].to_vec()].concat());
    let first = packets[0].at + PHASE;
    // Loud for two seconds after the change, then a pause.
    for packet in &mut packets[150..200] {
        packet.level = QUIET;
    }
    play_from(&mut player, &packets, first, 150 + 100);
    assert_eq!(player.played(), (0..150).collect::<Vec<_>>(), "each, and none twice");
    assert_eq!((player.concealed_samples(), player.last_wait()), (0, PHASE + FRAME * 2));
    assert_eq!(player.buffer.counters().skipped, 0);

    let mut player = self::player();
    play_from(&mut player, &packets, first, 150 + 298);
    assert_eq!((player.concealed_samples(), player.last_wait()), (0, PHASE));
    assert_eq!(player.buffer.counters().skipped, 2, "40 ms of the pause");
}

#[test]
fn back_and_forth_costs_nothing_more_until_a_pause() {
    let mut player = player();
    let there_and_back = [[960; 30].to_vec(), [2_880; 20].to_vec()].concat();
    let packets = packed(there_and_back.repeat(4));
    play(&mut player, &packets, all_frames(&packets) + 2);
    assert_eq!(player.played(), (0..packets.len() as u64).collect::<Vec<_>>());
    assert_eq!(player.concealed_samples(), 1_920, "the first change only");
    assert_eq!(player.buffer.counters().late, 0);
}

#[test]
fn packs_flushed_early_make_no_hole() {
    let mut player = player();
    let mixed = [[2_880; 5].to_vec(), [960, 1_920].to_vec(), [2_880; 5].to_vec()].concat();
    let packets = packed(mixed.repeat(6));
    let first = packets[0].at + PHASE;
    play_from(&mut player, &packets, first, all_frames(&packets));
    assert_eq!(player.played(), (0..packets.len() as u64).collect::<Vec<_>>());
    assert_eq!((player.concealed_samples(), player.buffer.counters().late), (0, 0));
}

/// Plays ten minutes of a sender whose clock is off, with a pause of four quiet packets in every
/// `quiet_every`.
fn drift(ppm: i64, quiet_every: u64) -> (Player, Duration, Duration) {
    let mut player = player();
    let interval = FRAME.as_nanos() as i64 * 1_000_000 / (1_000_000 + ppm);
    let (mut index, mut shortest, mut longest) = (0, Duration::MAX, Duration::ZERO);
    for tick in 0..30_000_u32 {
        let now = START + PHASE + FRAME * tick;
        loop {
            let at = START + Duration::from_nanos(interval as u64 * index);
            if at > now {
                break;
            }
            let level = if index % quiet_every < 4 { QUIET } else { LOUD };
            player.insert(Packet { at, level, ..packet(index) }).unwrap();
            index += 1;
        }
        player.tick(now, 1);
        if let Some((_, Out::Play { wait, .. })) = player.log.last() {
            (shortest, longest) = (shortest.min(*wait), longest.max(*wait));
        }
    }
    (player, shortest, longest)
}

#[test]
fn fast_clock_is_taken_up_by_skipping_quiet_packets() {
    let (player, shortest, longest) = drift(200, 25);
    let counters = player.buffer.counters();
    assert!((5..=6).contains(&counters.skipped), "120 ms in ten minutes: {counters:?}");
    assert_eq!((counters.lost, counters.late, counters.concealed), (0, 0, 0));
    assert!(shortest >= MS * 4 && longest <= MS * 28, "{shortest:?} to {longest:?}");
}

#[test]
fn fast_clock_in_sound_without_quiet_stays_below_the_largest_target() {
    let (player, _, longest) = drift(600, u64::MAX);
    let counters = player.buffer.counters();
    assert!((7..=9).contains(&counters.skipped), "360 ms, of which 210 may wait: {counters:?}");
    assert_eq!((counters.lost, counters.concealed), (0, 0));
    assert!(longest <= MS * 222, "{longest:?}");
}

#[test]
fn slow_clock_is_taken_up_by_concealing() {
    let (player, _, longest) = drift(-200, 25);
    let counters = player.buffer.counters();
    assert!((5..=7).contains(&counters.concealed), "120 ms in ten minutes: {counters:?}");
    assert_eq!((counters.late, counters.lost, counters.skipped), (counters.concealed, 0, 0));
    assert!(longest <= MS * 22, "{longest:?}");
    assert!(player.buffer.target() <= MS * 20, "{:?}", player.buffer.target());
}

#[test]
fn reset_buffer_is_as_new() {
    let mut player = player();
    let packets: Vec<_> = (0..50).filter(|index| index % 7 != 3).map(packet).collect();
    play(&mut player, &packets, 60);
    player.buffer.reset(settings());
    let mut again = Player::new(settings());
    again.buffer = player.buffer;
    play(&mut again, &packets, 60);
    assert_eq!(again.log, player.log);
    assert_eq!(again.buffer.counters().played, 43);
}

/// One packet of a schedule: what the network and the sender do with it.
#[derive(Clone, Copy, Debug)]
struct Fate {
    lost: bool,
    copies: u8,
    delay_us: u32,
    frames: u8,
    pause_frames: u8,
    jump: u16,
    level: u8,
}

fn fate() -> impl Strategy<Value = Fate> {
    let lost = prop::bool::weighted(0.15);
    let delay = prop_oneof![8 => 0..30_000_u32, 1 => 0..400_000_u32];
    let pause = prop_oneof![20 => Just(0_u8), 1 => 1..60_u8];
    let jump = prop_oneof![60 => Just(0_u16), 1 => 1..200_u16];
    let frames = prop_oneof![6 => Just(2_u8), 1 => prop::sample::select(vec![1, 4, 6, 12])];
    (lost, 0..3_u8, delay, frames, pause, jump, 0..128_u8).prop_map(
        |(lost, copies, delay_us, frames, pause_frames, jump, level)| Fate {
            lost,
            copies,
            delay_us,
            frames,
            pause_frames,
            jump,
            level,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The player checks each pull: order, once each, holes covered, silence only where allowed.
    #[test]
    fn any_schedule_is_played_in_order_once_and_covers_time(
        fates in prop::collection::vec(fate(), 1..300),
        skips in 0..5_u32,
        target_min_ms in 0..40_u32,
        first_index in 0..100_000_u64,
    ) {
        let target_max = MS * 200;
        let settings = JitterSettings { target_min: MS * target_min_ms, target_max, ..settings() };
        let mut player = Player::new(settings);
        let (mut arrivals, mut index, mut half_frames) = (Vec::new(), first_index, 0_u32);
        for fate in &fates {
            half_frames += u32::from(fate.pause_frames) * 2;
            index += u64::from(fate.jump);
            let (timestamp, samples) = (half_frames.wrapping_mul(480), u32::from(fate.frames) * 480);
            let sent = START + MS * 10 * half_frames;
            for copy in 0..u32::from(fate.copies.max(1)) {
                let delay = Duration::from_micros(u64::from(fate.delay_us)) + FRAME * copy;
                let packet = Packet { index, timestamp, samples, level: fate.level, at: sent + delay };
                if !fate.lost {
                    arrivals.push(packet);
                }
            }
            index += 1;
            half_frames += u32::from(fate.frames);
        }
        let ticks = half_frames / 2 + 40;
        let refused = play_all(&mut player, arrivals.clone(), skips, ticks);
        let counters = player.buffer.counters();
        let given = counters.played + counters.skipped;
        prop_assert!(given + refused <= arrivals.len() as u64);
        let ms = u64::from(ticks) * 20 + 120;
        let samples: u64 = u64::from(player.concealed_samples());
        prop_assert!(samples / 48 <= ms, "no more is concealed than there was time");
        prop_assert!(player.buffer.is_empty(), "40 ticks after the end all was played");
    }
}

fn play_all(player: &mut Player, mut arrivals: Vec<Packet>, skips: u32, ticks: u32) -> u64 {
    arrivals.sort_by_key(|packet| packet.at);
    let (mut refused, mut next) = (0, 0);
    for tick in 0..ticks {
        let now = START + PHASE + FRAME * tick;
        while let Some(packet) = arrivals.get(next).filter(|packet| packet.at <= now) {
            refused += u64::from(player.insert(*packet).is_err());
            next += 1;
        }
        player.tick(now, skips);
    }
    refused
}
