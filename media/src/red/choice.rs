//! Which copies a stream carries, by what its receiver reports.

use std::time::Duration;

use crate::red::Copies;

/// What a stream's receiver tells of the way that it came since the report before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PathReport {
    /// The share of packets lost, 0.0 to 1.0.
    pub loss: f32,
    /// The share of packets lost together with their follower, 0.0 to 1.0, which one copy of each
    /// would not bring back; `None` if it is not told.
    pub burst_loss: Option<f32>,
    /// Interarrival jitter (RFC 3550 section 6.4.1).
    pub jitter: Duration,
}

/// Chooses the copies of one stream, with hysteresis: more at once, fewer after some reports.
///
/// Until a report tells better the way may be a bad one, so a stream begins with two. After that
/// one is chosen by the share of packets lost, two by the share that one leaves lost, and how far
/// apart by the share that two beside each other leave lost beyond chance. Where packets overtake
/// each other one comes first as a copy, so jitter is a reason for copies too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CopyChoice {
    loss: f32,
    burst_loss: f32,
    /// In seconds.
    jitter: f32,
    copies: Copies,
    /// Reports in a row that would do with fewer copies.
    calm_reports: u8,
    is_reported: bool,
}

impl Default for CopyChoice {
    fn default() -> Self {
        Self {
            loss: 0.0,
            burst_loss: 0.0,
            jitter: 0.0,
            copies: Copies::Two,
            calm_reports: 0,
            is_reported: false,
        }
    }
}

impl CopyChoice {
    /// Takes a report of at least `REPORTED_MIN` packets.
    ///
    /// If the first tells of no loss at all, copies are given up at once. Bursts are never taken for
    /// less than if losses were independent: a report is of few packets.
    pub fn handle_report(&mut self, report: &PathReport) {
        let loss = share(report.loss);
        let burst_loss = report.burst_loss.map_or(0.0, share).max(loss * loss);
        let is_first = !std::mem::replace(&mut self.is_reported, true);
        if is_first && loss == 0.0 {
            self.copies = Copies::None;
        }
        self.loss += (loss - self.loss) * REPORT_SHARE;
        self.burst_loss += (burst_loss - self.burst_loss) * REPORT_SHARE;
        self.jitter += (report.jitter.as_secs_f32() - self.jitter) * JITTER_SHARE;
        let enough = self.needed(CALM_LOSS, CALM_JITTER);
        self.copies = self.copies.max(self.needed(1.0, 1.0));
        self.calm_reports = if enough < self.copies { self.calm_reports + 1 } else { 0 };
        if self.calm_reports == CALM_REPORTS {
            (self.copies, self.calm_reports) = (enough, 0);
        }
    }

    /// Returns which copies each packet is to carry.
    pub fn copies(&self) -> Copies {
        self.copies
    }

    /// Returns the share of packets lost, smoothed over a few reports.
    pub fn loss(&self) -> f32 {
        self.loss
    }

    /// Returns what serves where thresholds of loss and of jitter are these shares of themselves.
    fn needed(&self, loss: f32, jitter: f32) -> Copies {
        match () {
            () if self.run_loss() >= RUN_LOSS_MIN * loss => Copies::Spread,
            () if self.burst_loss >= BURST_LOSS_MIN * loss => Copies::Two,
            () if self.jitter >= JITTER_TWO_MIN * jitter => Copies::Two,
            () if self.loss >= LOSS_MIN * loss => Copies::One,
            () if self.jitter >= JITTER_ONE_MIN * jitter => Copies::One,
            () => Copies::None,
        }
    }

    /// Returns the share of packets that two copies beside each other leave lost, less what two far
    /// apart do.
    ///
    /// A packet is lost with both followers as often as with one, and that one with its own
    /// (Gilbert's model); with one that is far away by chance.
    fn run_loss(&self) -> f32 {
        let followed = self.burst_loss / self.loss.max(f32::MIN_POSITIVE);
        self.burst_loss * (followed - self.loss)
    }
}

/// Clamps a share; one that is no number counts as everything.
fn share(told: f32) -> f32 {
    if told.is_finite() { told.clamp(0.0, 1.0) } else { 1.0 }
}

/// Fewer packets than this tell nothing of a way: a report in silence is not handed on, nor one of
/// nothing but the probes that a newcomer is sent.
pub const REPORTED_MIN: u32 = 40;

/// Share of each report in what is smoothed: half. A lost packet among the 250 of a report reads
/// as 0.4 %, and a second report like the first confirms it.
const REPORT_SHARE: f32 = 0.5;

/// From this smoothed loss on a stream carries a copy. Chosen: each lost packet costs the phrase it
/// is in up to a point of PESQ-WB, and at 1 % there is one in every other phrase.
const LOSS_MIN: f32 = 0.01;

/// From this smoothed share of packets that one copy leaves lost on a stream carries two: what
/// 7 % of independent losses leave.
const BURST_LOSS_MIN: f32 = 0.005;

/// From this smoothed share of packets on that copies far apart bring back beyond those beside each
/// other, one is far: a tenth of what bursts of three at 10 % make.
const RUN_LOSS_MIN: f32 = 0.005;

/// From this smoothed jitter on, in seconds, a stream carries a copy, and two. Chosen: where delays
/// vary by 15 ms, one packet in six of 20 ms overtakes another; where they vary by 30 ms, two copies
/// take 20 ms off what nearly all packets need.
const JITTER_ONE_MIN: f32 = 0.015;
const JITTER_TWO_MIN: f32 = 0.025;

