//! What members of one conference received, held against each other frame by frame.
//!
//! All who only listen must receive the very same frames. One of them, the reference, sets what
//! they are and the stream's timeline; each other's timestamps differ from it by an offset, which
//! its first frame that is known tells. Frames that the reference has not had yet are kept by hash.
//! The timeline also says when each packet was due: no tick may come later than the earliest.

use sabha_media::time::Instant;

/// Frames of one conference in one process.
#[derive(Debug)]
pub struct Ledger {
    /// Allocated with the first frame: most of 10,000 silent conferences never have one.
    entries: Vec<Entry>,
    /// The newest sample position seen; positions begin at `ORIGIN`.
    newest: u64,
    /// The earliest arrival of any packet, less its place on the timeline, in ns.
    phase_ns: Option<i64>,
    counts: LedgerCounts,
}

/// How the comparison went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Frames compared with those of the reference.
    pub compared: u64,
    /// Of those, frames that differ.
    pub mismatches: u64,
    /// Frames that the reference never had.
    pub unmatched: u64,
}

/// Where one member's timestamps are on the conference's timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alignment {
    /// Timestamp less position, once known; modulo 2^32.
    offset: Option<u32>,
    /// Until then, timestamps and hashes of the frames received last: whoever is sent each frame
    /// before the reference is finds them a little later.
    pending: [(u32, u64); PENDING],
    received: usize,
}

/// One frame, and what was received as it.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    position: u64,
    is_confirmed: bool,
    /// The hash of what was received; the first is the reference's once confirmed.
    hashes: [u64; ALTERNATIVES],
    counts: [u32; ALTERNATIVES],
}

impl Ledger {
    /// Makes a ledger of nothing yet.
    pub fn new() -> Self {
        Self { entries: Vec::new(), newest: 0, phase_ns: None, counts: LedgerCounts::default() }
    }

    /// Places a packet on the timeline; `hashes` are those of its frames.
    ///
    /// The reference begins the timeline. Others are placed once one of their frames is known.
    pub fn place(
        &mut self,
        alignment: &mut Alignment,
        timestamp: u32,
        hashes: &[u64],
        is_reference: bool,
    ) -> Option<u64> {
        if alignment.offset.is_none() {
            alignment.keep(timestamp, hashes);
            let (timestamp, position) = match (is_reference, self.newest) {
                (true, 0) => (timestamp, ORIGIN),
                _ => alignment
                    .pending
                    .iter()
                    .find_map(|(timestamp, hash)| Some((*timestamp, self.find(*hash)?)))?,
            };
            alignment.offset = Some(timestamp.wrapping_sub(position as u32));
        }
        self.position(*alignment, timestamp)
    }

    /// Places a packet by its time of arrival: for those who hear a mix of their own.
    ///
    /// Taken to be in time when first seen; if a later one comes before it was due, it was not.
    pub fn place_by_time(
        &mut self,
        alignment: &mut Alignment,
        timestamp: u32,
        received_at: Instant,
    ) -> u64 {
        let position = self.position(*alignment, timestamp);
        let early = position.and_then(|position| self.late_ns(position, received_at));
        match (position, early) {
            (Some(position), Some(late)) if late > -EARLY_NS_MAX => position,
            _ => {
                let position = self.expected(received_at).unwrap_or(ORIGIN);
                alignment.offset = Some(timestamp.wrapping_sub(position as u32));
                position
            }
        }
    }

    /// Takes the frame at `position` as received by the reference or by another.
    pub fn post(&mut self, position: u64, hash: u64, is_reference: bool) {
        self.newest = self.newest.max(position);
        if position + RING_SAMPLES <= self.newest {
            self.counts.unmatched += 1;
            return;
        }
        if self.entries.is_empty() {
            self.entries.resize(RING, Entry::default());
        }
        let entry = &mut self.entries[slot(position)];
        if entry.position != position {
            self.counts.unmatched += entry.unconfirmed();
            *entry = Entry { position, ..Entry::default() };
        }
        match (entry.is_confirmed, is_reference) {
            (true, _) => {
                self.counts.compared += 1;
                self.counts.mismatches += u64::from(entry.hashes[0] != hash);
            }
            (false, true) => entry.confirm(hash, &mut self.counts),
            (false, false) => entry.keep(hash, &mut self.counts),
        }
    }

    /// Notes that the packet that ends with the frame at `position` came, and returns how late.
    pub fn arrive(&mut self, position: u64, received_at: Instant) -> i64 {
        self.newest = self.newest.max(position);
        let phase = received_at.as_nanos().cast_signed() - nanos(position);
        let earliest = self.phase_ns.map_or(phase, |earliest| earliest.min(phase));
        self.phase_ns = Some(earliest);
        phase - earliest
    }

    /// Returns the counts, frames still waiting for the reference not among them.
    pub fn counts(&self) -> LedgerCounts {
        self.counts
    }

