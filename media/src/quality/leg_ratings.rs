//! How many legs sounded how good, for a node's metrics.

use std::time::Duration;

use super::{CodecQuality, Mos, PacketLoss, Rating, one_way_delay, playout_delay};

/// Scores of a shard's legs, each rated once for each report on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegRatings {
    /// From members to the node, by what the node received.
    pub inbound: MosCounts,
    /// From the node to members, by their receiver reports.
    pub outbound: MosCounts,
}

/// Scores by their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MosCounts {
    /// Scores up to each of `MOS_BOUNDS`, and above the one before; the last has those above all.
    pub counts: [u64; MOS_BOUNDS.len() + 1],
    /// All scores together, in thousandths.
    pub sum_thousandths: u64,
}

impl LegRatings {
    /// Adds another shard's legs to these.
    pub fn add(&mut self, other: &Self) {
        self.inbound.add(&other.inbound);
        self.outbound.add(&other.outbound);
    }
}

impl MosCounts {
    /// Rates a leg over a report's interval in which `expected` packets were due.
    ///
    /// Intervals with next to no packet say nothing of sound and are not counted.
    pub fn rate(
        &mut self,
        codec: CodecQuality,
        expected: u64,
        loss: PacketLoss,
        jitter: Duration,
        round_trip: Option<Duration>,
    ) {
        if expected < PACKETS_MIN {
            return;
        }
        let delay = one_way_delay(round_trip, playout_delay(jitter));
        self.count(Rating::new(codec, loss, delay).mos());
    }

    /// Returns the number of scores.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn count(&mut self, mos: Mos) {
        let place = MOS_BOUNDS.partition_point(|bound| *bound < mos.value());
        self.counts[place] += 1;
        self.sum_thousandths += (mos.value() * 1_000.0).round() as u64;
    }

    fn add(&mut self, other: &Self) {
        self.sum_thousandths += other.sum_thousandths;
        for (count, other) in self.counts.iter_mut().zip(other.counts) {
            *count += other;
        }
    }
}

/// Upper bounds of the scores counted together. Chosen: halves, and finer where most legs are.
pub const MOS_BOUNDS: [f32; 9] = [1.5, 2.0, 2.5, 3.0, 3.5, 3.75, 4.0, 4.25, 4.5];

/// Packets of an interval that is rated, at least: half a second of speech.
const PACKETS_MIN: u64 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    fn rated(expected: u64, lost: f32, round_trip_ms: u64) -> MosCounts {
        let mut counts = MosCounts::default();
        let round_trip = Some(Duration::from_millis(round_trip_ms));
        let loss = PacketLoss::random(lost);
        counts.rate(CodecQuality::OPUS, expected, loss, Duration::ZERO, round_trip);
        counts
    }

    #[test]
    fn legs_are_counted_by_their_score() {
        let clean = rated(250, 0.0, 20);
        assert_eq!((clean.counts[8], clean.total()), (1, 1));
        assert!((4_350..4_400).contains(&clean.sum_thousandths), "{clean:?}");
        let lossy = rated(250, 0.1, 20);
        assert_eq!(lossy.counts[2], 1, "10 % is between 2 and 2.5: {lossy:?}");
        let far = rated(250, 0.0, 800);
        assert!(far.sum_thousandths < clean.sum_thousandths - 300, "{far:?}");
    }

    #[test]
    fn interval_without_speech_is_not_rated() {
        assert_eq!(rated(24, 1.0, 20), MosCounts::default());
    }

    #[test]
    fn shards_are_added_up() {
        let mut all = LegRatings { inbound: rated(250, 0.0, 20), ..LegRatings::default() };
        all.add(&LegRatings { inbound: rated(250, 0.1, 20), outbound: rated(250, 0.0, 20) });
        assert_eq!((all.inbound.total(), all.outbound.total()), (2, 1));
    }
}
