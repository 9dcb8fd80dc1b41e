//! The E-model: from loss and delay to a rating, and from the rating to a mean opinion score.

use std::time::Duration;

use super::PacketLoss;

/// What the E-model wants to know of a codec.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodecQuality {
    /// Equipment impairment without loss (Ie,WB), on the scale of `Rating`.
    pub impairment: f32,
    /// How well loss is borne (Bpl), in percent of packets.
    pub loss_robustness: f32,
    /// How much runs count: the exponent of the burst ratio; 1 is the recommendation's formula.
    pub burst_weight: f32,
}

impl CodecQuality {
    /// Opus once, at 32 kbit/s: what a node gets of a member.
    ///
    /// No recommendation has values for Opus. Fitted to medians of PESQ-WB, libopus 1.6.1, 20 ms
    /// (measured / this): clean 4.37 / 4.37; independent losses of 10 %, concealed 2.24 / 2.23,
    /// with one copy 3.82 / 3.91, with two 4.34 / 4.33; runs of 3 at 10 %, concealed 1.99 / 2.05,
    /// with one copy 2.47 / 2.37, with two 2.83 / 2.74. Runs harm hardly more than as many single
    /// losses, so their weight is far below the recommendation's 1.
    pub const OPUS: Self = Self { impairment: 11.2, loss_robustness: 3.55, burst_weight: 0.1 };

    /// Opus twice, at 32 and then 64 kbit/s: what a member hears of a mix.
    ///
    /// The same, but for the impairment: clean 4.31 / 4.31.
    pub const OPUS_MIXED: Self = Self { impairment: 14.6, ..Self::OPUS };

    /// Returns the impairment with loss (Ie,eff,WB). Source: ITU-T G.107 section 7.5, which G.107.1
    /// takes over with wideband values.
    fn impairment_at(self, loss: PacketLoss) -> f32 {
        let percent = loss.share() * 100.0;
        let burst_ratio = loss.burst_ratio().powf(self.burst_weight);
        let suffered = percent / (percent / burst_ratio + self.loss_robustness);
        self.impairment + (IMPAIRMENT_MAX - self.impairment) * suffered
    }
}

/// The transmission rating R of the wideband E-model: 0 is useless, 129 flawless.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rating(f32);

impl Rating {
    /// Rates a leg of which loss, codec and mouth-to-ear delay are known.
    ///
    /// Everything else is at the recommendation's default: no echo, no noise.
    /// Source: ITU-T G.107.1 section 7.1.
    pub fn new(codec: CodecQuality, loss: PacketLoss, delay: Duration) -> Self {
        let rating = RATING_MAX - delay_impairment(delay) - codec.impairment_at(loss);
        Self(rating.clamp(0.0, RATING_MAX))
    }

    /// Returns the mean opinion score that listeners would give.
    ///
    /// Source: ITU-T G.107.1 annex A: that of ITU-T G.107 annex B at R / 1.29.
    pub fn mos(self) -> Mos {
        let narrowband = self.0 / WIDEBAND_FACTOR;
        let curve = narrowband * (narrowband - 60.0) * (100.0 - narrowband) * 7e-6;
        Mos((1.0 + 0.035 * narrowband + curve).clamp(1.0, MOS_MAX))
    }

    /// Returns R, 0 to 129.
    pub fn value(self) -> f32 {
        self.0
    }
}

/// A mean opinion score, 1 (bad) to 4.5 (excellent), on the wideband scale.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Mos(f32);

impl Mos {
    /// Returns the score, 1 to 4.5.
    pub fn value(self) -> f32 {
        self.0
    }
}

/// Returns the delay from mouth to ear over one leg.
///
/// Half the round trip, the time in the receiver's buffer, a packet's 20 ms and the encoder's
/// look-ahead. A round trip that is not known counts as none.
pub fn one_way_delay(round_trip: Option<Duration>, buffer: Duration) -> Duration {
    round_trip.unwrap_or_default() / 2 + buffer + PACKETISATION + LOOKAHEAD
}

/// Returns how long a receiver buffers, judged by its interarrival jitter: four times that.
///
/// Source: Ramjee, Kurose, Towsley and Schulzrinne, "Adaptive playout mechanisms for packetized
/// audio applications in wide-area networks", 1994.
pub fn playout_delay(jitter: Duration) -> Duration {
    jitter * 4
}

