//! When the packs of those who only listen begin and end.
//!
//! Packed listeners form as many cohorts as a pack has frames, offset by a tick, so that each tick
//! sends to a part of them. All cohorts' first packs end together, for a listener plays a pack
//! while the next one fills, and cannot begin with less than a whole one; short second packs set
//! the cohorts apart.

use std::time::Duration;

use sabha_media::codec::Codec;
use sabha_media::time::Instant;

use crate::effort::ListenerPacket;
use crate::recent::{FRAMES_MAX, Recent};

/// The packs of one conference that are being filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cohorts {
    packet: ListenerPacket,
    /// What is to be `packet` once it disturbs nobody, and since when.
    wanted: ListenerPacket,
    wanted_since: Instant,
    /// Ticks since the first packs began.
    ticks: u64,
    /// Frames that wait in each cohort's pack.
    pending: [u8; FRAMES_MAX],
}

/// What one cohort does in one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CohortTick {
    /// Frames that waited before this tick's.
    pub(crate) before: usize,
    /// Whether those leave without this tick's frame.
    pub(crate) splits: bool,
    /// Whether this tick's frame is the first of a pack, so that legs may come and go.
    pub(crate) begins: bool,
    /// Frames that leave together with this tick's; 0 if it waits.
    pub(crate) due: usize,
}

/// What a tick tells of the mix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MixTick {
    pub(crate) at: Instant,
    /// Whether the mix is so quiet that a gap in it is not heard.
    pub(crate) is_quiet: bool,
    /// Whether this is the last frame before silence.
    pub(crate) is_last: bool,
}

impl Cohorts {
    pub(crate) fn new() -> Self {
        Self {
            packet: ListenerPacket::Ms20,
            wanted: ListenerPacket::Ms20,
            wanted_since: Instant::ZERO,
            ticks: 0,
            pending: [0; FRAMES_MAX],
        }
    }

    /// Begins anew: what waits is forgotten.
    pub(crate) fn restart(&mut self) {
        self.ticks = 0;
        self.pending = [0; FRAMES_MAX];
    }

    /// Takes the packet's length that is wanted now, and tells whether it is to be that from this
    /// tick on; `regroup` carries it out.
    ///
    /// At once if nobody is packed; a longer pack makes its listeners wait, so it comes in a quiet
    /// moment, or when that was long in coming.
    pub(crate) fn is_to_regroup(
        &mut self,
        wanted: ListenerPacket,
        packed: usize,
        tick: MixTick,
    ) -> bool {
        if wanted != self.wanted {
            self.wanted = wanted;
            self.wanted_since = tick.at;
        }
        match wanted {
            _ if wanted == self.packet => false,
            _ if packed == 0 => true,
            // Legs leave one by one, each when its pack ends; see `is_ending`.
            ListenerPacket::Ms20 => false,
            _ if wanted < self.packet => true,
            _ => tick.is_quiet || self.is_overdue(tick.at, Instant::ZERO),
        }
    }

    /// Begins anew with the packet's length that is wanted.
    pub(crate) fn regroup(&mut self) {
        self.packet = self.wanted;
        self.restart();
    }

    /// Moves on by a tick whose payload is the newest of `recent`.
    pub(crate) fn tick<C: Codec>(
        &mut self,
        codec: &C,
        recent: &Recent,
        tick: MixTick,
    ) -> [CohortTick; FRAMES_MAX] {
        let mut cohorts = [CohortTick::default(); FRAMES_MAX];
        for (index, cohort) in cohorts.iter_mut().enumerate().take(self.count()) {
            let before = usize::from(self.pending[index]);
            let splits = before > 0 && !recent.newest_fits(codec, before);
            let filled = if splits { 1 } else { before + 1 };
            let ends = tick.is_last || self.ends(index) || filled == self.count();
            let due = if ends { filled } else { 0 };
            self.pending[index] = (filled - due) as u8;
            *cohort = CohortTick { before, splits, begins: filled == 1, due };
        }
        self.ticks += 1;
        cohorts
    }

    /// Returns how many cohorts there are: one if nothing is packed.
    pub(crate) fn count(&self) -> usize {
        self.packet.frames()
    }

    /// Returns the cohort of the leg at `key`.
    pub(crate) fn of(&self, key: usize) -> usize {
        key % self.count()
    }

    /// Returns the frames that wait in a cohort's pack.
    pub(crate) fn pending(&self, cohort: usize) -> usize {
        usize::from(self.pending[cohort])
    }

    /// Returns whether packing comes to its end: nobody may begin with it, all may leave it.
    pub(crate) fn is_ending(&self) -> bool {
        self.wanted == ListenerPacket::Ms20
    }

    /// Tells whether one who has been fit for packs since `since` has waited long enough for a
    /// quiet moment.
    pub(crate) fn is_overdue(&self, at: Instant, since: Instant) -> bool {
        at.saturating_since(since.max(self.wanted_since)) >= QUIET_WAIT_MAX
    }

    /// Tells whether a cohort's pack ends in this tick by the schedule.
    fn ends(&self, cohort: usize) -> bool {
        let (count, first) = (self.count() as u64, self.count() as u64 - 1);
        self.ticks == first
            || self.ticks > first && self.ticks % count == (first + 1 + cohort as u64) % count
    }
}