    fn position(&self, alignment: Alignment, timestamp: u32) -> Option<u64> {
        let position = timestamp.wrapping_sub(alignment.offset?);
        let ahead = position.wrapping_sub(self.newest as u32).cast_signed();
        Some(self.newest.saturating_add_signed(ahead.into()))
    }

    fn late_ns(&self, position: u64, received_at: Instant) -> Option<i64> {
        Some(received_at.as_nanos().cast_signed() - nanos(position) - self.phase_ns?)
    }

    /// The position that was due at `at` or up to a frame before, on the grid of the newest.
    fn expected(&self, at: Instant) -> Option<u64> {
        let late = self.late_ns(self.newest, at)? + EARLY_NS_MAX;
        let frames = late.div_euclid(FRAME_NS);
        Some(self.newest.saturating_add_signed(frames * FRAME_SAMPLES.cast_signed()))
    }

    /// Finds where a frame is known to be.
    fn find(&self, hash: u64) -> Option<u64> {
        let mut found = self.entries.iter().filter(|entry| entry.has(hash));
        let (entry, other) = (found.next()?, found.next());
        // Something that was sent twice, as silence is, does not tell where it is.
        other.is_none().then_some(entry.position)
    }
}

impl Alignment {
    fn keep(&mut self, timestamp: u32, hashes: &[u64]) {
        for (at, hash) in (0..).zip(hashes) {
            let timestamp = timestamp.wrapping_add(at * FRAME_SAMPLES as u32);
            self.pending[self.received % PENDING] = (timestamp, *hash);
            self.received += 1;
        }
    }
}

impl Entry {
    fn confirm(&mut self, hash: u64, counts: &mut LedgerCounts) {
        for (kept, count) in self.hashes.iter().zip(self.counts) {
            counts.compared += u64::from(count);
            counts.mismatches += u64::from(if *kept == hash { 0 } else { count });
        }
        self.is_confirmed = true;
        self.hashes[0] = hash;
    }

    fn keep(&mut self, hash: u64, counts: &mut LedgerCounts) {
        for (kept, count) in self.hashes.iter_mut().zip(&mut self.counts) {
            if *count == 0 || *kept == hash {
                *kept = hash;
                *count += 1;
                return;
            }
        }
        // More different ones than are kept: whatever the reference had, this differs from some.
        counts.compared += 1;
        counts.mismatches += 1;
    }

    fn has(&self, hash: u64) -> bool {
        let kept = self.hashes.iter().zip(self.counts);
        let mut kept = kept.map(|(kept, count)| *kept == hash && count > 0);
        self.position != 0 && (self.is_confirmed && self.hashes[0] == hash || kept.any(|is| is))
    }

    fn unconfirmed(&self) -> u64 {
        if self.is_confirmed { 0 } else { self.counts.iter().map(|count| u64::from(*count)).sum() }
    }
}

fn slot(position: u64) -> usize {
    usize::try_from(position / FRAME_SAMPLES).unwrap_or(0) % RING
}

/// When a position is due on the timeline, in ns.
fn nanos(position: u64) -> i64 {
    (position * 62_500 / 3).cast_signed()
}

/// Frames kept for those who are yet to receive them: 5 s, more than any packing takes, or a load
/// generator that is late and has read one socket but not the other.
const RING: usize = 256;
const RING_SAMPLES: u64 = RING as u64 * FRAME_SAMPLES;

/// Where the timeline begins: far enough from 0 for those who are behind.
const ORIGIN: u64 = 1 << 20;

/// Frames remembered of a member whose place is not known: two packets of the longest kind.
const PENDING: usize = 6;

/// Different contents kept of one frame.
const ALTERNATIVES: usize = 2;

/// How much before its due time a packet may seem to come: the spread of one tick's sends.
const EARLY_NS_MAX: i64 = 5_000_000;

