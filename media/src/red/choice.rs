//! How many copies a stream carries, by what its receiver reports.

use crate::red::COPIES_MAX;

/// Chooses the copies of one stream, with hysteresis: more at once, fewer after some reports.
///
/// Until the first report nothing is known of the way, so the first seconds of sound carry all
/// copies that there are. One copy brings back what was lost alone, two what was lost together with one neighbour. So
/// one is chosen by the share of packets lost, two by the share that one copy leaves lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CopyChoice {
    loss: f32,
    burst_loss: f32,
    copies: u8,
    /// Reports in a row that would do with fewer copies.
    calm_reports: u8,
    is_reported: bool,
}

impl Default for CopyChoice {
    fn default() -> Self {
        Self {
            loss: 0.0,
            burst_loss: 0.0,
            copies: COPIES_MAX as u8,
            calm_reports: 0,
            is_reported: false,
        }
    }
}

impl CopyChoice {
    /// Takes a report of at least `REPORTED_MIN` packets: the share of packets lost since the one before, and the share of those
    /// whose follower was lost too, if that is told; both 0.0 to 1.0.
    ///
    /// That is never taken for less than if losses were independent: a report is of few packets.
    pub fn handle_report(&mut self, loss: f32, burst_loss: Option<f32>) {
        let loss = share(loss);
        let burst_loss = burst_loss.map_or(0.0, share).max(loss * loss);
        if !std::mem::replace(&mut self.is_reported, true) {
            self.copies = 0;
        }
        self.loss += (loss - self.loss) * REPORT_SHARE;
        self.burst_loss += (burst_loss - self.burst_loss) * REPORT_SHARE;
        self.copies = self.copies.max(self.needed(LOSS_MIN, BURST_LOSS_MIN));
        let enough = self.needed(LOSS_MIN * CALM_SHARE, BURST_LOSS_MIN * CALM_SHARE);
        self.calm_reports = if enough < self.copies { self.calm_reports + 1 } else { 0 };
        if self.calm_reports == CALM_REPORTS {
            (self.copies, self.calm_reports) = (enough, 0);
        }
    }

    /// Returns how many copies each packet is to carry, at most `COPIES_MAX`.
    pub fn copies(&self) -> u8 {
        self.copies
    }

    /// Returns the share of packets lost, smoothed over a few reports.
    pub fn loss(&self) -> f32 {
        self.loss
    }

    fn needed(&self, loss_min: f32, burst_loss_min: f32) -> u8 {
        match (self.loss >= loss_min, self.burst_loss >= burst_loss_min) {
            (_, true) => COPIES_MAX as u8,
            (true, false) => 1,
            (false, false) => 0,
        }
    }
}

/// Clamps a share; one that is no number counts as everything.
fn share(told: f32) -> f32 {
    if told.is_finite() { told.clamp(0.0, 1.0) } else { 1.0 }
}

/// Fewer packets than this tell nothing of a way: a report in silence is not handed on.
pub const REPORTED_MIN: u32 = 10;

/// Share of each report in what is smoothed: half. A lost packet among the 250 of a report reads
/// as 0.4 %, and a second report like the first confirms it.
const REPORT_SHARE: f32 = 0.5;

/// From this smoothed loss on a stream carries a copy. Chosen: below 2 % speech with concealment
/// alone still scores a PESQ-WB of 4.
const LOSS_MIN: f32 = 0.02;

/// From this smoothed share of packets that one copy leaves lost on a stream carries two: what
/// 7 % of independent losses leave.
const BURST_LOSS_MIN: f32 = 0.005;

/// Copies are given up below this share of either threshold: half.
const CALM_SHARE: f32 = 0.5;

/// Reports in a row below that before copies are given up: 15 s.
const CALM_REPORTS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(reports: &[(f32, Option<f32>)]) -> CopyChoice {
        let mut choice = CopyChoice::default();
        for (loss, burst_loss) in reports {
            choice.handle_report(*loss, *burst_loss);
        }
        choice
    }

    fn copies_at(loss: f32, burst_loss: Option<f32>) -> u8 {
        after(&[(loss, burst_loss); 8]).copies()
    }

    #[test]
    fn first_seconds_are_protected_until_a_report_tells_better() {
        assert_eq!(after(&[]).copies(), 2);
        assert_eq!(after(&[(0.0, None)]).copies(), 0);
        assert_eq!(after(&[(0.05, None)]).copies(), 1);
        assert_eq!(after(&[(0.1, Some(0.001))]).copies(), 2);
    }

    #[test]
    fn copies_follow_the_loss() {
        assert_eq!(copies_at(0.0, None), 0);
        assert_eq!(copies_at(0.015, None), 0);
        assert_eq!(copies_at(0.03, None), 1);
        assert_eq!(copies_at(0.06, None), 1);
        assert_eq!(copies_at(0.08, None), 2);
        assert_eq!(copies_at(1.0, None), 2);
    }

    #[test]
    fn bursts_of_three_raise_to_two_copies_where_single_losses_do_not() {
        assert_eq!(copies_at(0.03, Some(0.02)), 2);
        assert_eq!(copies_at(0.03, Some(0.0)), 1);
        assert_eq!(copies_at(0.1, Some(0.001)), 2, "by chance none in a row");
    }

    #[test]
    fn one_lost_packet_changes_nothing_and_ten_percent_two_reports() {
        assert_eq!(after(&[(1.0 / 250.0, Some(0.0)); 1]).copies(), 0);
        assert_eq!(after(&[(0.1, Some(0.01)); 1]).copies(), 2);
        assert_eq!(after(&[(0.1, None); 1]).copies(), 2);
    }

    #[test]
    fn copies_are_given_up_after_three_calm_reports_and_not_in_between() {
        let mut choice = after(&[(0.03, Some(0.0)); 8]);
        let mut reports = 0;
        while choice.copies() > 0 {
            choice.handle_report(0.0, Some(0.0));
            reports += 1;
        }
        assert_eq!(reports, 4, "one until it is below the half, and three in all below");
        let mut choice = after(&[(0.03, Some(0.0)); 8]);
        for round in 0..50 {
            let loss = if round % 3 == 2 { 0.04 } else { 0.005 };
            choice.handle_report(loss, Some(0.0));
            assert_eq!(choice.copies(), 1, "round {round}");
        }
    }

    #[test]
    fn reports_that_are_no_share_do_not_break_it() {
        for told in [f32::NAN, f32::INFINITY, -3.0, 7.0] {
            let choice = after(&[(told, Some(told)); 3]);
            assert!((0.0..=1.0).contains(&choice.loss()) && choice.copies() <= 2);
        }
    }
}
