//! A member's own mix of forwarded talkers allocates nothing after warm-up.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use sabha_client::sound::built_in::built_in_clips;
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};
use sabha_transport::Endpoint;

#[path = "../../media/tests/malloc/mod.rs"]
mod malloc;
mod media_support;
use malloc::allocated;
use media_support::bridge::{Bridged, Turn, Voice};
use media_support::{FRAME, NODE, START};

/// Throws packets away after they were written.
struct Slot([u8; DATAGRAM_SIZE_MAX]);

impl Transmit for Slot {
    fn transmit(&mut self, _to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        write(&mut self.0);
    }
}

fn play(bridged: &mut Bridged, packets: &mut [(Instant, Vec<u8>)], slot: &mut Slot) {
    let media = &mut bridged.member.media;
    for (at, packet) in packets {
        while let Some(due) = media.poll_timeout().filter(|due| due < at) {
            media.handle_timeout(due, slot);
            media.handle_sent(due);
        }
        let datagram = Datagram { from: NODE, received_at: *at, bytes: packet };
        media.handle_datagram(*at, datagram, slot);
    }
}

#[test]
fn talkers_who_come_and_go_and_lose_packets_cost_no_allocation() {
    const FRAMES: usize = 2_000;
    // What was heard is kept, in memory that doubled at 1,024 frames and is to again at 2,048.
    const WARM_UP: usize = 1_100;
    let voices = (0..6).map(|index| {
        let clips = built_in_clips();
        let said = clips[index % clips.len()].samples.iter().copied().cycle().skip(index * 30_000);
        Voice::new(100 + index as u32, &said.take(FRAMES * 960).collect::<Vec<_>>())
    });
    let mut bridged = Bridged::new(3, voices.collect(), "0");
    // Each slot changes hands every second and a bit, so that all six are heard in turn.
    let turns: Vec<_> = (0..3 * FRAMES / 60)
        .map(|nth| {
            let (slot, from) = (nth % 3, nth / 3 * 60 + 10 * (nth % 3));
            Turn { voice: (nth + nth / 3) % 6, slot, from, to: (from + 55).min(FRAMES) }
        })
        .collect();
    let is_lost = |voice: usize, frame: usize| (frame + voice).is_multiple_of(17);
    let mut packets = bridged.forward(FRAMES, &turns, is_lost);
    let warm_up = packets.partition_point(|(at, _)| *at < START + FRAME * WARM_UP as u32);
    let (warm_up, counted) = packets.split_at_mut(warm_up);
    let mut slot = Slot([0; DATAGRAM_SIZE_MAX]);
    play(&mut bridged, warm_up, &mut slot);
    let before = bridged.member.report();
    let ((), allocated) = allocated(|| play(&mut bridged, counted, &mut slot));
    let after = bridged.member.report();
    assert!(after.playout.played > before.playout.played + 1_000, "{:?}", after.playout);
    assert!(after.heard.concealed > before.heard.concealed, "{:?}", after.heard);
    assert_eq!(allocated.calls, 0, "{allocated:?}");
}