/// One frame of 20 ms.
const FRAME_SAMPLES: u64 = 960;
const FRAME_NS: i64 = 20_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u32 = 960;

    /// A member whose timestamps are `offset` ahead, and who receives frame `at` as `hash`.
    struct Listener {
        alignment: Alignment,
        offset: u32,
        is_reference: bool,
    }

    impl Listener {
        fn new(offset: u32, is_reference: bool) -> Self {
            Self { alignment: Alignment::default(), offset, is_reference }
        }

        fn receive(&mut self, ledger: &mut Ledger, first: u32, hashes: &[u64]) {
            let timestamp = (first * FRAME).wrapping_add(self.offset);
            let placed = ledger.place(&mut self.alignment, timestamp, hashes, self.is_reference);
            let Some(position) = placed else { return };
            for (at, hash) in hashes.iter().enumerate() {
                ledger.post(position + at as u64 * FRAME_SAMPLES, *hash, self.is_reference);
            }
        }
    }

    #[test]
    fn same_frames_compare_equal_whatever_the_offset_and_the_packing() {
        let mut ledger = Ledger::new();
        let mut reference = Listener::new(77, true);
        let mut single = Listener::new(u32::MAX - 5_000, false);
        let mut packed = Listener::new(123_456, false);
        for at in 0..30 {
            reference.receive(&mut ledger, at, &[1_000 + u64::from(at)]);
            single.receive(&mut ledger, at, &[1_000 + u64::from(at)]);
            if at % 3 == 2 {
                let hashes = [998 + u64::from(at), 999 + u64::from(at), 1_000 + u64::from(at)];
                packed.receive(&mut ledger, at - 2, &hashes);
            }
        }
        assert_eq!(ledger.counts(), LedgerCounts { compared: 60, ..LedgerCounts::default() });
    }

    #[test]
    fn frames_ahead_of_the_reference_wait_for_it() {
        let mut ledger = Ledger::new();
        let mut reference = Listener::new(0, true);
        let mut ahead = Listener::new(500, false);
        reference.receive(&mut ledger, 0, &[50, 51, 52]);
        ahead.receive(&mut ledger, 1, &[51, 52, 53]);
        ahead.receive(&mut ledger, 4, &[54, 99, 56]);
        assert_eq!(ledger.counts().compared, 2);
        reference.receive(&mut ledger, 3, &[53, 54, 55]);
        reference.receive(&mut ledger, 6, &[56, 57, 58]);
        let counts = LedgerCounts { compared: 6, mismatches: 1, unmatched: 0 };
        assert_eq!(ledger.counts(), counts);
    }

    #[test]
    fn who_is_always_sent_before_the_reference_is_placed_too() {
        let mut ledger = Ledger::new();
        let mut reference = Listener::new(0, true);
        let mut before = Listener::new(9, false);
        for at in 0..10 {
            before.receive(&mut ledger, at, &[200 + u64::from(at)]);
            reference.receive(&mut ledger, at, &[200 + u64::from(at)]);
        }
        assert_eq!(ledger.counts(), LedgerCounts { compared: 9, ..LedgerCounts::default() });
    }

    #[test]
    fn each_differing_frame_is_a_mismatch() {
        let mut ledger = Ledger::new();
        let mut reference = Listener::new(0, true);
        let mut other = Listener::new(9, false);
        for at in 0..10 {
            reference.receive(&mut ledger, at, &[200 + u64::from(at)]);
            let hash = if at == 5 { 7 } else { 200 + u64::from(at) };
            other.receive(&mut ledger, at, &[hash]);
        }
        let counts = LedgerCounts { compared: 10, mismatches: 1, unmatched: 0 };
        assert_eq!(ledger.counts(), counts);
    }

    #[test]
    fn what_the_reference_never_had_is_not_compared() {
        let mut ledger = Ledger::new();
        let mut reference = Listener::new(0, true);
        let mut other = Listener::new(9, false);
        reference.receive(&mut ledger, 0, &[200]);
        for at in 0..600 {
            other.receive(&mut ledger, at, &[200 + u64::from(at)]);
        }
        assert_eq!(ledger.counts().compared, 1);
        assert_eq!(ledger.counts().unmatched, 600 - 1 - RING as u64);
    }

    #[test]
    fn lateness_is_counted_from_the_earliest_tick() {
        let mut ledger = Ledger::new();
        let at = |ms: u64| Instant::from_millis(10_000 + ms);
        assert_eq!(ledger.arrive(ORIGIN, at(7)), 0);
        assert_eq!(ledger.arrive(ORIGIN + FRAME_SAMPLES, at(20)), 0);
        assert_eq!(ledger.arrive(ORIGIN + 2 * FRAME_SAMPLES, at(110)), 70_000_000);
        assert_eq!(ledger.arrive(ORIGIN, at(7)), 7_000_000);
    }

    #[test]
    fn talkers_are_placed_by_time_and_corrected() {
        let mut ledger = Ledger::new();
        let (mut first, mut second) = (Alignment::default(), Alignment::default());
        let at = |ms: u64| Instant::from_millis(10_000 + ms);
        let mut late = |alignment: &mut Alignment, timestamp: u32, ms| {
            let position = ledger.place_by_time(alignment, timestamp, at(ms));
            ledger.arrive(position, at(ms)) / 1_000_000
        };
        assert_eq!(late(&mut first, 5_000, 0), 0);
        assert_eq!(late(&mut first, 5_000 + FRAME, 20), 0);
        // 30 ms late when first seen, so it is taken for the next one, 10 ms late, ...
        assert_eq!(late(&mut second, 800, 50), 10);
        // ... until one comes in time, and would have been early.
        assert_eq!(late(&mut second, 800 + FRAME, 40), 0);
        assert_eq!(late(&mut second, 800 + 2 * FRAME, 130), 70);
        assert_eq!(late(&mut first, 5_000 + 2 * FRAME, 40), 0);
    }
}