/// Returns the impairment by delay alone (Idd). Source: ITU-T G.107 section 7.4, with the default
/// sensitivity (sT = 1, mT = 100 ms); G.107.1 has the same.
fn delay_impairment(delay: Duration) -> f32 {
    let x = (delay.as_secs_f32() / DELAY_UNNOTICED.as_secs_f32()).log2();
    if x <= 0.0 {
        return 0.0;
    }
    let root = |x: f32| (1.0 + x.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

/// The rating without any impairment. Source: ITU-T G.107.1, default values.
const RATING_MAX: f32 = 129.0;

/// How much wider the wideband scale is than the narrowband one. Source: ITU-T G.107.1 annex A.
const WIDEBAND_FACTOR: f32 = 1.29;

/// What complete loss costs. Source: ITU-T G.107 section 7.5.
const IMPAIRMENT_MAX: f32 = 95.0;

/// The best score that the E-model gives. Source: ITU-T G.107 annex B.
const MOS_MAX: f32 = 4.5;

/// Delays up to this impair nothing (mT). Source: ITU-T G.107, default values.
const DELAY_UNNOTICED: Duration = Duration::from_millis(100);

/// Sound in a packet, which is whole only at its end.
const PACKETISATION: Duration = Duration::from_millis(20);

/// What libopus' encoder looks ahead: 312 samples.
const LOOKAHEAD: Duration = Duration::from_micros(6_500);

#[cfg(test)]
mod tests {
    use super::*;

    /// A codec that does nothing wrong, but loses with the packet (as G.711 without concealment).
    const FLAWLESS: CodecQuality =
        CodecQuality { impairment: 0.0, loss_robustness: 4.3, burst_weight: 1.0 };

    fn near(value: f32, wanted: f32, within: f32) {
        assert!((value - wanted).abs() <= within, "{value} is not {wanted} within {within}");
    }

    #[test]
    fn flawless_leg_has_the_highest_rating() {
        let rating = Rating::new(FLAWLESS, PacketLoss::NONE, Duration::ZERO);
        assert_eq!((rating.value(), rating.mos().value()), (129.0, 4.5));
    }

    #[test]
    fn scores_are_those_of_the_recommendations_curve() {
        // Annex B of G.107 at R = 0, 20, 50, 60, 80, 93.2 (its default) and 100.
        for (narrowband, mos) in [
            (0.0, 1.0),
            (20.0, 1.252),
            (50.0, 2.575),
            (60.0, 3.1),
            (80.0, 4.024),
            (93.2, 4.409),
            (100.0, 4.5),
        ] {
            near(Rating(narrowband * 1.29).mos().value(), mos, 0.001);
        }
    }

    #[test]
    fn score_never_falls_below_one() {
        let lost = Rating::new(FLAWLESS, PacketLoss::random(1.0), Duration::from_secs(10));
        assert_eq!(lost.mos().value(), 1.0);
        for rating in 0..129 {
            assert!(Rating(rating as f32).mos().value() >= 1.0);
        }
    }

    #[test]
    fn delay_costs_nothing_up_to_100_ms_and_then_what_the_recommendation_says() {
        // Worked out from the formula by hand; 200 and 400 ms are X = 1 and X = 2.
        for (ms, impairment) in
            [(0, 0.0), (100, 0.0), (150, 0.164), (200, 3.044), (400, 24.070), (800, 40.832)]
        {
            near(delay_impairment(Duration::from_millis(ms)), impairment, 0.01);
        }
    }

    #[test]
    fn loss_costs_what_the_recommendation_says() {
        let random = |share| FLAWLESS.impairment_at(PacketLoss::random(share));
        near(random(0.01), 95.0 / 5.3, 0.001);
        near(random(0.05), 95.0 * 5.0 / 9.3, 0.001);
        let runs = FLAWLESS.impairment_at(PacketLoss::in_runs(0.02, 2.0 / 0.98));
        near(runs, 95.0 * 2.0 / (1.0 + 4.3), 0.001);
    }

    #[test]
    fn opus_scores_what_was_measured() {
        let mos = |codec, loss| Rating::new(codec, loss, Duration::ZERO).mos().value();
        near(mos(CodecQuality::OPUS, PacketLoss::NONE), 4.37, 0.01);
        near(mos(CodecQuality::OPUS_MIXED, PacketLoss::NONE), 4.31, 0.01);
        let random = PacketLoss::random(0.1);
        for (copies, measured) in [(0, 2.24), (1, 3.82), (2, 4.34)] {
            near(mos(CodecQuality::OPUS, random.repaired(copies)), measured, 0.12);
        }
        let runs = PacketLoss::in_runs(0.1, 3.0);
        for (copies, measured) in [(0, 1.99), (1, 2.47), (2, 2.83)] {
            near(mos(CodecQuality::OPUS, runs.repaired(copies)), measured, 0.12);
        }
    }

    #[test]
    fn one_way_delay_counts_trip_buffer_packet_and_look_ahead() {
        let ms = Duration::from_millis;
        assert_eq!(one_way_delay(Some(ms(40)), ms(30)), ms(70) + LOOKAHEAD);
        assert_eq!(one_way_delay(None, ms(30)), ms(50) + LOOKAHEAD);
    }
}
