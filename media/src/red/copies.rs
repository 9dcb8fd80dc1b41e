//! Which packets are copied into a stream's next one.

/// Which of the packets before it a packet carries once more; each kind serves what those above it
/// do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Copies {
    /// None.
    #[default]
    None,
    /// The one directly before: brings back what is lost alone.
    One,
    /// The two directly before: bring back what is lost together with one neighbour.
    Two,
    /// The one directly before, and the one `DISTANCE_MAX` before: bring back runs as well.
    Spread,
}

impl Copies {
    /// Every kind that is any.
    pub const ANY: [Self; 3] = [Self::One, Self::Two, Self::Spread];

    /// Returns how many packets before its own each copy's is, nearest first.
    pub fn distances(self) -> &'static [usize] {
        match self {
            Self::None => &[],
            Self::One => &[1],
            Self::Two => &[1, 2],
            Self::Spread => &[1, DISTANCE_MAX],
        }
    }

    /// Returns how many there are, at most `COPIES_MAX`.
    pub fn count(self) -> usize {
        self.distances().len()
    }

    /// Returns what is possible of this where only `behind` packets are to be had.
    fn within(self, behind: u8) -> Self {
        self.min(match usize::from(behind) {
            0 => Self::None,
            1 => Self::One,
            2..DISTANCE_MAX => Self::Two,
            DISTANCE_MAX.. => Self::Spread,
        })
    }
}

/// What a stream's packets carry, as its receiver's reports ask, and what is there to carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyOrder {
    copies: Copies,
    /// Packets directly behind each other so far, each of one frame; counts to `DISTANCE_MAX`.
    behind: u8,
}

impl CopyOrder {
    /// Takes what a report asks for, or what holds before the first.
    pub fn set(&mut self, copies: Copies) {
        self.copies = copies;
    }

    /// Tells that the next packet has nothing directly before it that could be copied.
    pub fn begin(&mut self) {
        self.behind = 0;
    }

    /// Returns what the next packet carries, of one frame and directly behind the one before.
    pub fn advance(&mut self) -> Copies {
        let copies = match self.copies {
            Copies::None => Copies::None,
            copies => copies.within(self.behind),
        };
        self.behind = (self.behind + 1).min(DISTANCE_MAX as u8);
        copies
    }

    /// Returns what is asked for.
    pub fn copies(&self) -> Copies {
        self.copies
    }
}

/// The farthest packet that is copied. Chosen: of bursts of three packets at 10 % it leaves 2.2 % lost
/// where two copies beside each other leave 4.4 %, and comes after 80 ms.
pub const DISTANCE_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_packets_carry_what_there_is() {
        let mut order = CopyOrder::default();
        order.set(Copies::Spread);
        let carried: Vec<_> = (0..6).map(|_| order.advance().distances().to_vec()).collect();
        assert_eq!(carried, [vec![], vec![1], vec![1, 2], vec![1, 2], vec![1, 4], vec![1, 4]]);
        order.begin();
        assert_eq!((order.advance(), order.advance()), (Copies::None, Copies::One));
        order.set(Copies::One);
        assert_eq!([order.advance(), order.advance()], [Copies::One; 2]);
    }

    #[test]
    fn run_of_three_leaves_each_packet_a_copy() {
        let is_lost = |index: usize| (10..13).contains(&index);
        let recovered = |copies: Copies| {
            (10..13)
                .filter(|lost| copies.distances().iter().any(|far| !is_lost(lost + far)))
                .count()
        };
        assert_eq!([Copies::One, Copies::Two, Copies::Spread].map(recovered), [1, 2, 3]);
    }
}
