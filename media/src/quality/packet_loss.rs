//! How much of a stream is missing, and how it is bunched.

/// Loss of packets: how many, and whether they go singly or in runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacketLoss {
    share: f32,
    burst_ratio: f32,
}

impl PacketLoss {
    /// No loss.
    pub const NONE: Self = Self { share: 0.0, burst_ratio: 1.0 };

    /// What a receiver report tells: independent losses of so many 256ths.
    ///
    /// Source: RFC 3550 section 6.4.1.
    pub fn reported(fraction_lost: u8) -> Self {
        Self::random(f32::from(fraction_lost) / 256.0)
    }

    /// Independent losses of this share, 0 to 1.
    pub fn random(share: f32) -> Self {
        Self { share: share.clamp(0.0, 1.0), burst_ratio: 1.0 }
    }

    /// Losses of this share, 0 to 1, that come in runs of `run_mean` packets.
    ///
    /// The burst ratio is the mean run over that of independent losses, 1 / (1 - share); runs
    /// shorter than those count as independent. Source: ITU-T G.107, definition of BurstR.
    pub fn in_runs(share: f32, run_mean: f32) -> Self {
        let share = share.clamp(0.0, 1.0);
        Self { share, burst_ratio: (run_mean * (1.0 - share)).max(1.0) }
    }

    /// Returns what is still missing when each packet carries that many copies of those before it.
    ///
    /// A packet stays lost if all that carry it are: with runs of a mean length L, each copy leaves
    /// 1 - 1 / L of the loss (Gilbert's model). L is 1 / (1 - share) for independent losses.
    pub fn repaired(self, copies: u32) -> Self {
        let followed = 1.0 - (1.0 - self.share) / self.burst_ratio;
        let exponent = i32::try_from(copies).unwrap_or(i32::MAX);
        Self { share: self.share * followed.powi(exponent), ..self }
    }

    /// Returns the share of packets lost, 0 to 1.
    pub fn share(self) -> f32 {
        self.share
    }

    /// Returns the mean run over that of independent losses; at least 1.
    pub fn burst_ratio(self) -> f32 {
        self.burst_ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_ratio_is_one_for_independent_losses() {
        assert_eq!(PacketLoss::in_runs(0.1, 1.0 / 0.9).burst_ratio(), 1.0);
        assert_eq!(PacketLoss::in_runs(0.1, 1.0).burst_ratio(), 1.0);
        assert!((PacketLoss::in_runs(0.1, 3.0).burst_ratio() - 2.7).abs() < 1e-6);
        assert_eq!(PacketLoss::in_runs(2.0, 3.0), PacketLoss { share: 1.0, burst_ratio: 1.0 });
    }

    #[test]
    fn copies_leave_what_all_of_them_lost() {
        let close = |loss: PacketLoss, share: f32| (loss.share() - share).abs() < 1e-6;
        assert!(close(PacketLoss::random(0.1).repaired(0), 0.1));
        assert!(close(PacketLoss::random(0.1).repaired(2), 0.001));
        assert!(close(PacketLoss::in_runs(0.1, 3.0).repaired(1), 0.1 * 2.0 / 3.0));
    }
}
