//! The bitrate that a member is to send Opus with, by what its way to the node loses.
//!
//! Copies multiply what a lossy way has to carry, so where they stay for long the node orders less
//! of each. Pure, told what the node reports; the member encodes.

use crate::red::{Copies, CopyChoice, PathReport};

/// The most that a member is to send Opus with, in whole kbit/s, or that it is to send with its own
/// setting; ordered by how much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitrateOrder(u8);

impl BitrateOrder {
    /// The member's own setting.
    pub const OWN: Self = Self(u8::MAX);

    /// What is ordered of all while a shard is overloaded. Chosen: speech coded at 32 kbit/s scores
    /// a PESQ-WB of 4.37, so nobody hears it, and a third of what is received is saved.
    pub const OVERLOADED: Self = Self(32);

    /// Reads a number from the wire: kbit/s. What no speech should be sent with is not obeyed.
    pub const fn from_number(number: u8) -> Self {
        if number < ORDERED_MIN { Self::OWN } else { Self(number) }
    }

    /// Returns the order's number on the wire: kbit/s, or 0 for the member's own setting.
    pub const fn number(self) -> u8 {
        if self.0 == u8::MAX { 0 } else { self.0 }
    }

    /// Returns what a member sends with whose own setting is `own`; both in bit/s.
    pub fn of(self, own: u32) -> u32 {
        if self == Self::OWN { own } else { own.min(u32::from(self.0) * 1_000) }
    }
}

impl Default for BitrateOrder {
    fn default() -> Self {
        Self::OWN
    }
}

/// Chooses the order for one leg, from the reports that its member is sent.
///
/// It reckons with as many copies as the member will, who chooses them by the same reports.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BitrateChoice {
    copies: CopyChoice,
    /// Reports in a row that ask for less than is ordered.
    lossy_reports: u8,
    order: BitrateOrder,
}

impl BitrateChoice {
    /// Takes what `CopyChoice::handle_report` takes.
    pub(super) fn handle_report(&mut self, report: &PathReport) {
        self.copies.handle_report(report);
        let wanted = self.wanted();
        let is_lossy = wanted < self.order && report.loss >= LOSSY_MIN;
        self.lossy_reports = if is_lossy { self.lossy_reports + 1 } else { 0 };
        // Copies are given up late, after calm reports; so there is nothing to wait for then.
        if wanted > self.order || self.lossy_reports == LOSSY_REPORTS {
            (self.order, self.lossy_reports) = (wanted, 0);
        }
    }

    fn wanted(&self) -> BitrateOrder {
        let heavy = if self.order == LEAST { HEAVY_LOSS_OVER } else { HEAVY_LOSS };
        match self.copies.copies() {
            Copies::None => BitrateOrder::OWN,
            Copies::One => BitrateOrder(40),
            _ if self.copies.loss() < heavy => BitrateOrder(32),
            _ => LEAST,
        }
    }

    pub(super) fn order(&self) -> BitrateOrder {
        self.order
    }
}

/// What is ordered where two copies go along and much is lost. With the headers of SRTP, UDP and
/// IPv4 a packet of 48 kbit/s has 184 octets, and 433 with two copies; with one copy at 40 kbit/s it
/// has 269, with two at 32 kbit/s 313, and with two at 24 kbit/s 253. What a mix of them scores
/// without loss, PESQ-WB: 4.33 at 48 kbit/s, 4.18 at 32, 4.05 at 24, and 3.65 at 16, which is why
/// no less is ordered.
const LEAST: BitrateOrder = BitrateOrder(24);

/// The smoothed loss from which on that is ordered, and below which no more. Chosen: at 20 % what
/// two copies leave lost costs more of the score than the bitrate does, at 10 % it does not.
const HEAVY_LOSS: f32 = 0.15;
const HEAVY_LOSS_OVER: f32 = 0.12;

/// A report that tells of less does not count as one that asks for less: what one copy adds there is
/// carried as well.
const LOSSY_MIN: f32 = 0.02;

/// Such reports in a row before less is ordered: 15 s.
const LOSSY_REPORTS: u8 = 3;

/// The least that is obeyed, in kbit/s: below it libopus leaves wideband.
const ORDERED_MIN: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(reports: &[(f32, usize)]) -> Vec<u8> {
        let mut choice = BitrateChoice::default();
        let all = reports.iter().flat_map(|(loss, count)| std::iter::repeat_n(*loss, *count));
        let numbers = all.map(|loss| {
            choice.handle_report(&PathReport { loss, ..PathReport::default() });
            choice.order().number()
        });
        numbers.collect()
    }

    #[test]
    fn loss_that_lasts_lowers_what_is_sent_and_its_end_raises_it_again() {
        assert_eq!(numbers(&[(0.1, 5)]), [0, 0, 32, 32, 32]);
        assert_eq!(numbers(&[(0.2, 5)]), [0, 0, 24, 24, 24]);
        assert_eq!(numbers(&[(0.03, 5)]), [0, 0, 40, 40, 40]);
        let orders = numbers(&[(0.2, 5), (0.0, 20)]);
        let lowered = orders.iter().rposition(|number| *number > 0).unwrap() + 1;
        assert!((9..14).contains(&lowered), "until the copies are given up: {orders:?}");
    }

    #[test]
    fn loss_about_the_bound_does_not_change_the_order_each_time() {
        let orders = numbers(&[(0.2, 5), (0.13, 10), (0.16, 10), (0.13, 10)]);
        assert!(orders[4..].iter().all(|number| *number == 24), "{orders:?}");
        assert_eq!(numbers(&[(0.2, 5), (0.1, 10)]).last(), Some(&32));
    }

    #[test]
    fn loss_that_passes_changes_nothing() {
        assert!(numbers(&[(0.0, 5), (0.1, 1), (0.0, 20)]).iter().all(|number| *number == 0));
        assert!(numbers(&[(0.01, 50)]).iter().all(|number| *number == 0));
    }

    #[test]
    fn member_never_sends_with_more_than_its_own_setting() {
        for (number, own, expected) in [
            (0, 48_000, 48_000),
            (32, 48_000, 32_000),
            (32, 24_000, 24_000),
            (255, 48_000, 48_000),
            (254, 500_000, 254_000),
        ] {
            assert_eq!(BitrateOrder::from_number(number).of(own), expected);
        }
    }

    #[test]
    fn orders_too_low_for_speech_are_not_obeyed() {
        for number in 1..ORDERED_MIN {
            assert_eq!(BitrateOrder::from_number(number), BitrateOrder::OWN);
        }
        assert_eq!(BitrateOrder::from_number(ORDERED_MIN).of(48_000), 12_000);
        for number in [0, ORDERED_MIN, 24, 254] {
            assert_eq!(BitrateOrder::from_number(number).number(), number);
        }
    }
}
