//! The bitrate that a member is to send Opus with, by what its way to the node loses.
//!
//! Copies multiply what a lossy way has to carry, so where they stay for long the node orders less
//! of each. Pure, told what the node reports; the member encodes.

use crate::red::{COPIES_MAX, CopyChoice};

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
    /// Reports in a row that would do with less than is ordered.
    lossy_reports: u8,
    order: BitrateOrder,
}

impl BitrateChoice {
    /// Takes what `CopyChoice::handle_report` takes.
    pub(super) fn handle_report(&mut self, loss: f32, burst_loss: Option<f32>) {
        self.copies.handle_report(loss, burst_loss);
        let wanted = ORDERS[usize::from(self.copies.copies()).min(COPIES_MAX)];
        self.lossy_reports = if wanted < self.order { self.lossy_reports + 1 } else { 0 };
        // Copies are given up late, after calm reports; so there is nothing to wait for then.
        if wanted > self.order || self.lossy_reports == LOSSY_REPORTS {
            (self.order, self.lossy_reports) = (wanted, 0);
        }
    }

    pub(super) fn order(&self) -> BitrateOrder {
        self.order
    }
}

/// What is ordered by the number of copies. With the headers of SRTP, UDP and IPv4 a packet of 48
/// kbit/s has 184 octets; with one copy at 32 kbit/s 229, and with two at 24 kbit/s 253, where 433
/// would go at 48.
const ORDERS: [BitrateOrder; COPIES_MAX + 1] =
    [BitrateOrder::OWN, BitrateOrder(32), BitrateOrder(24)];

/// Reports in a row that ask for copies before less of each is ordered: 15 s.
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
            choice.handle_report(loss, None);
            choice.order().number()
        });
        numbers.collect()
    }

    #[test]
    fn loss_that_lasts_lowers_what_is_sent_and_its_end_raises_it_again() {
        assert_eq!(numbers(&[(0.1, 5)]), [0, 0, 24, 24, 24]);
        assert_eq!(numbers(&[(0.03, 5)]), [0, 0, 0, 32, 32], "the first of them is half believed");
        let orders = numbers(&[(0.1, 5), (0.0, 20)]);
        assert_eq!(orders.last(), Some(&0));
        let first = orders.iter().rposition(|number| *number == 24).unwrap() + 1;
        assert!((8..12).contains(&first), "copies were given up first: {orders:?}");
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
