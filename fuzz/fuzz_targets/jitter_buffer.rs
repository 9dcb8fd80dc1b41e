//! A jitter buffer under arbitrary packets and pulls.
//!
//! The player of media's tests checks each pull: order, once each, holes covered, silence only
//! where it is allowed.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::JitterSettings;
use sabha_media::time::Instant;

#[allow(dead_code)]
#[path = "../../media/tests/jitter_buffer/player.rs"]
mod player;

use player::{Packet, Player};

fuzz_target!(|input: &[u8]| {
    let [target_min, target_max, operations @ ..] = input else { return };
    let mut player = Player::new(JitterSettings {
        target_min: Duration::from_millis(u64::from(*target_min)),
        target_max: Duration::from_millis(u64::from(*target_max)),
        quiet: LevelDbov(65),
        margin_percent: 0,
        stretch: true,
    });
    let (mut now, mut index, mut timestamp) = (START, 1_000_u64, 0_u32);
    for [operation, a, b, c] in operations.as_chunks().0 {
        match operation % 8 {
            // The next packet of a stream, on time or late, of a length that Opus has.
            0..3 => {
                let samples = [120, 480, 960, 960, 960, 1_920, 2_880, 5_760][usize::from(a % 8)];
                let at = now - Duration::from_millis(u64::from(*c));
                let _ = player.insert(Packet { index, timestamp, samples, level: *b, at });
                index += 1;
                timestamp = timestamp.wrapping_add(samples);
            }
            // Loss, a pause, or a jump.
            3 => {
                index += u64::from(*a) << (b % 24);
                timestamp = timestamp.wrapping_add(u32::from(*c) * 960);
            }
            // Any packet near the stream.
            4 => {
                let index = (index + u64::from(*a)).saturating_sub(128);
                let timestamp = timestamp.wrapping_add(u32::from(*b) * 480).wrapping_sub(30_000);
                let samples = u32::from(*c) * 24;
                let _ = player.insert(Packet { index, timestamp, samples, level: *c, at: now });
            }
            5 => player.buffer.tick_moved_earlier(Duration::from_micros(u64::from(*a) * 16)),
            // A pull out of turn: time may repeat.
            6 => player.tick(now, u32::from(a % 5)),
            _ => {
                now += Duration::from_micros(u64::from(*b) * 160);
                player.tick(now, u32::from(a % 5));
            }
        }
        assert!(player.buffer.excess() <= Duration::from_secs(1));
    }
});

const START: Instant = Instant::from_millis(1_000_000);