/// Share of each report in the jitter: it is smoothed already by who tells it.
const JITTER_SHARE: f32 = 0.75;

/// Copies are given up below these shares of either threshold: of few packets the loss of a report
/// varies by as much, its jitter does not.
const CALM_LOSS: f32 = 0.5;
const CALM_JITTER: f32 = 0.8;

/// Reports in a row below that before copies are given up: 15 s.
const CALM_REPORTS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(loss: f32, burst_loss: Option<f32>) -> PathReport {
        PathReport { loss, burst_loss, ..PathReport::default() }
    }

    fn after(reports: &[(f32, Option<f32>)]) -> CopyChoice {
        let mut choice = CopyChoice::default();
        for (loss, burst_loss) in reports {
            choice.handle_report(&lost(*loss, *burst_loss));
        }
        choice
    }

    fn copies_at(loss: f32, burst_loss: Option<f32>) -> Copies {
        after(&[(loss, burst_loss); 8]).copies()
    }

    #[test]
    fn first_seconds_are_protected_until_a_report_tells_better() {
        assert_eq!(after(&[]).copies(), Copies::Two);
        assert_eq!(after(&[(0.0, None)]).copies(), Copies::None);
        assert_eq!(after(&[(0.025, None); 2]).copies(), Copies::Two, "a few packets tell little");
        assert_eq!(after(&[(0.025, None); 3]).copies(), Copies::One);
        assert_eq!(after(&[(0.02, Some(0.01))]).copies(), Copies::Two, "one pair is no run");
        assert_eq!(after(&[(0.1, Some(0.067))]).copies(), Copies::Spread);
        assert_eq!(after(&[(0.1, Some(0.001))]).copies(), Copies::Two);
    }

    #[test]
    fn copies_follow_the_loss() {
        assert_eq!(copies_at(0.0, None), Copies::None);
        assert_eq!(copies_at(0.005, None), Copies::None);
        assert_eq!(copies_at(0.03, None), Copies::One);
        assert_eq!(copies_at(0.04, None), Copies::One);
        assert_eq!(copies_at(0.08, None), Copies::Two);
        assert_eq!(copies_at(0.15, None), Copies::Two);
    }

    #[test]
    fn runs_spread_copies_where_losses_of_one_and_two_do_not() {
        assert_eq!(copies_at(0.1, Some(0.067)), Copies::Spread, "runs of three");
        assert_eq!(copies_at(0.04, Some(0.027)), Copies::Spread);
        assert_eq!(copies_at(0.03, Some(0.007)), Copies::Two, "a pair now and then");
        assert_eq!(copies_at(0.03, Some(0.0)), Copies::One);
        assert_eq!(copies_at(0.1, Some(0.001)), Copies::Two, "by chance none in a row");
        assert_eq!(copies_at(0.2, Some(0.04)), Copies::Two, "as many as by chance");
    }

    #[test]
    fn one_lost_packet_changes_nothing_and_ten_percent_two_reports() {
        let then = |loss| after(&[(0.0, Some(0.0)), (0.0, Some(0.0)), (loss, None)]);
        assert_eq!(then(1.0 / 250.0).copies(), Copies::None);
        assert_eq!(then(0.1).copies(), Copies::Two);
    }

    #[test]
    fn copies_are_given_up_after_three_calm_reports_and_not_in_between() {
        let mut choice = after(&[(0.03, Some(0.0)); 8]);
        let mut reports = 0;
        while choice.copies() > Copies::None {
            choice.handle_report(&lost(0.0, Some(0.0)));
            reports += 1;
        }
        assert_eq!(reports, 5, "two until it is below the half, and three in all below");
        let mut choice = after(&[(0.03, Some(0.0)); 8]);
        for round in 0..50 {
            let loss = if round % 3 == 2 { 0.04 } else { 0.005 };
            choice.handle_report(&lost(loss, Some(0.0)));
            assert_eq!(choice.copies(), Copies::One, "round {round}");
        }
    }

    #[test]
    fn jitter_asks_for_copies_until_three_reports_tell_of_little() {
        let mut choice = CopyChoice::default();
        let mut after = |jitter_ms| {
            let jitter = Duration::from_millis(jitter_ms);
            choice.handle_report(&PathReport { jitter, ..PathReport::default() });
            choice.copies()
        };
        assert_eq!(
            [11, 11, 18, 18].map(&mut after),
            [Copies::None, Copies::None, Copies::One, Copies::One]
        );
        assert_eq!([34, 34].map(&mut after), [Copies::Two, Copies::Two]);
        assert_eq!([21, 21, 21, 21].map(&mut after), [Copies::Two; 4], "not much less");
        assert_eq!([14, 14, 14].map(&mut after), [Copies::Two, Copies::Two, Copies::One]);
        assert_eq!([11, 11, 11].map(&mut after), [Copies::One, Copies::One, Copies::None]);
    }

    #[test]
    fn reports_that_are_no_share_do_not_break_it() {
        for told in [f32::NAN, f32::INFINITY, -3.0, 7.0] {
            let choice = after(&[(told, Some(told)); 3]);
            assert!((0.0..=1.0).contains(&choice.loss()), "{told}");
        }
    }
}
