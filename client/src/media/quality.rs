//! How good a member's leg is, as the member can tell.

use std::time::Duration;

use sabha_media::quality::{CodecQuality, Mos, PacketLoss, Rating, one_way_delay};

use super::{Heard, MemberReport};

/// Quality of what a member hears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LegQuality {
    /// What was due and not there in time, after all repair.
    pub loss: PacketLoss,
    /// Interarrival jitter.
    pub jitter: Duration,
    /// From the node's encoder to the ear: half the round trip, buffer, packet, look-ahead.
    pub delay: Duration,
    /// How long packets waited to be played, median.
    pub buffer: Duration,
    /// What listeners would say of it, by the E-model.
    pub mos: Mos,
}

impl MemberReport {
    /// Returns the quality since the beginning; `None` if nothing was due.
    pub fn quality(&self) -> Option<LegQuality> {
        self.quality_of(&self.heard)
    }

    /// Returns the quality since an earlier report of the same leg; `None` if nothing was due.
    pub fn quality_since(&self, earlier: &Self) -> Option<LegQuality> {
        self.quality_of(&self.heard.since(&earlier.heard))
    }

    fn quality_of(&self, heard: &Heard) -> Option<LegQuality> {
        if heard.played + heard.concealed == 0 {
            return None;
        }
        let buffer = heard.delays.percentile(0.5).unwrap_or_default();
        let (loss, delay) = (heard.loss(), one_way_delay(self.round_trip, buffer));
        let codec = if self.is_forwarded { CodecQuality::OPUS } else { CodecQuality::OPUS_MIXED };
        let mos = Rating::new(codec, loss, delay).mos();
        Some(LegQuality { loss, jitter: self.jitter, delay, buffer, mos })
    }
}

#[cfg(test)]
mod tests {
    use sabha_media::codec::FRAME_SAMPLES;
    use sabha_media::playout::PlayedFrame;
    use sabha_media::time::Instant;

    use super::*;

    fn hear(report: &mut MemberReport, frames: u32, waited: Option<Duration>) {
        let at = Instant::from_millis(5_000);
        for _ in 0..frames {
            let received_at = waited.map(|waited| at - waited);
            let frame = PlayedFrame { samples: FRAME_SAMPLES, received_at, ..Default::default() };
            report.heard.count(at, &frame, FRAME_SAMPLES);
        }
    }

    #[test]
    fn quality_follows_loss_and_delay_and_knows_intervals() {
        let ms = Duration::from_millis;
        let mut report = MemberReport { round_trip: Some(ms(40)), ..MemberReport::default() };
        assert_eq!(report.quality(), None, "nothing was due");
        hear(&mut report, 90, Some(ms(30)));
        let clean = report.quality().unwrap();
        assert_eq!((clean.loss, clean.buffer), (PacketLoss::NONE, ms(30)));
        assert_eq!(clean.delay, ms(20 + 30 + 20) + Duration::from_micros(6_500));
        assert!((4.3..4.32).contains(&clean.mos.value()), "{clean:?}");

        let earlier = report.clone();
        hear(&mut report, 10, None);
        let lossy = report.quality().unwrap();
        assert!((lossy.loss.share() - 0.1).abs() < 1e-6 && lossy.mos < clean.mos);
        let lost = report.quality_since(&earlier).unwrap();
        assert!(lost.loss.share() == 1.0 && lost.mos.value() < 1.6, "{lost:?}");
        hear(&mut report, 10, Some(ms(300)));
        assert_eq!(report.quality_since(&earlier).unwrap().buffer, ms(300));
        assert!(report.quality_since(&report).is_none());
    }
}