/// How long a leg waits for a quiet moment before its packets change their length in mid-sound.
/// Chosen: speech pauses more often.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Sources;
    use sabha_media::codec::opus::Opus;

    const QUIET: MixTick = MixTick { at: Instant::ZERO, is_quiet: true, is_last: false };

    /// The packets that each cohort is sent of these frames, as ranges, with the tick of each.
    fn packets(
        packet: ListenerPacket,
        frames: &[Vec<u8>],
    ) -> Vec<Vec<(usize, std::ops::Range<usize>)>> {
        let (mut cohorts, mut recent) = (Cohorts::new(), Recent::new());
        assert!(cohorts.is_to_regroup(packet, 0, QUIET));
        cohorts.regroup();
        let mut sent = vec![Vec::new(); packet.frames()];
        for (tick, frame) in frames.iter().enumerate() {
            recent.push(frame, Sources::NONE);
            let is_last = tick + 1 == frames.len();
            let ticks = cohorts.tick(&Opus, &recent, MixTick { is_last, ..QUIET });
            for (sent, cohort) in sent.iter_mut().zip(ticks) {
                if cohort.splits {
                    sent.push((tick, tick - cohort.before..tick));
                }
                if cohort.due > 0 {
                    sent.push((tick, tick + 1 - cohort.due..tick + 1));
                }
            }
        }
        sent
    }

    fn frame(toc: u8, size: usize) -> Vec<u8> {
        vec![toc; 1 + size]
    }

    #[test]
    fn cohorts_take_turns_after_the_first_pack() {
        let sent = packets(ListenerPacket::Ms60, &vec![frame(0x78, 80); 9]);
        assert_eq!(sent[0], [(2, 0..3), (3, 3..4), (6, 4..7), (8, 7..9)]);
        assert_eq!(sent[1], [(2, 0..3), (4, 3..5), (7, 5..8), (8, 8..9)]);
        assert_eq!(sent[2], [(2, 0..3), (5, 3..6), (8, 6..9)]);
        let sent = packets(ListenerPacket::Ms40, &vec![frame(0x78, 80); 6]);
        assert_eq!(sent[0], [(1, 0..2), (2, 2..3), (4, 3..5), (5, 5..6)]);
        assert_eq!(sent[1], [(1, 0..2), (3, 2..4), (5, 4..6)]);
    }

    #[test]
    fn whatever_the_frames_each_is_sent_once_in_time_and_among_its_kind() {
        let mut random = 7_u64;
        for round in 0..500 {
            let packet = [ListenerPacket::Ms40, ListenerPacket::Ms60][round % 2];
            let frames: Vec<_> = (0..40)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let toc = if (random >> 40).is_multiple_of(4) { 0x78 } else { 0x68 };
                    frame(toc, (random >> 33) as usize % 700)
                })
                .collect();
            for sent in packets(packet, &frames) {
                let all: Vec<_> = sent.iter().flat_map(|(_, range)| range.clone()).collect();
                assert_eq!(all, (0..frames.len()).collect::<Vec<_>>(), "round {round}");
                for (tick, range) in sent {
                    assert!(tick - range.start < packet.frames(), "it waits no longer than a pack");
                    let payloads: Vec<_> = frames[range].iter().map(Vec::as_slice).collect();
                    assert!(Opus.can_pack(&payloads), "a pack of one kind, and not too large");
                }
            }
        }
    }

    #[test]
    fn change_of_kind_ends_a_pack_early() {
        let mut frames = vec![frame(0x78, 80); 5];
        frames.extend(vec![frame(0x68, 80); 4]);
        let sent = packets(ListenerPacket::Ms60, &frames);
        assert_eq!(sent[0], [(2, 0..3), (3, 3..4), (5, 4..5), (6, 5..7), (8, 7..9)]);
        assert_eq!(sent[2], [(2, 0..3), (5, 3..5), (5, 5..6), (8, 6..9)]);
    }

    #[test]
    fn longer_packs_wait_for_a_quiet_moment_or_five_seconds() {
        let mut cohorts = Cohorts::new();
        let loud = |ms| MixTick { at: Instant::from_millis(ms), is_quiet: false, is_last: false };
        assert!(cohorts.is_to_regroup(ListenerPacket::Ms40, 0, loud(0)), "nobody is packed");
        cohorts.regroup();
        assert!(!cohorts.is_to_regroup(ListenerPacket::Ms60, 9, loud(20)));
        assert!(!cohorts.is_to_regroup(ListenerPacket::Ms60, 9, loud(5_019)));
        assert!(cohorts.is_to_regroup(ListenerPacket::Ms60, 9, loud(5_020)));
        assert!(cohorts.is_to_regroup(
            ListenerPacket::Ms60,
            9,
            MixTick { is_quiet: true, ..loud(40) }
        ));
        cohorts.regroup();
        assert!(cohorts.is_to_regroup(ListenerPacket::Ms40, 9, loud(60)), "shorter ones at once");
        assert!(!cohorts.is_to_regroup(ListenerPacket::Ms20, 9, loud(80)) && cohorts.is_ending());
        assert!(cohorts.is_to_regroup(ListenerPacket::Ms20, 0, loud(100)), "when all have left");
    }
}
